package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"dmalloc/message"
)

// TLS makes every connection of a Transport TLS with certificates on both sides (T8). Package certs makes and
// loads what it needs; several Transports may share one.
type TLS struct {
	// Server is for connections that are accepted. It must ask for a certificate and verify it. A client has none.
	Server *tls.Config
	// Client is for connections that this side makes, asked for each, so that what it gives can be renewed.
	Client func() *tls.Config
	// Whose says which node a certificate belongs to, NoNode for a client. Its signature was verified before.
	Whose func(*x509.Certificate) (message.NodeID, error)
	// Launches says whether a certificate that is no node's is the launcher's. nil: none is.
	Launches func(*x509.Certificate) bool
}

func (s *TLS) check(listens bool) error {
	switch {
	case s == nil:
		return nil
	case s.Client == nil || s.Whose == nil:
		return message.Errorf(message.InvalidArgument, "TLS needs Client and Whose")
	case listens && (s.Server == nil || s.Server.ClientAuth != tls.RequireAndVerifyClientCert):
		return message.Errorf(message.InvalidArgument, "TLS needs a Server that requires certificates and verifies them")
	}
	return nil
}

// secure is a TLS connection as this package uses one. Close says no goodbye, for that could wait on a peer that
// does not read; frames have their length, so that nothing that was cut off is taken for whole.
type secure struct{ *tls.Conn }

func (s secure) Close() error { return s.NetConn().Close() }

// shake is the server's handshake. Who is not let in is told why in its own language, TLS or plain.
func (t *Transport) shake(nc net.Conn) (net.Conn, bool) {
	if t.cfg.TLS == nil {
		return nc, true
	}
	s := secure{tls.Server(nc, t.cfg.TLS.Server)}
	err := s.Handshake() // ends with the deadline, or with nc
	if err == nil {
		return s, true
	}
	t.count(handshakesFailed)
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil {
		refuse(nc, refusalFrame(t.cfg.Self, message.Errorf(message.Forbidden,
			"node %s takes TLS connections only: give this side the certificates of its heap", t.cfg.Self)))
		return nil, false
	}
	drain(nc) // TLS has sent its alert, which must not be lost
	return nil, false
}

// holder says whose certificate the other side of a connection has shown.
func (t *Transport) holder(nc net.Conn) (message.NodeID, *message.Error) {
	state := nc.(secure).ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return message.NoNode, message.Errorf(message.Forbidden, "no certificate was shown and verified")
	}
	n, err := t.cfg.TLS.Whose(state.PeerCertificates[0])
	if err != nil {
		return message.NoNode, message.Errorf(message.Forbidden, "%v", err)
	}
	return n, nil
}

// entitled says why the certificate does not allow the hello that came after it, nil if it does: a node's is
// for this node, and for clients.
func (t *Transport) entitled(nc net.Conn, h hello) *message.Error {
	if t.cfg.TLS == nil {
		return nil
	}
	n, why := t.holder(nc)
	if why == nil && h.from != message.NoNode && h.from != n && !plantedName {
		why = message.Errorf(message.Forbidden, "the certificate shown is %s, and the hello claims to be %s: use the certificate of that node",
			possessive(n), person(h.from))
	}
	return why
}

func person(n message.NodeID) string {
	if n == message.NoNode {
		return "a client"
	}
	return "node " + n.String()
}

func possessive(n message.NodeID) string { return person(n) + "'s" }

// wrap is the client's handshake on a connection that was dialled.
func (t *Transport) wrap(nc net.Conn, address string) (net.Conn, error) {
	if t.cfg.TLS == nil {
		return nc, nil
	}
	c := t.cfg.TLS.Client()
	if c == nil {
		return nil, message.Errorf(message.Internal, "there is no TLS configuration to dial with")
	}
	c = c.Clone()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	c.ServerName = host
	first := &firstBytes{Conn: nc}
	s := secure{tls.Client(first, c)}
	if err := s.Handshake(); err != nil {
		return nil, explain(err, first)
	}
	return s, nil
}

// genuine says why whoever answered is not who its certificate says.
func (t *Transport) genuine(nc net.Conn, h hello) error {
	if t.cfg.TLS == nil {
		return nil
	}
	n, why := t.holder(nc)
	if why == nil && n != h.from && !plantedName {
		why = message.Errorf(message.Forbidden, "%s answered with %s certificate", person(h.from), possessive(n))
	}
	if why != nil {
		return why
	}
	return nil
}

// firstBytes remembers how the other side's first record begins, which tells TLS from what is not.
type firstBytes struct {
	net.Conn
	head [3]byte
	n    int
}

func (f *firstBytes) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if f.n < len(f.head) {
		f.n += copy(f.head[f.n:], b[:n])
	}
	return n, err
}

// plain says whether the other side spoke, and not TLS.
func (f *firstBytes) plain() bool { return f.n == len(f.head) && !likeTLS(f.head[:]) }

// likeTLS says whether a record of TLS may begin so: its type, and 3 as the major version. A hello or refusal
// begins with its length, which never looks like this.
func likeTLS(head []byte) bool { return head[0] >= 20 && head[0] <= 23 && head[1] == 3 }

// explain says what a failed handshake means for who dialled.
func explain(err error, first *firstBytes) error {
	var unverified *tls.CertificateVerificationError
	switch {
	case first.plain():
		return message.Errorf(message.Forbidden, "the other side does not speak TLS, and this side does: give both the heap's certificates, or neither")
	case errors.As(err, &unverified):
		return &message.Error{Code: message.Forbidden, Text: "the certificate of the other side was not accepted" + advice(unverified.Err), Err: unverified.Err}
	}
	return fmt.Errorf("TLS handshake: %w", rejected(err))
}

// rejected explains an alert of the other side. TLS 1.3 has the client finish first: what the other side thinks
// of its certificate comes where the hello is awaited.
func rejected(err error) error {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return err
	}
	return &message.Error{Code: message.Forbidden, Text: "the other side refused this side's TLS: renew its certificate, or copy it again from where it was made", Err: remote.Err}
}

// advice on a certificate that could not be verified.
func advice(err error) string {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var stranger x509.UnknownAuthorityError
	switch {
	case errors.As(err, &stranger):
		return ", for another authority has signed it: copy the certificates of both sides from one place"
	case errors.As(err, &name):
		return ", for it does not name this host: renew it with all hosts"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return ", for it has expired or is not valid yet: renew it, or set the clock"
	}
	return ""
}
