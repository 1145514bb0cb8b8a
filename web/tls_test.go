package web

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmalloc/certs"
)

// secured is a server with the certificate of node 0, its address, and a client's configuration.
func secured(t *testing.T, change func(*Config)) (dir, address string) {
	t.Helper()
	dir = t.TempDir()
	if err := certs.Make(dir, nil, 1); err != nil {
		t.Fatal(err)
	}
	_, _, address = listen(t, func(c *Config) {
		c.TLS = loaded(t, dir, certs.Node(0)).Server()
		if change != nil {
			change(c)
		}
	})
	return dir, address
}

func loaded(t *testing.T, dir string, r certs.Role) *certs.Config {
	t.Helper()
	c, err := certs.Load(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get asks with a TLS configuration.
func get(t *testing.T, url string, with *tls.Config) (string, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: with}
	defer tr.CloseIdleConnections()
	a, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return string(b), err
}

// W7: with a certificate of the heap one is served, without one, or in plain words, not.
func TestSecure(t *testing.T) {
	dir, address := secured(t, nil)
	url := "https://" + address + "/v1/nodes"
	for _, role := range []certs.Role{certs.Client, certs.Node(0), certs.Launcher} {
		if got, err := get(t, url, loaded(t, dir, role).Client()); err != nil || !strings.Contains(got, `"nodes"`) {
			t.Errorf("%s: %q %v", role, got, err)
		}
	}
	bare := loaded(t, dir, certs.Client).Client()
	bare.GetClientCertificate = nil
	if _, err := get(t, url, bare); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	other := t.TempDir()
	if err := certs.Make(other, nil, 1); err != nil {
		t.Fatal(err)
	}
	stranger := loaded(t, dir, certs.Client).Client()
	stranger.GetClientCertificate = loaded(t, other, certs.Client).Client().GetClientCertificate
	if _, err := get(t, url, stranger); err == nil {
		t.Error("another authority's certificate was let in")
	}
	if _, err := get(t, url, loaded(t, other, certs.Client).Client()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("to another authority's server: %v", err)
	}
	if got := raw(t, address, "GET /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.Contains(got, " 400 ") {
		t.Errorf("plain HTTP: %q", got)
	}
}

// W2, W3: a handshake that does not come ends, without anybody else waiting for it.
func TestSilentHandshake(t *testing.T) {
	dir, address := secured(t, func(c *Config) { c.Limits.Stall = 50 * time.Millisecond })
	var silent []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if _, err := get(t, "https://"+address+"/healthz", loaded(t, dir, certs.Client).Client()); err != nil {
		t.Error(err)
	}
	for _, c := range silent {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("a silent connection is not closed: %v", err)
		}
	}
}

// W3: beyond the bound a connection waits until another one ends.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		s, err := New(Config{Heap: newFakeHeap(), Listener: p, Limits: Limits{Connections: 2}})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error)
		go func() { served <- s.Serve() }()
		one, two := p.dial(), p.dial()
		defer two.Close()
		third := make(chan net.Conn, 1)
		go func() { third <- p.dial() }()
		synctest.Wait()
		select {
		case <-third:
			t.Error("a third connection was accepted beside two")
		default:
		}
		_ = one.Close()
		c := <-third
		defer c.Close()
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || !strings.Contains(string(b), "200 OK") {
			t.Errorf("%q %v", b, err)
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ended) // there may be clients that still hang on
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
