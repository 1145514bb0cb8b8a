package sim

import (
	"context"
	"strings"
	"testing"

	"dmalloc/message"
)

// failing is a history that a planted bug breaks.
func failing(t *testing.T, b bug) Config {
	t.Helper()
	r, ok := find(b)
	if !ok {
		t.Fatalf("no seed finds %s", b)
	}
	return r.Config
}

// What is left after shrinking breaks the same invariant with less, again and again, and tells how.
func TestShrink(t *testing.T) {
	for _, b := range []bug{forgetAnswers, noWriteBack, acknowledgeEarly} {
		t.Run(b.String(), func(t *testing.T) {
			c := failing(t, b)
			large := Run(c)
			small := Shrink(context.Background(), c)
			if small.Check != large.Check || small.Err == nil || small.Err.Code != message.Internal {
				t.Fatalf("%s became %s", large.Check, small)
			}
			if small.Operations > large.Operations || len(small.Story) > len(large.Story) {
				t.Errorf("%d operations and %d lines became %d and %d", large.Operations, len(large.Story), small.Operations, len(small.Story))
			}
			if again := Run(small.Config); again.Hash != small.Hash || again.Check != small.Check {
				t.Errorf("played again it is another history:\n%s\n%s", small, again)
			}
			t.Logf("%d operations became %d, %d lines %d: %s", large.Operations, small.Operations, len(large.Story), len(small.Story), small.Config)
			for _, l := range small.Story[max(0, len(small.Story)-12):] {
				t.Log(l)
			}
		})
	}
}

// A story numbers its lines, has those about the failure and none about other registers, and says at the end what does not hold.
func TestStory(t *testing.T) {
	r := Run(failing(t, noWriteBack))
	last := r.Story[len(r.Story)-1]
	if !strings.HasPrefix(last, r.Check+" does not hold: ") || !strings.Contains(last, r.Err.Text[4:20]) {
		t.Errorf("it ends with %q, the error is %q", last, r.Err.Text)
	}
	about, other := "register 0", "register 1"
	if strings.Contains(last, other) {
		about, other = other, about
	}
	found := false
	for _, l := range r.Story[:len(r.Story)-1] {
		found = found || strings.Contains(l, "begins: ") && strings.Contains(l, about)
		if strings.Contains(l, other) {
			t.Errorf("a story about %s has %q", about, l)
		}
	}
	if !found {
		t.Errorf("nothing of %s is told:\n%s", about, strings.Join(r.Story, "\n"))
	}
}

// A history that passes is not shrunk, and has a story only for those who ask.
func TestNothingToShrink(t *testing.T) {
	if r := Shrink(context.Background(), Config{Seed: 1}); r.Failed() || len(r.Story) > 0 {
		t.Errorf("got %s", r)
	}
	if r := Run(Config{Seed: 1, Tell: true}); len(r.Story) < 20 {
		t.Errorf("%d lines", len(r.Story))
	}
}

// Switched off is switched off.
func TestWithoutFaults(t *testing.T) {
	for seed := range uint64(20) {
		r := Run(Config{Seed: seed, Without: allFaults, Clients: 2, Ops: 20})
		if r.Failed() || r.Unknown != 0 || r.Deeds[lost]+r.Deeds[doubled]+r.Deeds[restarted]+r.Deeds[died]+r.Deeds[replaced] != 0 {
			t.Errorf("%s, %s", r, r.Deeds)
		}
	}
}

// Many adds up, reports, stops at a failure and at the context's end.
func TestMany(t *testing.T) {
	ctx := context.Background()
	reports := 0
	one, err := Many(ctx, 100, 300, 1, func(Totals) { reports++ })
	if err != nil || one.Histories != 300 || reports != 300/progressEvery {
		t.Errorf("%d histories, %d reports, %v", one.Histories, reports, err)
	}
	three, err := Many(ctx, 100, 300, 3, nil)
	if err != nil || three != one {
		t.Errorf("by three: %+v, %v; by one: %+v", three, err, one)
	}
	broken, err := many(ctx, Config{planted: forgetAnswers}, 0, 600, 2, nil)
	if err != nil || broken.Failed == nil || len(broken.Failed.Story) == 0 || broken.Histories == 600 {
		t.Errorf("with a bug: %+v, %v", broken, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if none, err := Many(ended, 0, 600, 2, nil); err == nil || none.Histories != 0 {
		t.Errorf("without time: %+v, %v", none, err)
	}
}
