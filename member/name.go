package member

import (
	"net"
	"net/netip"
	"strconv"

	"dmalloc/message"
)

// Addresses are made up: memberlist wants an IP and a port for each name. Node ids fill the last three bytes
// of 10.0.0.0/8, which memberlist takes for private.
const (
	port  = 7946
	maxID = 1<<24 - 1
)

func name(id message.NodeID) string { return "n" + strconv.FormatUint(uint64(id), 10) }

func ip(id message.NodeID) net.IP { return net.IP{10, byte(id >> 16), byte(id >> 8), byte(id)} }

func hostport(id message.NodeID) string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip(id))), port).String()
}

// parseName reads what name writes, and nothing else.
func parseName(s []byte) (message.NodeID, bool) {
	if len(s) < 2 || len(s) > 9 || s[0] != 'n' || s[1] == '0' && len(s) > 2 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range s[1:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return message.NodeID(n), n <= maxID
}

// parseAddress reads what hostport writes.
func parseAddress(s string) (message.NodeID, bool) {
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() != port || !a.Addr().Is4() {
		return 0, false
	}
	b := a.Addr().As4()
	return message.NodeID(b[1])<<16 | message.NodeID(b[2])<<8 | message.NodeID(b[3]), b[0] == 10
}

// address is a node as memberlist's logs show it.
type address message.NodeID

func (address) Network() string  { return "gossip" }
func (a address) String() string { return hostport(message.NodeID(a)) }
