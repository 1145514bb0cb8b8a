package boottime

import (
	"testing"
	"time"
)

func TestNowIsExact(t *testing.T) {
	var c Clock
	for range 10_000 {
		before, now, after := Exact(), c.Now(), Exact()
		if now < before-Tolerance || now > after+Tolerance {
			t.Fatalf("Now is %v; Exact was %v before it and %v after it", now, before, after)
		}
	}
}

// shifted is t later on the monotonic clock by mono and on the other one by wall: what a suspend of wall-mono makes.
func shifted(t time.Time, mono, wall time.Duration) (*anchor, time.Time) {
	later := t.Add(mono)
	return &anchor{boot: time.Hour, wall: t.UnixNano() - int64(wall-mono), mono: t}, later
}

func TestAfter(t *testing.T) {
	for _, x := range []struct {
		name       string
		mono, wall time.Duration
		ok         bool
	}{
		{"at once", 0, 0, true},
		{"awake", 50 * time.Millisecond, 50 * time.Millisecond, true},
		{"slept", 50 * time.Millisecond, time.Minute, false},
		{"slept a little", 1, 2 * time.Millisecond, false},
		{"set back", 50 * time.Millisecond, -time.Hour, false},
		{"too long ago", 101 * time.Millisecond, 101 * time.Millisecond, false},
		{"before", -1, -1, false},
	} {
		a, later := shifted(time.Now(), x.mono, x.wall)
		got, ok := a.after(later)
		if ok != x.ok || ok && got != time.Hour+x.mono {
			t.Errorf("%s: %v, %v", x.name, got, ok)
		}
	}
}

// A start that was interrupted says the truth once and is not gone on from.
func TestSlowStart(t *testing.T) {
	var c Clock
	at := time.Now()
	slow := func() time.Time { at = at.Add(time.Second); return at }
	if got := c.start(slow, func() time.Duration { return time.Hour }); got != time.Hour || c.last.Load() != nil {
		t.Errorf("%v, and an anchor %v", got, c.last.Load())
	}
}

func BenchmarkExact(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Exact()
	}
}

func BenchmarkNow(b *testing.B) {
	var c Clock
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}

func BenchmarkTimeNow(b *testing.B) {
	for b.Loop() {
		time.Now()
	}
}
