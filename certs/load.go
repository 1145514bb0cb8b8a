package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dmalloc/message"
)

// Config is what a process needs for mutual TLS in its role. It follows its files (C4), and may be used by
// many goroutines at once.
type Config struct {
	dir  string
	role Role
	now  func() time.Time // judges what is loaded

	mu      sync.Mutex // guards what follows
	have    *material  // in use; it always fits (C3)
	seen    stamp      // the files at the last attempt to load them
	problem error      // of that attempt
}

// material is what the files of a role hold. It never changes.
type material struct {
	cert   tls.Certificate
	pool   *x509.CertPool
	server *tls.Config
}

// stamp tells whether files have changed since.
type stamp [3]os.FileInfo

// Load reads a role's certificate and key, and the authority, from a directory.
func Load(dir string, role Role) (*Config, error) { return loadAt(dir, role, time.Now) }

func loadAt(dir string, role Role, now func() time.Time) (*Config, error) {
	if err := role.check(); err != nil {
		return nil, doing("certs.Load", err)
	}
	c := &Config{dir: dir, role: role, now: now, seen: look(dir, role)}
	m, err := read(dir, role, now())
	if err != nil {
		return nil, doing("certs.Load", err)
	}
	c.have = m
	return c, nil
}

// Role is whose certificate it is.
func (c *Config) Role() Role { return c.role }

// Server is for listeners. It needs to be asked for only once: every handshake takes the files as they are then.
func (c *Config) Server() *tls.Config {
	s := c.current().server.Clone()
	s.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current().server, nil }
	return s
}

// Client is for connections that this side makes. Its certificate is the one in the files at each handshake; its
// authority is the one of now, so who keeps dialling asks for it each time. ServerName is for the caller to fill in.
func (c *Config) Client() *tls.Config {
	m := c.current()
	t := base()
	t.RootCAs = m.pool
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.current().cert, nil }
	return t
}

// Problem says why the files are not in use as they are now, or what is in use has expired; nil if all is well.
func (c *Config) Problem() error {
	m := c.current()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem != nil {
		return c.problem
	}
	return doing("certs.Load", timely(filepath.Join(c.dir, c.role.certificate()), m.cert.Leaf, c.now()))
}

// Expires is when the certificate in use does.
func (c *Config) Expires() time.Time { return c.current().cert.Leaf.NotAfter }

// current is what is in use, after a look at the files. Of a pair that is being replaced the first file may
// have come and the second not: the old pair stays until they fit, and the look at the next connection sees it.
func (c *Config) current() *material {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := look(c.dir, c.role) // before they are read: a change in between is seen the next time
	if seen.same(c.seen) {
		return c.have
	}
	c.seen = seen
	m, err := read(c.dir, c.role, c.now())
	if c.problem = doing("certs.Load", err); err == nil {
		c.have = m
	}
	return c.have
}

func look(dir string, r Role) (s stamp) {
	for i, name := range []string{authorityCertificate, r.certificate(), r.key()} {
		s[i], _ = os.Stat(filepath.Join(dir, name)) // nil if it cannot be seen, which reading will explain
	}
	return s
}

func (s stamp) same(other stamp) bool {
	for i, a := range s {
		b := other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || !a.ModTime().Equal(b.ModTime()) || a.Size() != b.Size() || a.Mode() != b.Mode() {
			return false
		}
	}
	return true
}

// base is what both sides have in common. Connections are kept, so resuming sessions would save nothing, and
// records are full from the first on, for nobody can use half a frame.
func base() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true}
}

// read loads what a role needs and refuses what does not fit (C3).
func read(dir string, r Role, now time.Time) (*material, error) {
	at := func(name string) string { return filepath.Join(dir, name) }
	authorities, _, err := readCertificates(at(authorityCertificate))
	if err != nil {
		return nil, err
	}
	list, text, err := readCertificates(at(r.certificate()))
	if err != nil {
		return nil, err
	}
	secret, err := readKeyText(at(r.key()))
	if err != nil {
		return nil, err
	}
	m := &material{pool: x509.NewCertPool()}
	if m.cert, err = tls.X509KeyPair(text, secret); err != nil {
		return nil, fault(message.Corrupt, at(r.key()), "and %s do not fit (%v): copy both from where they were made", r.certificate(), err)
	}
	m.cert.Leaf = list[0]
	for _, a := range authorities {
		m.pool.AddCert(a)
	}
	if err := fits(at(r.certificate()), r, list, m.pool, now); err != nil {
		return nil, err
	}
	m.server = base()
	m.server.Certificates = []tls.Certificate{m.cert}
	m.server.ClientAuth, m.server.ClientCAs = tls.RequireAndVerifyClientCert, m.pool
	return m, nil
}

// fits judges a certificate: whose, when, and signed by whom.
func fits(path string, r Role, list []*x509.Certificate, pool *x509.CertPool, now time.Time) error {
	leaf := list[0]
	whose, err := RoleOf(leaf)
	if err != nil {
		return fault(message.Forbidden, path, "cannot be used: %v", err)
	}
	if whose != r {
		return fault(message.Forbidden, path, "is the certificate of %s, not of %s: copy the right one", whose, r)
	}
	if err := timely(path, leaf, now); err != nil {
		return err
	}
	o := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range list[1:] {
		o.Intermediates.AddCert(c)
	}
	uses := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if r.serves() {
		uses = append(uses, x509.ExtKeyUsageServerAuth)
	}
	for _, use := range uses {
		o.KeyUsages = []x509.ExtKeyUsage{use}
		if _, err := leaf.Verify(o); err != nil {
			return fault(message.Forbidden, path, "is not signed by %s beside it for this use (%v): copy both from where they were made", authorityCertificate, err)
		}
	}
	return nil
}

// timely says that a certificate is valid now.
func timely(path string, c *x509.Certificate, now time.Time) error {
	if now.After(c.NotAfter) {
		return fault(message.Forbidden, path, "expired on %s: renew the certificates", day(c.NotAfter))
	}
	if now.Before(c.NotBefore) {
		return fault(message.Forbidden, path, "is valid from %s, and here it is %s: set the clock", c.NotBefore.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
