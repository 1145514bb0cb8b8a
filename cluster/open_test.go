package cluster

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/message"
)

func TestLoopback(t *testing.T) {
	for address, closed := range map[string]bool{
		"127.0.0.1:0": true, "127.8.9.10:7000": true, "[::1]:7000": true, "localhost:80": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:0": false, ":8000": false, "[::]:8000": false, "10.0.0.1:1": false, "alpha.example:1": false, "localhost.example:1": false,
		"127.0.0.1.example:1": false, "[fe80::1%eth0]:1": false, "2130706433:1": false, "127.1:1": false, "127.0.0.1": false, "": false, "localhost": false,
	} {
		err := Loopback("127.0.0.1:1", address)
		var open *OpenError
		if (err == nil) != closed || err != nil && (!errors.As(err, &open) || open.Address != address) {
			t.Errorf("%q: %v", address, err)
		}
	}
	err := Loopback("10.0.0.1:7000")
	refused(t, err, message.Forbidden, "10.0.0.1:7000 can be reached", "dmalloc certs DIR", "--certs DIR", "--insecure")
	if err := Loopback("alpha.example:0"); strings.Contains(err.Error(), ":0") || !strings.Contains(err.Error(), "alpha.example, at any port,") {
		t.Error(err)
	}
}

// L7: what others could reach is refused before anything is started, unless there are certificates or it was accepted.
func TestOpenAddressesAreRefused(t *testing.T) {
	play(t)
	open := func(string) string { return "10.99.99.99" } // on which nothing here could listen
	for name, c := range map[string]Config{
		"messages":     {Nodes: 1, Bind: open},
		"HTTP":         {Nodes: 1, HTTP: "0.0.0.0:0"},
		"all HTTP":     {Nodes: 1, HTTP: ":0"},
		"another host": {Nodes: 3, Hosts: []Host{{localHost, 2, 0}, {"alpha.example", 1, 0}}, Agent: "false"},
	} {
		_, err := Start(within(t), c)
		var refusal *OpenError
		if !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
		c.Insecure = true
		if name == "HTTP" { // a port of this machine, for a moment
			start(t, c)
			continue
		}
		if l, err := Start(within(t), c); errors.As(err, &refusal) {
			t.Errorf("%s with Insecure: %v", name, err)
		} else if err == nil {
			_ = l.Close()
		}
		c.Insecure, c.Certs = false, "certs"
		if l, err := Start(within(t), c); errors.As(err, &refusal) {
			t.Errorf("%s with certificates: %v", name, err)
		} else if err == nil {
			_ = l.Close()
		}
	}
	// Hosts of a hostfile that no node is on do not matter.
	l := start(t, Config{Nodes: 1, Hosts: []Host{{localHost, 1, 0}, {"alpha.example", 1, 0}}})
	if s := state(l, 0); s.State != Alive {
		t.Errorf("%+v", s)
	}
	n := NodeConfig{Listen: "127.0.0.1:0", HTTPListen: "0.0.0.0:0"}
	if err := n.Guarded(); message.CodeOf(err) != message.Forbidden {
		t.Errorf("a node started by hand: %v", err)
	}
	for _, n := range []NodeConfig{{Listen: n.Listen, HTTPListen: n.HTTPListen, Insecure: true}, {Listen: n.Listen, HTTPListen: n.HTTPListen, Certs: "x"}, {Listen: n.Listen, HTTPListen: n.Listen}} {
		if err := n.Guarded(); err != nil {
			t.Errorf("%+v: %v", n, err)
		}
	}
}

// Nodes are told where their certificates are, whatever directory they work in, and what tokens to take.
func TestNodesGetCertsAndTokens(t *testing.T) {
	tmp := play(t)
	token := []byte("0123456789abcdef0123456789abcdef")
	start(t, Config{Nodes: 1, Certs: "some/certs", Insecure: true, Tokens: [][]byte{token}})
	c := nodeConfig(t, filepath.Join(left(t, tmp)[0], "node-0"))
	if want, err := filepath.Abs("some/certs"); err != nil || c.Certs != want || !c.Insecure || len(c.Tokens) != 1 || string(c.Tokens[0]) != string(token) {
		t.Errorf("%+v; want %s, %v", c, want, err)
	}
	// With certificates a host goes by the name that its certificate can bear, not by what that name resolves to.
	for _, c := range []struct{ certs, host, listen, said, want string }{
		{"", "alpha.example", "alpha.example:0", "10.0.0.5:7000", "10.0.0.5:7000"},
		{"certs", "alpha.example", "alpha.example:0", "10.0.0.5:7000", "alpha.example:7000"},
		{"certs", "me@alpha.example", "0.0.0.0:0", "[::]:7000", "alpha.example:7000"},
		{"certs", "[fd00::1]", "[fd00::1]:0", "[fd00::1]:7000", "[fd00::1]:7000"},
		{"certs", "alpha.example", ":8000", "[::]:8000", "alpha.example:8000"},
		{"certs", "localhost", "127.0.0.1:0", "127.0.0.1:7000", "127.0.0.1:7000"},
	} {
		l := &Launcher{cfg: Config{Certs: c.certs}}
		if got := l.reachable(c.host, c.listen, c.said); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// The launcher's port takes orders from who has a certificate of the heap, and speaks as the launcher.
func TestSecureControl(t *testing.T) {
	play(t)
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		if err := certs.Make(d, nil, 1); err != nil {
			t.Fatal(err)
		}
	}
	own := func(dir string, r certs.Role) client.Options {
		c, err := certs.Load(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		return client.Options{Certs: c}
	}
	c, err := Listen(own(dir, certs.Launcher))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Serve(start(t, Config{Nodes: 1}))
	ask := func(address string, o client.Options) error {
		control := client.NewControl(address, o)
		defer control.Close()
		a, err := control.Call(within(t), message.New(message.STATUS))
		if err == nil {
			err = a.Err()
		}
		return err
	}
	for _, r := range []certs.Role{certs.Client, certs.Node(0), certs.Launcher} {
		if err := ask(c.Address(), own(dir, r)); err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
	err = ask(c.Address(), client.Options{})
	if err == nil || !strings.Contains(err.Error(), "takes TLS connections only") {
		t.Errorf("without certificates: %v", err)
	}
	if err := ask(c.Address(), own(other, certs.Client)); err == nil || !strings.Contains(err.Error(), "another authority") {
		t.Errorf("another authority's: %v", err)
	}
	// A node is not taken for the launcher.
	impostor, err := Listen(own(dir, certs.Node(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer impostor.Close()
	if err := ask(impostor.Address(), own(dir, certs.Client)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("to a node that plays the launcher: %v", err)
	}
}
