package certs

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"dmalloc/message"
)

// maxHosts keeps a certificate well below what a handshake takes.
const maxHosts = 1000

// names are where nodes are reached.
type names struct {
	dns []string
	ips []net.IP
}

// parseHosts sorts hosts into names and addresses, without repetitions, this machine's own first.
func parseHosts(hosts []string) (names, error) {
	if len(hosts) > maxHosts {
		return names{}, message.Errorf(message.InvalidArgument, "%d hosts were given; a certificate names at most %d", len(hosts), maxHosts)
	}
	var n names
	for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		if ip, err := netip.ParseAddr(h); err == nil && ip.Zone() == "" {
			n.address(net.IP(ip.Unmap().AsSlice()))
			continue
		}
		if !isName(h) {
			return names{}, message.Errorf(message.InvalidArgument, "%q is no host's name or address; give it without a port, brackets or a zone", h)
		}
		if h = strings.ToLower(h); !slices.Contains(n.dns, h) {
			n.dns = append(n.dns, h)
		}
	}
	return n, nil
}

func (n *names) address(ip net.IP) {
	if !slices.ContainsFunc(n.ips, ip.Equal) {
		n.ips = append(n.ips, ip)
	}
}

// isName says whether a text is the name of one host.
func isName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
				return false
			}
		}
	}
	return true
}

// namesOf are those in a role's present certificate, or in node 0's where it has none; as a last resort those given.
func namesOf(dir string, r Role, otherwise names) (names, error) {
	for _, from := range []Role{r, Node(0)} {
		path := filepath.Join(dir, from.certificate())
		if !from.serves() || !exists(path) {
			continue
		}
		list, _, err := readCertificates(path)
		if err != nil {
			return names{}, err
		}
		return names{dns: list[0].DNSNames, ips: list[0].IPAddresses}, nil
	}
	return otherwise, nil
}
