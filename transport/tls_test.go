package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmalloc/certs"
	"dmalloc/message"
)

// made is a directory with the certificates of a heap.
func made(t testing.TB, nodes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := certs.Make(dir, nil, nodes); err != nil {
		t.Fatal(err)
	}
	return dir
}

// as is the TLS of a role.
func as(t testing.TB, dir string, r certs.Role) *TLS {
	t.Helper()
	c, err := certs.Load(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	return &TLS{Server: c.Server(), Client: c.Client, Whose: certs.Whose, Launches: certs.Launches}
}

// secured makes the nodes of a network use TLS.
func secured(t testing.TB, dir string) func(*Config) {
	return func(c *Config) { c.TLS = as(t, dir, certs.Node(c.Self)) }
}

// dialler is a Transport that does not listen and knows the network's nodes.
func (w *network) dialler(t testing.TB, self message.NodeID, with *TLS) *Transport {
	tr := start(t, Config{Self: self, Cluster: testCluster, Incarnation: 1, TLS: with})
	tr.SetPeers(w.peers)
	return tr
}

// refused expects that a call is, before anything was sent, in words that hold all of these.
func refused(t *testing.T, tr *Transport, to message.NodeID, words ...string) {
	t.Helper()
	_, err := tr.Call(within(t), to, request(1, "x"), nil)
	if e := linkError(t, err); e.MaybeSent() {
		t.Fatal(err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\ndoes not say %q", err, w)
		}
	}
	if _, err := tr.Identify(within(t), tr.link(to).peer.Load().Address); tr.cfg.Self == message.NoNode && err == nil {
		t.Error("Identify was not refused")
	}
}

func TestSecureNetwork(t *testing.T) {
	dir := made(t, 3)
	batches := make(chan []byte, 1)
	w := newNetwork(t, 3, edges(0, 1, 1, 2), func(c *Config) {
		secured(t, dir)(c)
		c.Raft = func(_ message.NodeID, _ uint64, p []byte) { batches <- bytes.Clone(p) }
		c.Chunk = func(_ message.NodeID, _ uint64, p []byte) bool { return len(p) == 3<<20 }
	})
	large := bytes.Repeat([]byte("dmalloc "), message.MaxData/8)
	for to := range message.NodeID(3) {
		c := w.dialler(t, message.NoNode, as(t, dir, certs.Client))
		if a := ask(t, c, to, request(uint64(to), string(large))); !bytes.Equal(a.Data, large) {
			t.Fatal("the data is not what was sent")
		}
		if got, err := c.Identify(within(t), w.peers[to].Address); err != nil || got.Node != to {
			t.Fatal(got, err)
		}
	}
	ask(t, w.nodes[0], 2, request(1, "through node 1"))
	if err := w.nodes[0].SendRaft(2, 1, []byte("batch")); err != nil {
		t.Fatal(err)
	}
	if got := get(t, batches, "a batch"); string(got) != "batch" {
		t.Fatalf("%q", got)
	}
	if err := w.nodes[2].SendChunk(within(t), 0, 1, make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if n := stat(w.nodes[1], handshakesFailed); n != 0 {
		t.Fatalf("%d handshakes failed", n)
	}
	// A node's certificate is also good for a client.
	ask(t, w.dialler(t, message.NoNode, as(t, dir, certs.Node(1))), 0, request(1, "x"))
	ask(t, w.dialler(t, message.NoNode, as(t, dir, certs.Launcher)), 0, request(1, "x"))
}

// T8, from the side of who listens and of who dials.
func TestSecureRefusals(t *testing.T) {
	dir, other := made(t, 3), made(t, 3)
	w := newNetwork(t, 1, nil, secured(t, dir))
	open := newNetwork(t, 1, nil, nil)
	bare := as(t, dir, certs.Client)
	with := bare.Client
	bare.Client = func() *tls.Config {
		c := with()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }
		return c
	}
	trusting := as(t, other, certs.Client)
	trusting.Client = func() *tls.Config { // takes our node for genuine, and shows what another authority signed
		c := with()
		c.GetClientCertificate = as(t, other, certs.Client).Client().GetClientCertificate
		return c
	}
	for _, c := range []struct {
		name  string
		to    *network
		self  message.NodeID
		with  *TLS
		words []string
	}{
		{"no certificate", w, message.NoNode, bare, []string{"refused this side's TLS", "certificate required"}},
		{"another authority's certificate", w, message.NoNode, trusting, []string{"refused this side's TLS"}},
		{"another authority at the other side", w, message.NoNode, as(t, other, certs.Client), []string{"another authority"}},
		{"node 1 as node 2", w, 2, as(t, dir, certs.Node(1)), []string{"certificate shown is node 1's", "claims to be node 2"}},
		{"a client as a node", w, 1, as(t, dir, certs.Client), []string{"certificate shown is a client's", "claims to be node 1"}},
		{"the launcher as a node", w, 1, as(t, dir, certs.Launcher), []string{"certificate shown is a client's"}},
		{"plain to TLS", w, message.NoNode, nil, []string{"node 0 takes TLS connections only", "certificates"}},
		{"a plain node to TLS", w, 1, nil, []string{"node 0 takes TLS connections only"}},
		{"TLS to plain", open, message.NoNode, as(t, dir, certs.Client), []string{"other side does not speak TLS"}},
		{"a node's TLS to plain", open, 1, as(t, dir, certs.Node(1)), []string{"other side does not speak TLS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := c.to.dialler(t, c.self, c.with)
			refused(t, tr, 0, c.words...)
			if _, err := tr.Identify(within(t), c.to.peers[0].Address); c.self == message.NoNode && message.CodeOf(err) != message.Forbidden {
				t.Errorf("Identify is not forbidden: %v", err)
			}
		})
	}
	ask(t, w.dialler(t, 1, as(t, dir, certs.Node(1))), 0, request(1, "x"))
	eventually(t, "nobody else got in", func() bool { return w.nodes[0].open.Load() == 1 })
	if stat(w.nodes[0], handshakesFailed) == 0 || stat(w.nodes[0], hellosRefused) == 0 {
		t.Error("refusals were not counted")
	}
}

// Why a certificate was refused arrives even where much was said after it, as a refusal does without TLS.
func TestAlertSurvivesUnreadBytes(t *testing.T) {
	dir := made(t, 1)
	w := newNetwork(t, 1, nil, secured(t, dir))
	for i := range uint64(20) {
		c := as(t, dir, certs.Client).Client()
		c.ServerName, c.GetClientCertificate = "localhost", nil
		nc := tls.Client(dialRaw(t, w.peers[0].Address), c)
		if err := nc.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(make([]byte, 20000)); err != nil {
			t.Fatal(err)
		}
		_ = nc.CloseWrite()
		_ = nc.NetConn().(stranger).Conn.(*net.TCPConn).CloseWrite()
		eventually(t, "it was refused", func() bool { return stat(w.nodes[0], handshakesFailed) > i })
		if _, err := nc.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Fatal(err)
		}
	}
}

// Who answers must be who its certificate says, even if it is the node that was looked for by its own account.
func TestSecureImpostor(t *testing.T) {
	dir := made(t, 3)
	w := newNetwork(t, 1, nil, func(c *Config) { c.TLS = as(t, dir, certs.Node(2)) })
	refused(t, w.dialler(t, message.NoNode, as(t, dir, certs.Client)), 0, "node 0 answered with node 2's certificate")

	launcher := as(t, dir, certs.Launcher)
	launcher.Whose = certs.WhoseAtLauncher(0)
	l := newNetwork(t, 1, nil, func(c *Config) { c.TLS = launcher })
	shell := as(t, dir, certs.Client)
	refused(t, l.dialler(t, message.NoNode, shell), 0, "answered with a client's certificate")
	shell.Whose = certs.WhoseAtLauncher(0)
	ask(t, l.dialler(t, message.NoNode, shell), 0, request(1, "x"))
	refused(t, w.dialler(t, message.NoNode, shell), 0, "answered with a client's certificate") // a node as the launcher
}

// A client's certificate cannot listen, whatever it calls itself.
func TestClientCannotListen(t *testing.T) {
	dir := made(t, 1)
	w := newNetwork(t, 1, nil, func(c *Config) { c.TLS = as(t, dir, certs.Client) })
	refused(t, w.dialler(t, message.NoNode, as(t, dir, certs.Client)), 0, "certificate of the other side was not accepted")
}

func TestExpired(t *testing.T) {
	dir := t.TempDir()
	if err := certs.MakeAt(dir, nil, 2, time.Now().AddDate(-2, 0, 0)); err != nil {
		t.Fatal(err)
	}
	old, err := tls.LoadX509KeyPair(filepath.Join(dir, "node-1.crt"), filepath.Join(dir, "node-1.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Renew(dir, nil, 0); err != nil {
		t.Fatal(err)
	}
	good, expired := as(t, dir, certs.Node(0)), as(t, dir, certs.Node(1))
	current := expired.Client
	expired.Client = func() *tls.Config {
		c := current()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &old, nil }
		return c
	}
	expired.Server = expired.Server.Clone()
	expired.Server.GetConfigForClient = nil
	expired.Server.Certificates = []tls.Certificate{old}
	w := newNetwork(t, 2, nil, func(c *Config) { c.TLS = []*TLS{good, expired}[c.Self] })
	refused(t, w.nodes[0], 1, "has expired")
	refused(t, w.nodes[1], 0, "refused this side's TLS", "expired certificate")
}

// Renewed files are taken at the next connection; connections that are there stay.
func TestRenewedWithoutRestart(t *testing.T) {
	dir := t.TempDir()
	if err := certs.MakeAt(dir, nil, 1, time.Now().AddDate(0, -6, 0)); err != nil {
		t.Fatal(err)
	}
	shown := make(chan *x509.Certificate, 10)
	client := as(t, dir, certs.Client)
	client.Whose = func(c *x509.Certificate) (message.NodeID, error) {
		shown <- c
		return certs.Whose(c)
	}
	w := newNetwork(t, 1, nil, secured(t, dir))
	kept := w.dialler(t, message.NoNode, client)
	ask(t, kept, 0, request(1, "x"))
	before := get(t, shown, "a certificate")
	if err := certs.Renew(dir, nil, 0); err != nil {
		t.Fatal(err)
	}
	ask(t, kept, 0, request(2, "x"))
	if len(shown) != 0 {
		t.Fatal("the connection was made anew")
	}
	ask(t, w.dialler(t, message.NoNode, client), 0, request(3, "x"))
	if after := get(t, shown, "a certificate"); !after.NotAfter.After(before.NotAfter) {
		t.Fatalf("until %v, then until %v", before.NotAfter, after.NotAfter)
	}

	// Another authority altogether: both sides change at once.
	other := made(t, 1)
	files, err := filepath.Glob(filepath.Join(other, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Rename(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, w.dialler(t, message.NoNode, client), 0, request(4, "x"))
	if last := get(t, shown, "a certificate"); last.Issuer.CommonName == before.Issuer.CommonName {
		t.Fatal("the old authority is still in use")
	}
}

// Who is slow in the handshake keeps nobody waiting, and leaves when newer ones come or its time is over.
func TestSlowHandshakes(t *testing.T) {
	dir := made(t, 2)
	w := newNetwork(t, 1, nil, func(c *Config) {
		secured(t, dir)(c)
		c.Limits.Strangers, c.Limits.Hello = 8, time.Hour
	})
	var silent []stranger
	for i := range 30 {
		s := dialRaw(t, w.peers[0].Address)
		if i%2 == 0 {
			s.say([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a handshake
		}
		silent = append(silent, s)
	}
	ask(t, w.dialler(t, 1, as(t, dir, certs.Node(1))), 0, request(1, "x"))
	silent[0].ends()

	w = newNetwork(t, 1, nil, func(c *Config) {
		secured(t, dir)(c)
		c.Limits.Hello = 30 * time.Millisecond
	})
	s := dialRaw(t, w.peers[0].Address)
	s.say([]byte{22, 3, 1, 2, 0, 1})
	s.ends()
}

// A silent other side costs who dials no more than its deadline.
func TestSilentOtherSide(t *testing.T) {
	dir := made(t, 1)
	l := listen(t)
	defer l.Close()
	tr := start(t, Config{Self: message.NoNode, TLS: as(t, dir, certs.Client), Limits: Limits{Hello: 30 * time.Millisecond}})
	tr.SetPeers(map[message.NodeID]Peer{0: {Address: l.Addr().String()}})
	refused(t, tr, 0, "handshake", "timeout")
}

// A node without certificates says so to whom comes with TLS.
func TestTLSAgainstPlain(t *testing.T) {
	w := newNetwork(t, 1, nil, nil)
	s := dialRaw(t, w.peers[0].Address)
	s.say([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
	if _, err := readHello(s); message.CodeOf(err) != message.InvalidArgument || !strings.Contains(err.Error(), "but TLS, which this side was not given certificates for") {
		t.Fatal(err)
	}
	s.ends()
}

// What is no TLS is told so in words, as without TLS, and garbage ends the connection.
func TestGarbageAgainstTLS(t *testing.T) {
	w := newNetwork(t, 1, nil, secured(t, made(t, 1)))
	for _, say := range []string{"GET / HTTP/1.1\r\n\r\n", string(clientHello().frame().append(nil))} {
		s := dialRaw(t, w.peers[0].Address)
		s.say([]byte(say + strings.Repeat("x", 20000)))
		if _, err := readHello(s); message.CodeOf(err) != message.Forbidden || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%q: %v", say, err)
		}
		s.ends()
	}
	for _, say := range []string{"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff", "\x15\x03\x01\x00\x02\x02\x28", "\x16\x03\x01\xff\xff", "\x80\x2e\x01\x03\x01"} {
		s := dialRaw(t, w.peers[0].Address)
		s.say([]byte(say))
		_ = s.Conn.(*net.TCPConn).CloseWrite()
		s.ends()
	}
	if w.nodes[0].open.Load() != 0 {
		t.Error("garbage was let in")
	}
}

// The end of a connection is told as such, though no side says goodbye in TLS.
func TestSecureConnectionLost(t *testing.T) {
	g := &gate{}
	dir := made(t, 2)
	w := newNetwork(t, 2, nil, func(c *Config) { secured(t, dir)(c); c.Handle = g.handle })
	got := make(chan error, 1)
	w.nodes[0].Start(1, request(1, "x"), nil, func(_ *message.Message, err error) { got <- err })
	eventually(t, "the request arrives", func() bool { return g.count() == 1 })
	_ = w.nodes[1].Close()
	if e := linkError(t, get(t, got, "the failure")); !e.MaybeSent() || !strings.Contains(e.Error(), "the other side closed it") {
		t.Fatal(e)
	}
}

// A peer that does not read is closed without waiting for it to take a goodbye.
func TestSecureSlowReader(t *testing.T) {
	dir := made(t, 1)
	data := make([]byte, message.MaxData)
	w := newNetwork(t, 1, nil, func(c *Config) {
		secured(t, dir)(c)
		c.Limits.Stall = 50 * time.Millisecond
		c.Handle = func(_ context.Context, _ Peer, m *message.Message, reply func(*message.Message)) {
			a := m.Answer(message.Done, "")
			a.Data = data
			reply(a)
		}
	})
	c := as(t, dir, certs.Client).Client()
	c.ServerName = "localhost"
	nc := tls.Client(dialRaw(t, w.peers[0].Address), c)
	s := stranger{t, nc}
	s.greet(clientHello())
	b, err := message.New(message.TEST).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		s.say((&frame{kind: kindRequest, src: message.NoNode, dst: 0, payload: b}).append(nil))
	}
	eventually(t, "the slow reader is closed", func() bool { return stat(w.nodes[0], slowClosed) == 1 })
}

func TestTLSConfigRefusals(t *testing.T) {
	dir := made(t, 1)
	l := listen(t)
	defer l.Close()
	none, lax := as(t, dir, certs.Node(0)), as(t, dir, certs.Node(0))
	none.Server, lax.Server = nil, lax.Server.Clone()
	lax.Server.ClientAuth = tls.RequestClientCert
	for _, with := range []*TLS{{}, none, lax} {
		if _, err := New(Config{Self: 0, Listener: l, TLS: with}); message.CodeOf(err) != message.InvalidArgument {
			t.Error(err)
		}
	}
	start(t, Config{Self: message.NoNode, TLS: none})
}

// What is read first tells TLS from our own frames, whose length stands there.
func TestLikeTLS(t *testing.T) {
	for n := range uint32(maxRefusal + 1) {
		if b := []byte{byte(n), byte(n >> 8), byte(n >> 16)}; n < 768 && likeTLS(b) {
			t.Fatalf("a frame of %d bytes looks like TLS", n)
		}
	}
	if refusal := refusalFrame(0, message.Errorf(message.Forbidden, "%s", strings.Repeat("x", 500))).append(nil); likeTLS(refusal) {
		t.Fatal("a refusal looks like TLS")
	}
	if !likeTLS([]byte{22, 3, 1}) || !likeTLS([]byte{21, 3, 3}) {
		t.Fatal("TLS does not look like TLS")
	}
	f := &firstBytes{Conn: stranger{Conn: pieces("a", "b", "c")}}
	for f.n < 3 {
		if f.plain() {
			t.Fatal("judged too early")
		}
		if _, err := f.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if !f.plain() || string(f.head[:]) != "abc" {
		t.Fatalf("%q", f.head)
	}
}

// pieces is a connection from which these come, one a Read.
func pieces(all ...string) net.Conn {
	var r []io.Reader
	for _, p := range all {
		r = append(r, strings.NewReader(p))
	}
	return piecewise{Reader: io.MultiReader(r...)}
}

type piecewise struct {
	net.Conn
	io.Reader
}

func (p piecewise) Read(b []byte) (int, error) { return p.Reader.Read(b) }
