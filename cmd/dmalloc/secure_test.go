package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/message"
)

// command runs dmalloc and gives what it said on both outputs, and its exit status.
func command(t *testing.T, args ...string) (said string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // its status says more
	return out.String(), cmd.ProcessState.ExitCode()
}

func loaded(t *testing.T, dir string, r certs.Role) *certs.Config {
	t.Helper()
	c, err := certs.Load(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// request is what an HTTP client gets: a status and a body, or an error.
func request(t *testing.T, verb, url, body, token string, with *tls.Config) (int, string, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: with}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), verb, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := (&http.Client{Transport: tr}).Do(r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, string(b), err
}

// With certificates and tokens a cluster serves its friends on every port, and nobody else on any.
func TestSecure(t *testing.T) {
	dir := t.TempDir()
	own, other, tokens := filepath.Join(dir, "own"), filepath.Join(dir, "other"), filepath.Join(dir, "tokens")
	for _, d := range []string{own, other} {
		if err := certs.Make(d, nil, 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(tokens, []byte("first\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := start(t, "-n", "3", "--certs", own, "--token-file", tokens)
	a := l.do("m 100")
	if !a.OK {
		t.Fatalf("%+v\n%s", a, l.err)
	}
	nodes := l.do("nodes").Nodes
	at := nodes[1].Address

	// Shells: with a certificate also the launcher's port is reached.
	if said, status := command(t, "shell", "--connect", at, "--certs", own, "-c", "w "+a.Address+" 5 hello; reg w 1 one; kill 2; revive 2; kill 2; revive 2 --wipe; r "+a.Address+" 5"); status != 0 || !strings.Contains(said, "hello") {
		t.Errorf("%d %s", status, said)
	}
	for _, c := range []struct {
		args  []string
		words string
	}{
		{nil, "takes TLS connections only"},
		{nil, "--certs DIR gives the certificates"},
		{[]string{"--certs", other}, "another authority has signed it"},
	} {
		if said, status := command(t, append([]string{"shell", "--connect", at, "-c", "t"}, c.args...)...); status != 3 || !strings.Contains(said, c.words) {
			t.Errorf("%v: %d %s", c.args, status, said)
		}
	}
	if said, status := command(t, "bench", "--connect", at, "--certs", own, "--for", "100ms", "--warmup", "10ms", "--clients", "2", "--no-raw"); status != 0 {
		t.Errorf("bench: %d %s", status, said)
	}
	if _, err := client.Dial(t.Context(), at); message.CodeOf(err) != message.Forbidden {
		t.Errorf("Dial without certificates: %v", err)
	}
	c, err := client.DialWith(t.Context(), at, client.Options{Certs: loaded(t, own, certs.Client)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.ReadRegister(t.Context(), 1); err != nil || string(r.Value) != "one" {
		t.Errorf("%q %v", r.Value, err)
	}
	// A client's certificate makes no nodes, and lets none go.
	if id, err := c.Admit(t.Context(), message.Node{Key: 1}); message.CodeOf(err) != message.Forbidden {
		t.Errorf("admitted as %s, %v", id, err)
	}
	if err := c.Dismiss(t.Context(), 1); message.CodeOf(err) != message.Forbidden {
		t.Errorf("dismissed: %v", err)
	}

	// HTTP.
	friend := loaded(t, own, certs.Client).Client()
	stranger := loaded(t, own, certs.Client).Client()
	stranger.GetClientCertificate = loaded(t, other, certs.Client).Client().GetClientCertificate
	bare := loaded(t, own, certs.Client).Client()
	bare.GetClientCertificate = nil
	address, where := nodes[0].HTTP, "/v1/memory/"+a.Address+"?size=5"
	for _, token := range []string{"first", "second"} {
		if status, body, err := request(t, "GET", "https://"+address+where, "", token, friend); status != 200 || body != "hello" {
			t.Errorf("%s: %d %q %v", token, status, body, err)
		}
	}
	_, port, _ := strings.Cut(address, ":")
	if status, body, err := request(t, "POST", "https://localhost:"+port+"/write", `{"addr":2,"value":"two"}`, "first", friend); status != 200 {
		t.Errorf("by name: %d %q %v", status, body, err)
	}
	for _, token := range []string{"", "third"} {
		if status, body, err := request(t, "GET", "https://"+address+where, "", token, friend); status != 401 || strings.Contains(body, "hello") {
			t.Errorf("token %q: %d %q %v", token, status, body, err)
		}
	}
	if status, _, err := request(t, "GET", "https://"+address+"/healthz", "", "", friend); status != 200 {
		t.Errorf("/healthz: %d %v", status, err)
	}
	if status, body, err := request(t, "GET", "https://"+address+"/metrics", "", "first", friend); !strings.Contains(body, "dmalloc_certificate_usable 1\n") {
		t.Errorf("/metrics: %d %v", status, err)
	}
	for name, with := range map[string]*tls.Config{"a stranger": stranger, "no certificate": bare, "a stranger's authority": loaded(t, other, certs.Client).Client()} {
		if status, body, err := request(t, "GET", "https://"+address+"/healthz", "", "first", with); err == nil {
			t.Errorf("%s: %d %q", name, status, body)
		}
	}
	if status, body, err := request(t, "GET", "http://"+address+"/healthz", "", "first", nil); status != 400 {
		t.Errorf("plain HTTP: %d %q %v", status, body, err)
	}
	// Certificates are renewed under running nodes; new connections use them.
	if said, status := command(t, "certs", own, "--renew"); status != 0 {
		t.Errorf("renew: %d %s", status, said)
	}
	if said, status := command(t, "shell", "--connect", at, "--certs", own, "-c", "r "+a.Address+" 5"); status != 0 || !strings.Contains(said, "hello") {
		t.Errorf("renewed: %d %s", status, said)
	}
	for _, n := range l.do("nodes").Nodes {
		if n.State != "alive" {
			t.Errorf("node %d is %s\n%s", n.ID, n.State, l.err)
		}
	}
}

// Tokens work without certificates, too, and a node that comes back still asks for them.
func TestTokensAlone(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := start(t, "-n", "3", "--token-file", tokens)
	for _, line := range []string{"m 8", "kill 1", "revive 1"} {
		if a := l.do("%s", line); !a.OK {
			t.Fatalf("%s: %+v\n%s", line, a, l.err)
		}
	}
	for _, n := range l.do("nodes").Nodes {
		for token, want := range map[string]int{"": 401, "Secret": 401, "secret": 200} {
			if status, body, err := request(t, "GET", "http://"+n.HTTP+"/v1/nodes", "", token, nil); status != want {
				t.Errorf("node %d, token %q: %d %s %v", n.ID, token, status, body, err)
			}
		}
	}
	dir, err := filepath.Glob(filepath.Join(l.dir, "dmalloc-*"))
	if err != nil || len(dir) == 0 {
		t.Fatalf("%v %v", dir, err)
	}
	if err := filepath.WalkDir(l.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files come and go
		}
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte("secret")) {
			t.Errorf("%s holds a token", path)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
