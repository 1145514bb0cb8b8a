package client

import (
	"dmalloc/certs"
	"dmalloc/transport"
)

// Options are how a client connects. The zero value is plain TCP, for nodes that have no certificates.
type Options struct {
	Certs *certs.Config // as whom this side acts, and whom it trusts; nil: no TLS
	// Launcher says that this side starts the nodes. With certificates theirs say so, and this says nothing.
	Launcher bool
	Confirm  bool // each read is confirmed by a majority: Config.Confirm
}

// TLS is for connections to nodes and between them, nil for none.
func (o Options) TLS() *transport.TLS {
	if o.Certs == nil {
		return nil
	}
	return &transport.TLS{Server: o.Certs.Server(), Client: o.Certs.Client, Whose: certs.Whose, Launches: certs.Launches}
}

// LauncherTLS is for connections to the launcher, whose id on them is a node's elsewhere.
func (o Options) LauncherTLS() *transport.TLS {
	t := o.TLS()
	if t != nil {
		t.Whose = certs.WhoseAtLauncher(LauncherID)
	}
	return t
}
