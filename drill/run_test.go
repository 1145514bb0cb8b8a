package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmalloc/message"
)

func testConfig() Config {
	return Config{Seed: 7, Length: 10 * time.Second, Nodes: 5, Replicas: 5, Companies: 1, Heal: 10 * time.Second, Clients: 4, Rate: 100, Timeout: time.Second}
}

// drillWorld runs a drill on a world in time that passes only as the drill waits.
func drillWorld(t *testing.T, w *world, cfg Config) (res *Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if res, err = Run(t.Context(), w.cluster(), cfg, nil); err != nil {
			t.Fatal(err)
		}
	})
	return res
}

func TestCorrectHeapPasses(t *testing.T) {
	w := newWorld(5, correct)
	res := drillWorld(t, w, testConfig())
	t.Log(res.Story())
	if !res.OK() || len(res.Findings) != 0 {
		t.Fatal("a correct heap failed")
	}
	if res.Operations < 1000 || res.Unknown == 0 || len(res.Faults) < 3 || res.LongestMS == 0 {
		t.Errorf("the run proves little: %+v", res)
	}
	if len(w.blocks) != 0 || len(w.dead) != 0 || len(w.ice) != 0 {
		t.Errorf("left behind: %d blocks, dead %v, frozen %v", len(w.blocks), w.dead, w.ice)
	}
	j, err := res.JSON()
	var back map[string]any
	if err != nil || json.Unmarshal(j, &back) != nil || back["verdict"] != "pass" || back["seed"] != 7.0 {
		t.Errorf("%s %v", j, err)
	}
	var page bytes.Buffer
	if err := res.WriteHTML(&page); err != nil || !strings.Contains(page.String(), "<html") {
		t.Errorf("no page: %v", err)
	}
}

// Each promise that is broken is found, with the check that is named for it.
func TestBrokenHeapsFail(t *testing.T) {
	for _, c := range []struct {
		bug    bug
		checks []string
	}{
		{losesWrite, []string{Lost, Stale, NotLinear}},
		{staleRead, []string{Stale, Lost, NotLinear}},
		{appliesTwice, []string{Twice, NotLinear}},
		{noWriteBack, []string{Stale, NotLinear, Lost}},
		{overlapping, []string{Overlap}},
		{keepsBytes, []string{Invented}},
		{freedIsRead, []string{Reused}},
		{leaks, []string{Leak}},
		{tears, []string{Invented}},
		{losesBlock, []string{Lost}},
		{mallocsTwice, []string{Twice, Leak}},
		{oldTokens, []string{Leases}},
		{neverHeals, []string{Stuck}},
	} {
		t.Run(string(c.bug), func(t *testing.T) {
			res := drillWorld(t, newWorld(5, c.bug), testConfig())
			if res.OK() {
				t.Fatal("it passed")
			}
			seen := map[string]bool{}
			for _, f := range res.Findings {
				seen[f.Check] = true
			}
			for _, want := range c.checks {
				if seen[want] {
					t.Log(res.Story())
					if e := res.Example(); e != nil {
						var page bytes.Buffer
						if err := res.WriteHTML(&page); err != nil || page.Len() < 1000 {
							t.Errorf("no picture: %v", err)
						}
					}
					return
				}
			}
			t.Errorf("found, but by none of %v:\n%s", c.checks, res.Story())
		})
	}
}

// A fault that cannot be injected fails the drill, also when the heap is fine.
func TestRefusedFaultFails(t *testing.T) {
	w := newWorld(5, correct)
	script := "sleep 1\nclock 1 +2s\nsleep 1\nkill 2\nsleep 1\nrevive 2\n"
	w.refuse["clock 1 +2s"] = message.Errorf(message.Unsupported, "no clock")
	cfg := testConfig()
	cfg.Script, _ = ParseScript(script)
	cfg.Length = 0
	res := drillWorld(t, w, cfg)
	if res.OK() || len(res.Findings) != 1 || res.Findings[0].Check != NotInject {
		t.Fatal(res.Story())
	}
	if res.Steps[0].After != time.Second {
		t.Errorf("the first pause is written down as %v", res.Steps[0].After)
	}
	if res.Faults["kill"] != 1 || res.Faults["clock"] != 0 {
		t.Errorf("%v", res.Faults)
	}
}

// What could not be begun is not ended either.
func TestRefusedFaultIsNotEnded(t *testing.T) {
	w := newWorld(5, correct)
	w.refuse["kill 2"] = message.Errorf(message.Unsupported, "no helper")
	cfg := testConfig()
	cfg.Script, _ = ParseScript("sleep 1\nkill 2\nsleep 1\nrevive 2\nsleep 1")
	res := drillWorld(t, w, cfg)
	if got := strings.Join(w.lines, "; "); got != "kill 2; heal" || res.OK() || len(res.Faults) != 0 {
		t.Errorf("%s\n%s", got, res.Story())
	}
}

// Mallocs without an answer leave allocations that nobody knows: they are found by their sizes and freed.
func TestSilentMallocPasses(t *testing.T) {
	w := newWorld(5, silentMalloc)
	if res := drillWorld(t, w, testConfig()); !res.OK() || len(res.History.Lost) < 3 || len(w.blocks) != 0 {
		t.Error(res.Story(), len(w.blocks))
	}
}

// Whatever a script leaves undone is ended, what is no fault of the cluster's is none, and damaged files are
// thrown away when the node refuses them.
func TestClosesAndMends(t *testing.T) {
	for _, c := range []struct{ script, refused, then, kinds string }{
		{"sleep 2\nkill 2\nsleep 1\npause 1\nsleep 1", "", "revive 2", "1 kill, 1 pause"},
		{"sleep 3\nrevive 2", "", "heal", "none"},
		{"sleep 2\nkill 2\nsleep 1\ncorrupt 2\nrevive 2", "revive 2", "revive 2 --wipe", "1 corrupt, 1 kill, 1 wipe"},
	} {
		w := newWorld(5, correct)
		if c.refused != "" {
			w.refuse[c.refused] = message.Errorf(message.Corrupt, "kept files were altered")
		}
		cfg := testConfig()
		cfg.Script, _ = ParseScript(c.script)
		res := drillWorld(t, w, cfg)
		if !res.OK() || len(w.dead)+len(w.ice) != 0 || !strings.Contains(res.Script(), "\n"+c.then+"\n") || res.faultList() != c.kinds {
			t.Errorf("%q: dead %v, frozen %v\n%s%s", c.script, w.dead, w.ice, res.Story(), res.Script())
		}
	}
}

// A drill that is cut short heals, and does not pass.
func TestCutShort(t *testing.T) {
	w := newWorld(5, correct)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		res, err := Run(ctx, w.cluster(), testConfig(), nil)
		if err != nil || res.OK() || res.Findings[0].Check != Idle || len(w.dead)+len(w.ice)+len(w.blocks) != 0 {
			t.Errorf("%v %v %v", res, err, w.dead)
		}
	})
}

// A drill that cannot begin says so and does nothing.
func TestCannotBegin(t *testing.T) {
	for name, change := range map[string]func(*Config, *world){
		"not whole":    func(_ *Config, w *world) { w.dead[3] = true },
		"no such node": func(c *Config, _ *world) { c.Script, _ = ParseScript("kill 9") },
		"too many":     func(c *Config, _ *world) { c.Clients = 10_000 },
		"one replica":  func(c *Config, _ *world) { c.Replicas, c.Kinds = 1, []Kind{Kill} },
	} {
		cfg, w := testConfig(), newWorld(5, correct)
		change(&cfg, w)
		synctest.Test(t, func(t *testing.T) {
			if res, err := Run(t.Context(), w.cluster(), cfg, nil); err == nil || len(w.lines) != 0 {
				t.Errorf("%s: %v, %v", name, res, w.lines)
			}
		})
	}
}

// A key takes few writes at once, and gives way when it has had its share.
func TestKeyring(t *testing.T) {
	r := newKeyring()
	if _, _, make := r.pick(0); !make {
		t.Fatal("an empty slot is not to be filled")
	}
	if _, _, make := r.pick(0); make {
		t.Fatal("two fill one slot")
	}
	a := &target{}
	r.put(0, a)
	for i := range mostOpen + 1 {
		if got, calm, _ := r.pick(0); got != a || calm != (i == mostOpen) {
			t.Fatalf("write %d: %v %v", i, got, calm)
		}
	}
	for range mostOpen {
		r.done(0, a, false, true)
	}
	if got, _, make := r.pick(0); got != nil || !make || len(r.all()) != 1 {
		t.Error("a key with unknown writes stays hot")
	}
	b := &target{}
	r.put(0, b)
	for range mostOps {
		r.pick(0)
		r.done(0, b, false, false)
	}
	if got, _, _ := r.pick(0); got == b {
		t.Error("a key is hot for ever")
	}
}

// What was done, as a script, does the same again.
func TestReplay(t *testing.T) {
	a := newWorld(5, correct)
	first := drillWorld(t, a, testConfig())
	cfg := testConfig()
	var err error
	if cfg.Script, err = ParseScript(first.Script()); err != nil {
		t.Fatal(err)
	}
	cfg.Length = 0
	b := newWorld(5, correct)
	second := drillWorld(t, b, cfg)
	if !second.OK() {
		t.Fatal(second.Story())
	}
	// The second ends with what its own close adds: one more heal.
	if got, want := strings.Join(b.lines, "\n"), strings.Join(a.lines, "\n"); !strings.HasPrefix(got, want) {
		t.Errorf("replayed\n%s\nwas\n%s", got, want)
	}
}

// A record that is full ends the drill early, which does not pass; everything is healed and freed all the same.
func TestFullRecordFails(t *testing.T) {
	w := newWorld(5, correct)
	cfg := testConfig()
	cfg.Length, cfg.MaxCalls = time.Hour, 2000
	res := drillWorld(t, w, cfg)
	if res.OK() || len(res.Findings) != 1 || res.Findings[0].Check != Idle || len(w.dead)+len(w.ice)+len(w.blocks) != 0 || len(res.Done) > 100 {
		t.Errorf("%s%d faults, %d blocks", res.Story(), len(res.Done), len(w.blocks))
	}
}
