package certs

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The same configurations serve HTTP: with a client's certificate one is let in, without one not.
func TestHTTP(t *testing.T) {
	dir := t.TempDir()
	if err := Make(dir, nil, 1); err != nil {
		t.Fatal(err)
	}
	node, err := Load(dir, Node(0))
	if err != nil {
		t.Fatal(err)
	}
	client, err := Load(dir, Client)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role, err := RoleOf(r.TLS.PeerCertificates[0])
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, role.String())
	}))
	s.TLS = node.Server()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	get := func(with *http.Transport) (string, error) {
		defer with.CloseIdleConnections()
		a, err := (&http.Client{Transport: with}).Get(s.URL)
		if err != nil {
			return "", err
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		return string(b), err
	}
	if got, err := get(&http.Transport{TLSClientConfig: client.Client()}); got != "client" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	bare := client.Client()
	bare.GetClientCertificate = nil
	if _, err := get(&http.Transport{TLSClientConfig: bare}); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
}
