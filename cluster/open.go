package cluster

import (
	"fmt"
	"net"
	"strings"

	"dmalloc/message"
)

// OpenError is the refusal to listen where others can connect while nothing tells friends from strangers.
type OpenError struct{ Address string }

func (e *OpenError) Error() string {
	address, any := strings.CutSuffix(e.Address, ":0")
	if any {
		address += ", at any port,"
	}
	return fmt.Sprintf("%s can be reached from other machines, and whoever reaches it could read and change everything: make certificates with dmalloc certs DIR and give --certs DIR, or accept that with --insecure", address)
}

// Unwrap gives its class.
func (e *OpenError) Unwrap() error { return &message.Error{Code: message.Forbidden} }

// guarded refuses an open address without certificates, unless that was accepted.
func (c *Config) guarded(addresses ...string) error {
	if c.Certs != "" || c.Insecure {
		return nil
	}
	return Loopback(addresses...)
}

// Guarded does the same for a node, which may have been started by hand.
func (c *NodeConfig) Guarded() error {
	own := Config{Certs: c.Certs, Insecure: c.Insecure}
	return own.guarded(c.Listen, c.HTTPListen)
}

// Loopback is an OpenError for the first of some addresses at which others may connect. Names are not looked
// up, for what they mean is another's to say and may change: of these only localhost is taken.
func Loopback(addresses ...string) error {
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err != nil || host != localHost && (ip == nil || !ip.IsLoopback()) {
			return &OpenError{a}
		}
	}
	return nil
}
