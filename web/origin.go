package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"dmalloc/message"
)

// sameSite refuses what a page of another site makes its visitor's browser send (W5). A browser says in Origin
// where a request comes from. A page whose name was made to point here afterwards (DNS rebinding) has an Origin
// that fits, but its own name in Host. Nobody can point an IP address elsewhere, so those are always taken.
func (s *Server) sameSite(r *http.Request) error {
	if r.Host != "" && !s.knownHost(r.Host) {
		return message.Errorf(message.Forbidden, "the request is for host %s, which is not this node's name; use its IP address, or have the node take that name", message.Quote(r.Host))
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return message.Errorf(message.Forbidden, "the request comes from a page of %s, and this is %s; pages of other sites may not use the heap", message.Quote(origin), message.Quote(r.Host))
		}
	}
	return nil
}

// knownHost says whether a Host header names this node: an IP address, localhost or a configured name.
func (s *Server) knownHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return s.names[strings.ToLower(strings.TrimSuffix(name, "."))]
}
