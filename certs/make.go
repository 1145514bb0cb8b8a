package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dmalloc/message"
)

const (
	authorityYears = 10
	roleYears      = 1
	skew           = time.Hour // certificates begin earlier by it, for hosts whose clocks are behind
)

// Make writes a new authority, and certificates of nodes 0 to nodes-1, of the launcher and of clients, into a
// directory that holds none. hosts are the names and addresses at which nodes are reached; localhost,
// 127.0.0.1 and ::1 need not be given.
func Make(dir string, hosts []string, nodes int) error {
	return MakeAt(dir, hosts, nodes, time.Now())
}

// MakeAt is Make at a moment given.
func MakeAt(dir string, hosts []string, nodes int, now time.Time) error {
	return doing("certs.Make", makeAll(dir, hosts, nodes, now))
}

// doing says in an error what was being done.
func doing(op string, err error) error {
	var e *message.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	own := *e
	own.Op = op
	return &own
}

func makeAll(dir string, hosts []string, nodes int, now time.Time) (err error) {
	names, err := parseHosts(hosts)
	if err != nil {
		return err
	}
	if nodes < 1 || nodes > int(message.MaxNodes) {
		return message.Errorf(message.InvalidArgument, "certificates for %d nodes were asked for; a heap has 1 to %d", nodes, message.MaxNodes)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unwritten(dir, err)
	}
	all := roles(nodes)
	if have := occupied(dir, all); have != "" {
		return fault(message.InvalidArgument, filepath.Join(dir, have), "is there already, and nothing is overwritten: choose an empty directory, or renew what is there")
	}
	// Of two who make at once, one creates the key's file; the other has lost.
	claim, err := os.OpenFile(filepath.Join(dir, authorityKey), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return unwritten(filepath.Join(dir, authorityKey), err)
	}
	_ = claim.Close() // nothing was written to it
	written := []string{authorityKey}
	defer func() {
		if err != nil {
			for _, name := range written {
				_ = os.Remove(filepath.Join(dir, name))
			}
		}
	}()
	a, err := newAuthority(now)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, authorityKey), a.key); err != nil {
		return err
	}
	for _, r := range all {
		written = append(written, r.key(), r.certificate())
		if err := a.issue(dir, r, names, now); err != nil {
			return err
		}
	}
	written = append(written, authorityCertificate)
	if err := write(filepath.Join(dir, authorityCertificate), encodeCertificate(a.cert.Raw), 0o644); err != nil { // last (C1)
		return err
	}
	return keep(dir)
}

// Renew signs what is in a directory anew, for another year, and makes what is missing there up to the number
// of nodes given. No hosts and 0 nodes mean as it is. Keys stay, so that only the certificates change, each at
// once; running processes take them at their next connections. The authority's key must be there.
func Renew(dir string, hosts []string, nodes int) error {
	return RenewAt(dir, hosts, nodes, time.Now())
}

// RenewAt is Renew at a moment given.
func RenewAt(dir string, hosts []string, nodes int, now time.Time) error {
	return doing("certs.Renew", renewAll(dir, hosts, nodes, now))
}

func renewAll(dir string, hosts []string, nodes int, now time.Time) error {
	if nodes < 0 || nodes > int(message.MaxNodes) {
		return message.Errorf(message.InvalidArgument, "certificates for %d nodes were asked for; a heap has 1 to %d", nodes, message.MaxNodes)
	}
	names, err := parseHosts(hosts)
	if err != nil {
		return err
	}
	a, err := readAuthority(dir, now)
	if err != nil {
		return err
	}
	all := roles(nodes)
	for n := nodes; n < int(message.MaxNodes); n++ {
		if r := Node(message.NodeID(n)); exists(filepath.Join(dir, r.certificate())) {
			all = append(all, r)
		}
	}
	for _, r := range all {
		named := names
		if len(hosts) == 0 {
			if named, err = namesOf(dir, r, names); err != nil {
				return err
			}
		}
		if err := a.issue(dir, r, named, now); err != nil {
			return err
		}
	}
	return keep(dir)
}

// roles are all that a heap of n nodes has.
func roles(n int) []Role {
	all := []Role{Launcher, Client}
	for i := range n {
		all = append(all, Node(message.NodeID(i)))
	}
	return all
}

// occupied is the first file that Make would have to overwrite.
func occupied(dir string, all []Role) string {
	names := []string{authorityKey, authorityCertificate}
	for _, r := range all {
		names = append(names, r.certificate(), r.key())
	}
	if i := slices.IndexFunc(names, func(name string) bool { return exists(filepath.Join(dir, name)) }); i >= 0 {
		return names[i]
	}
	return ""
}

// authority signs.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	var id [4]byte // tells two authorities apart, for people and where one follows another
	if _, err := rand.Read(id[:]); err != nil {
		return nil, &message.Error{Code: message.Internal, Text: "no random numbers", Err: err}
	}
	c := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "dmalloc authority " + hex.EncodeToString(id[:])},
		NotBefore: now.Add(-skew), NotAfter: now.AddDate(authorityYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &authority{cert: c, key: key}
	der, err := a.sign(c, key.Public())
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, &message.Error{Code: message.Internal, Text: "the authority's certificate was made badly", Err: err}
	}
	return a, nil
}

// readAuthority reads one that Make wrote. Of several certificates the one that fits the key counts.
func readAuthority(dir string, now time.Time) (*authority, error) {
	path := filepath.Join(dir, authorityKey)
	key, err := readKey(path)
	if err != nil {
		return nil, err
	}
	list, _, err := readCertificates(filepath.Join(dir, authorityCertificate))
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	i := slices.IndexFunc(list, func(c *x509.Certificate) bool { return ok && public.Equal(c.PublicKey) })
	if i < 0 {
		return nil, fault(message.InvalidArgument, path, "is not the key of %s: copy both from where they were made", authorityCertificate)
	}
	if end := list[i].NotAfter; now.After(end) {
		return nil, fault(message.Forbidden, filepath.Join(dir, authorityCertificate), "expired on %s: make a new authority", day(end))
	}
	return &authority{cert: list[i], key: key}, nil
}

// issue writes a role's certificate, and its key if there is none.
func (a *authority) issue(dir string, r Role, n names, now time.Time) error {
	path := filepath.Join(dir, r.key())
	var key crypto.Signer
	var err error
	if exists(path) {
		key, err = readKey(path)
	} else if key, err = newKey(); err == nil {
		err = writeKey(path, key)
	}
	if err != nil {
		return err
	}
	uri, err := url.Parse(r.uri())
	if err != nil {
		return &message.Error{Code: message.Internal, Text: "the role has no URI", Err: err}
	}
	end := now.AddDate(roleYears, 0, 0)
	if end.After(a.cert.NotAfter) {
		end = a.cert.NotAfter
	}
	c := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "dmalloc " + r.String()},
		NotBefore: now.Add(-skew), NotAfter: end,
		URIs:                  []*url.URL{uri},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if r.serves() {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		c.DNSNames, c.IPAddresses = n.dns, n.ips
	}
	der, err := a.sign(c, key.Public())
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, r.certificate()), encodeCertificate(der), 0o644)
}

func (a *authority) sign(c *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	if err != nil {
		return nil, &message.Error{Code: message.Internal, Text: "the certificate of " + c.Subject.CommonName + " cannot be made", Err: err}
	}
	return der, nil
}

func newKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, &message.Error{Code: message.Internal, Text: "a key cannot be made", Err: err}
	}
	return key, nil
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return &message.Error{Code: message.Internal, Text: "a key cannot be encoded", Err: err}
	}
	return write(path, pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der}), 0o600)
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateType, Bytes: der})
}
