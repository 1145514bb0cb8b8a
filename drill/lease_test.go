package drill

import (
	"strings"
	"testing"

	"dmalloc/message"
)

func granted(company message.CompanyID, call, end int64, token uint64) Grant {
	return Grant{Call: call, Return: end, Lease: message.Lease{Company: company, Token: token, Mode: "w"}}
}

func TestTokensGrow(t *testing.T) {
	for name, c := range map[string]struct {
		grants []Grant
		wrong  bool
	}{
		"one after another":    {[]Grant{granted(1, 1, 2, 5), granted(1, 3, 4, 6)}, false},
		"at once, either way":  {[]Grant{granted(1, 1, 4, 6), granted(1, 2, 3, 5), granted(1, 5, 6, 7)}, false},
		"in two companies":     {[]Grant{granted(1, 1, 2, 9), granted(2, 3, 4, 5)}, false},
		"older":                {[]Grant{granted(1, 3, 4, 5), granted(1, 1, 2, 6)}, true},
		"older than the first": {[]Grant{granted(1, 1, 2, 8), granted(1, 1, 9, 9), granted(1, 3, 4, 10), granted(1, 5, 6, 7)}, true},
		"twice":                {[]Grant{granted(1, 1, 4, 5), granted(1, 2, 3, 5)}, true},
		"none":                 {nil, false},
	} {
		if f := tokens(c.grants); (len(f) > 0) != c.wrong || c.wrong && f[0].Check != Leases {
			t.Errorf("%s: %v", name, f)
		}
	}
}

func TestClientsTakeLeases(t *testing.T) {
	for _, c := range []struct {
		leases      Leasing
		writeBack   bool
		some, alone bool
	}{{AnyLease, false, true, true}, {AnyLease, true, true, true}, {NoLeases, false, false, false}, {NoLeases, true, false, false}} {
		w, cfg := newWorld(5, correct), testConfig()
		cfg.Leases, cfg.WriteBack = c.leases, c.writeBack
		res := drillWorld(t, w, cfg)
		if !res.OK() || (w.modes["r"] > 5) != c.some || (w.modes["w"] > 0) != c.alone || (res.Leases > 20) != c.some || (res.History.Given > 5) != c.some {
			t.Errorf("%+v: %v, %d given back\n%s", c, w.modes, res.History.Given, res.Story())
		}
		if said := strings.Contains(res.Story(), "writes absorbed"); said != (c.some && c.writeBack) {
			t.Errorf("%+v:\n%s", c, res.Story())
		}
	}
}
