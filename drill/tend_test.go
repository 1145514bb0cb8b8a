package drill

import (
	"slices"
	"strings"
	"testing"
)

// A world whose nodes absorb writes, and lose them when they are killed, passes; one that forgets them otherwise fails.
func TestDrillOfAbsorbingWorld(t *testing.T) {
	for _, b := range []bug{correct, dropsAbsorbed} {
		w, cfg := newWorld(5, b), testConfig()
		w.back, cfg.WriteBack = true, true
		cfg.Script, _ = ParseScript(strings.Repeat("sleep 0.7\nkill 1\nsleep 0.2\nrevive 1\nsleep 0.7\nkill 2\nsleep 0.2\nrevive 2\n", 15) + "sleep 1\n")
		cfg.Length, cfg.Clients = 0, 5
		res := drillWorld(t, w, cfg)
		t.Log(res.Story())
		if res.OK() != (b == correct) || res.Absorbed == nil || res.Absorbed.Writes < 100 || !strings.Contains(res.Story(), "writes absorbed") {
			t.Errorf("%q: it does not end as it should, or shows nothing", b)
		}
		if b == correct && len(res.Absorbed.Lost) == 0 {
			t.Error("nothing was lost: the drill shows nothing")
		}
		if b != correct && slices.ContainsFunc(res.Findings, func(f Finding) bool { return f.Check == Undecided }) {
			t.Error("not everything was judged")
		}
	}
}
