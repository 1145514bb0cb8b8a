package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

func TestLoadRefusals(t *testing.T) {
	other := made(t, 2)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string) error
		code  message.Code
		says  []string
	}{
		{"no authority", remove("ca.crt"), message.InvalidArgument, []string{"ca.crt is missing"}},
		{"no certificate", remove("node-0.crt"), message.InvalidArgument, []string{"node-0.crt is missing", "make certificates, or copy"}},
		{"no key", remove("node-0.key"), message.InvalidArgument, []string{"node-0.key is missing"}},
		{"an open key", func(_ *testing.T, dir string) error { return os.Chmod(filepath.Join(dir, "node-0.key"), 0o640) },
			message.Forbidden, []string{"node-0.key is a key that others can read (mode 0640)", "chmod 600"}},
		{"an empty certificate", fill("node-0.crt", ""), message.Corrupt, []string{"node-0.crt holds no certificate"}},
		{"a damaged certificate", fill("node-0.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), message.Corrupt, []string{"node-0.crt holds a damaged"}},
		{"a damaged authority", fill("ca.crt", "junk"), message.Corrupt, []string{"ca.crt holds no"}},
		{"a huge file", fill("ca.crt", strings.Repeat("x", maxFile+1)), message.Corrupt, []string{"ca.crt is longer"}},
		{"an empty key", fill("node-0.key", ""), message.Corrupt, []string{"node-0.key and node-0.crt do not fit"}},
		{"another key", take(other, "node-0.key", "node-0.key"), message.Corrupt, []string{"node-0.key and node-0.crt do not fit"}},
		{"another authority", take(other, "ca.crt", "ca.crt"), message.Forbidden, []string{"node-0.crt is not signed by ca.crt"}},
		{"a directory", func(_ *testing.T, dir string) error {
			_ = os.Remove(filepath.Join(dir, "node-0.crt"))
			return os.Mkdir(filepath.Join(dir, "node-0.crt"), 0o700)
		}, message.InvalidArgument, []string{"node-0.crt is no file"}},
		{"node 1's", func(t *testing.T, dir string) error {
			_ = take(dir, "node-1.key", "node-0.key")(t, dir)
			return take(dir, "node-1.crt", "node-0.crt")(t, dir)
		}, message.Forbidden, []string{"node-0.crt is the certificate of node 1, not of node 0"}},
		{"the authority's own", func(t *testing.T, dir string) error {
			_ = take(dir, "ca.key", "node-0.key")(t, dir)
			return take(dir, "ca.crt", "node-0.crt")(t, dir)
		}, message.Forbidden, []string{"node-0.crt cannot be used", "has 0 URIs"}},
		{"one that may not listen", func(t *testing.T, dir string) error {
			a, err := readAuthority(dir, monday)
			if err != nil {
				return err
			}
			c := leaf(t, dir, Node(0))
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			der, err := a.sign(c, c.PublicKey)
			if err != nil {
				return err
			}
			return write(filepath.Join(dir, "node-0.crt"), encodeCertificate(der), 0o644)
		}, message.Forbidden, []string{"node-0.crt is not signed by ca.crt beside it for this use", "incompatible key usage"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := made(t, 2)
			if err := c.spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			_, err := loadAt(dir, Node(0), clock(monday))
			says(t, err, c.code, append(c.says, "certs.Load: "+dir)...)
		})
	}
	dir := made(t, 1)
	_, err := loadAt(dir, Node(0), clock(monday.AddDate(1, 0, 1)))
	says(t, err, message.Forbidden, "node-0.crt expired on 2031-07-01: renew")
	_, err = loadAt(dir, Node(0), clock(monday.AddDate(0, 0, -1)))
	says(t, err, message.Forbidden, "valid from 2030-07-01", "here it is 2030-06-30", "set the clock")
	for _, r := range []Role{"", "node-", "node-01", "node-x", "node-4294967296", "../node-0", "ca", Node(message.NoNode), Node(message.MaxNodes)} {
		_, err = Load(dir, r)
		says(t, err, message.InvalidArgument, "nobody is called")
	}
}

func remove(name string) func(*testing.T, string) error {
	return func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, name)) }
}

func fill(name, text string) func(*testing.T, string) error {
	return func(_ *testing.T, dir string) error {
		return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
	}
}

// take puts a file from another directory in place of one, as renewing does.
func take(from, name, as string) func(*testing.T, string) error {
	return func(_ *testing.T, dir string) error {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		return write(filepath.Join(dir, as), b, 0o600)
	}
}

// C4: what fits is taken at the next handshake, what does not changes nothing.
func TestReload(t *testing.T) {
	dir, other := made(t, 1), made(t, 1)
	now := monday
	c, err := loadAt(dir, Node(0), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	server := c.Server()
	serial := func() string {
		t.Helper()
		s, err := server.GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		from, err := c.Client().GetClientCertificate(nil)
		if err != nil || from.Leaf.SerialNumber.Cmp(s.Certificates[0].Leaf.SerialNumber) != 0 {
			t.Fatal("the two sides show different certificates", err)
		}
		return from.Leaf.SerialNumber.String()
	}
	first := serial()
	if serial() != first || c.Problem() != nil {
		t.Fatal("changed without reason", c.Problem())
	}
	now = monday.AddDate(0, 11, 0)
	if err := RenewAt(dir, nil, 0, now); err != nil {
		t.Fatal(err)
	}
	second := serial()
	if second == first || !c.Expires().Equal(now.AddDate(1, 0, 0)) {
		t.Fatal("not reloaded")
	}
	// Another authority, file by file: nothing changes until all is there.
	for i, name := range []string{"ca.crt", "node-0.key", "node-0.crt"} {
		if err := take(other, name, name)(t, dir); err != nil {
			t.Fatal(err)
		}
		if got := serial(); (got != second) != (i == 2) {
			t.Fatalf("after %s", name)
		}
		if (c.Problem() != nil) != (i < 2) {
			t.Fatalf("after %s: %v", name, c.Problem())
		}
	}
	if err := os.Remove(filepath.Join(dir, "node-0.crt")); err != nil {
		t.Fatal(err)
	}
	third := serial()
	says(t, c.Problem(), message.InvalidArgument, "certs.Load: "+dir, "node-0.crt is missing")
	if err := take(other, "node-0.crt", "node-0.crt")(t, dir); err != nil || serial() != third || c.Problem() != nil {
		t.Fatal(err, c.Problem())
	}
	if err := os.Chmod(filepath.Join(dir, "node-0.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	says(t, c.Problem(), message.Forbidden, "others can read")
	_ = os.Chmod(filepath.Join(dir, "node-0.key"), 0o600)
	now = monday.AddDate(3, 0, 0)
	says(t, c.Problem(), message.Forbidden, "expired on")
}

func TestReloadAmongMany(t *testing.T) {
	dir := t.TempDir()
	if err := Make(dir, nil, 1); err != nil {
		t.Fatal(err)
	}
	c, err := Load(dir, Node(0))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				shake(t, c.Server(), c.Client())
			}
		})
	}
	for range 5 {
		if err := Renew(dir, nil, 0); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

// shake is a handshake between two configurations, and a byte each way.
func shake(t testing.TB, server, client *tls.Config) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	client.ServerName = "localhost"
	s, c := tls.Server(a, server), tls.Client(b, client)
	var both sync.WaitGroup
	both.Go(func() {
		if err := s.Handshake(); err != nil {
			t.Error(err)
			_ = a.Close()
		}
	})
	if err := c.Handshake(); err != nil {
		t.Error(err)
		_ = b.Close()
	}
	both.Wait()
	if v := c.ConnectionState(); v.Version != tls.VersionTLS13 || v.DidResume {
		t.Errorf("%+v", v)
	}
}

// Both configurations are as strict as they say, also for what never asks Server's hook.
func TestStrict(t *testing.T) {
	dir := t.TempDir()
	if err := Make(dir, nil, 1); err != nil {
		t.Fatal(err)
	}
	c, err := Load(dir, Node(0))
	if err != nil {
		t.Fatal(err)
	}
	within, err := c.Server().GetConfigForClient(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*tls.Config{c.Server(), within} {
		if s.MinVersion != tls.VersionTLS13 || s.ClientAuth != tls.RequireAndVerifyClientCert || s.ClientCAs == nil || !s.SessionTicketsDisabled {
			t.Errorf("%+v", s)
		}
	}
	if d := c.Client(); d.MinVersion != tls.VersionTLS13 || d.RootCAs == nil || d.InsecureSkipVerify {
		t.Errorf("%+v", d)
	}
	shake(t, c.Server(), c.Client())
}

// Files that other tools made are good, too: an elliptic key in its old form, an authority of several certificates.
func TestSeveralAuthorities(t *testing.T) {
	dir, other := made(t, 1), made(t, 1)
	a, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(other, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, other} {
		if err := os.WriteFile(filepath.Join(d, "ca.crt"), append(append([]byte("a comment\n"), b...), a...), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := loadAt(d, Node(0), clock(monday)); err != nil {
			t.Error(err)
		}
		if err := RenewAt(d, nil, 0, monday); err != nil {
			t.Error(err)
		}
		if _, err := loadAt(d, Node(0), clock(monday)); err != nil {
			t.Error(err)
		}
	}
}

func FuzzCertificates(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	a := &authority{cert: &x509.Certificate{}, key: key}
	der, err := a.sign(&x509.Certificate{}, key.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encodeCertificate(der))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseCertificates("x.crt", text)
		if (err == nil) == (len(list) == 0) {
			t.Fatal(list, err)
		}
		for _, c := range list {
			_, _ = RoleOf(c)
			_ = fits("x.crt", Client, list, x509.NewCertPool(), monday)
		}
	})
}
