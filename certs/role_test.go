package certs

import (
	"crypto/x509"
	"net/url"
	"testing"

	"dmalloc/message"
)

func TestWhose(t *testing.T) {
	with := func(uris ...string) *x509.Certificate {
		c := &x509.Certificate{}
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
		return c
	}
	for _, c := range []struct {
		cert     *x509.Certificate
		ok       bool
		node     message.NodeID
		launcher message.NodeID
	}{
		{with("dmalloc://clusterless/node/0"), true, 0, message.NoNode},
		{with("dmalloc://clusterless/node/17"), true, 17, message.NoNode},
		{with("dmalloc://clusterless/client"), true, message.NoNode, message.NoNode},
		{with("dmalloc://clusterless/launcher"), true, message.NoNode, 0},
		{with(), false, 0, 0},
		{with("dmalloc://clusterless/node/1", "dmalloc://clusterless/node/2"), false, 0, 0},
		{with("dmalloc://clusterless/client", "https://example.org/"), false, 0, 0},
		{with("dmalloc://clusterless/node/01"), false, 0, 0},
		{with("dmalloc://clusterless/node-1"), false, 0, 0},
		{with("dmalloc://clusterless/node/1/"), false, 0, 0},
		{with("dmalloc://clusterless/node/1?x"), false, 0, 0},
		{with("dmalloc://clusterless/node/"), false, 0, 0},
		{with("dmalloc://clusterless/node/4294967295"), false, 0, 0},
		{with("dmalloc://clusterless/"), false, 0, 0},
		{with("dmalloc://clusterless/node/client"), false, 0, 0},
		{with("dmalloc://elsewhere/node/1"), false, 0, 0},
		{with("https://clusterless/node/1"), false, 0, 0},
	} {
		n, err := Whose(c.cert)
		l, lerr := WhoseAtLauncher(0)(c.cert)
		if (err == nil) != c.ok || (lerr == nil) != c.ok || c.ok && (n != c.node || l != c.launcher) {
			t.Errorf("%v: node %v %v, at the launcher %v %v", c.cert.URIs, n, err, l, lerr)
		}
	}
}
