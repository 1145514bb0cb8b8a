package member

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

func TestTableNext(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	known := []message.NodeID{0, 1, 2}
	steps := []struct {
		what    string
		known   []message.NodeID
		seen    map[message.NodeID]entry
		want    string
		changed string
	}{
		{"start", known, nil, "0 alive 1, 1 unknown 1, 2 unknown 1", "0"},
		{"heard of one", known, map[message.NodeID]entry{0: {}, 1: {state: Alive}}, "0 alive 1, 1 alive 2, 2 unknown 1", "1"},
		{"load alone", known, map[message.NodeID]entry{1: {state: Alive, load: 3}}, "0 alive 1, 1 alive 2 load 3, 2 unknown 1", ""},
		{"suspect", known, map[message.NodeID]entry{1: {state: Suspect}, 2: {state: Dead}}, "0 alive 1, 1 suspect 4, 2 dead 4", "1 2"},
		{"dropped by memberlist", known, nil, "0 alive 1, 1 dead 5, 2 dead 4", "1"},
		{"still dropped", known, nil, "0 alive 1, 1 dead 5, 2 dead 4", ""},
		{"removed", known[:2], map[message.NodeID]entry{2: {state: Alive}}, "0 alive 1, 1 dead 5", ""},
		{"added again", known, nil, "0 alive 1, 1 dead 5, 2 unknown 8", ""},
	}
	now := newTable(nil)
	for i, s := range steps {
		next, changed := now.next(s.known, 0, s.seen, at(i+1))
		var got, who []string
		for _, b := range next.sorted {
			line := fmt.Sprintf("%d %v %d", b.Node, b.State, b.Since.Unix())
			if b.Load > 0 {
				line += fmt.Sprint(" load ", b.Load)
			}
			got = append(got, line)
		}
		for _, b := range changed {
			who = append(who, fmt.Sprint(b.Node))
		}
		if g := strings.Join(got, ", "); g != s.want || strings.Join(who, " ") != s.changed {
			t.Errorf("%s: %s, changed %v; want %s, changed %s", s.what, g, who, s.want, s.changed)
		}
		now = next
	}
}

func TestSpreader(t *testing.T) {
	start := time.Unix(100, 0)
	for _, c := range []struct {
		told, load uint16
		after      time.Duration
		due        bool
	}{
		{5, 5, time.Hour, false},
		{0, 1, loadSoon, true},
		{0, 1, loadSoon - 1, false},
		{100, 110, loadSoon, false},
		{100, 110, loadLater, true},
		{100, 126, loadSoon, true},
		{65535, 0, loadSoon, true},
	} {
		s := spreader{at: start}
		if got := s.due(c.told, c.load, start.Add(c.after)); got != c.due {
			t.Errorf("told %d, now %d, after %v: %v", c.told, c.load, c.after, got)
		}
	}
}

func TestLogIsLimited(t *testing.T) {
	var out bytes.Buffer
	w := &logWriter{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	now := time.Unix(100, 0)
	logged := 0
	for range 3 * maxLogLines {
		if _, ok := w.admit(now); ok {
			logged++
		}
	}
	if unsaid, ok := w.admit(now.Add(time.Second)); logged != maxLogLines || !ok || unsaid != 2*maxLogLines {
		t.Errorf("%d lines were logged, then one that says %d were not", logged, unsaid)
	}
	fmt.Fprintf(w, "[INFO] memberlist: Suspect n1 has failed\n")
	if got := out.String(); !strings.Contains(got, `level=DEBUG msg=gossip says="Suspect n1 has failed" unsaid=0`) {
		t.Errorf("logged %q", got)
	}
	out.Reset()
	w.log = slog.New(slog.NewTextHandler(&out, nil))
	fmt.Fprintf(w, "[INFO] memberlist: nothing\n")
	if out.Len() > 0 {
		t.Errorf("logged %q above debug", out.String())
	}
}
