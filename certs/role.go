package certs

import (
	"crypto/x509"
	"strconv"
	"strings"

	"dmalloc/message"
)

// Role is as whom a process acts; its files are called by it, with .crt and .key behind.
type Role string

const (
	Client   Role = "client"   // shells, programs that use the Go client, HTTP clients
	Launcher Role = "launcher" // who starts and signals the processes of nodes
)

const (
	nodePrefix = "node-"
	uriPrefix  = "dmalloc://clusterless/"
)

// Node is the role of a node.
func Node(n message.NodeID) Role { return Role(nodePrefix + n.String()) }

// node is the id in a node's role.
func (r Role) node() (message.NodeID, bool) {
	digits, ok := strings.CutPrefix(string(r), nodePrefix)
	if !ok {
		return message.NoNode, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n >= uint64(message.MaxNodes) || strconv.FormatUint(n, 10) != digits {
		return message.NoNode, false
	}
	return message.NodeID(n), true
}

func (r Role) valid() bool {
	_, node := r.node()
	return node || r == Client || r == Launcher
}

// serves says whether the role listens.
func (r Role) serves() bool { return r != Client }

// String is how people call it: "node 3".
func (r Role) String() string {
	if n, ok := r.node(); ok {
		return "node " + n.String()
	}
	return string(r)
}

func (r Role) certificate() string { return string(r) + ".crt" }
func (r Role) key() string         { return string(r) + ".key" }

// uri stands in the role's certificate.
func (r Role) uri() string {
	if n, ok := r.node(); ok {
		return uriPrefix + "node/" + n.String()
	}
	return uriPrefix + string(r)
}

// RoleOf reads whose a certificate is. It holds C5, and does not look at signatures.
func RoleOf(c *x509.Certificate) (Role, error) {
	if len(c.URIs) != 1 {
		return "", message.Errorf(message.Forbidden, "the certificate of %q has %d URIs, and needs the one that says whose it is, as %s",
			c.Subject.CommonName, len(c.URIs), Node(0).uri())
	}
	text := c.URIs[0].String()
	rest, ok := strings.CutPrefix(text, uriPrefix)
	if digits, node := strings.CutPrefix(rest, "node/"); ok && node {
		rest = nodePrefix + digits
	}
	// Writing it again keeps other spellings of the same role out.
	if r := Role(rest); ok && r.valid() && r.uri() == text {
		return r, nil
	}
	return "", message.Errorf(message.Forbidden, "the certificate of %q is for %q, which is nobody in a heap; nodes have %s",
		c.Subject.CommonName, text, Node(0).uri())
}

// Whose is for ports of nodes: which node a certificate belongs to, NoNode if to a client or the launcher.
func Whose(c *x509.Certificate) (message.NodeID, error) {
	r, err := RoleOf(c)
	if err != nil {
		return message.NoNode, err
	}
	if n, ok := r.node(); ok {
		return n, nil
	}
	return message.NoNode, nil
}

// Launches says whether a certificate is the launcher's.
func Launches(c *x509.Certificate) bool {
	r, err := RoleOf(c)
	return err == nil && r == Launcher
}

// WhoseAtLauncher is for the launcher's port, at which the launcher goes by the id given and everybody else
// is its client.
func WhoseAtLauncher(launcher message.NodeID) func(*x509.Certificate) (message.NodeID, error) {
	return func(c *x509.Certificate) (message.NodeID, error) {
		r, err := RoleOf(c)
		if err != nil || r != Launcher {
			return message.NoNode, err
		}
		return launcher, nil
	}
}

func (r Role) check() error {
	if r.valid() {
		return nil
	}
	return message.Errorf(message.InvalidArgument, "nobody is called %q: there are %s, %s, and nodes from 0 to %d", string(r), Client, Launcher, message.MaxNodes-1)
}
