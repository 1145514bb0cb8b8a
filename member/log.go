package member

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// logWriter takes memberlist's lines and logs some of them: a cluster in trouble has more to say than anybody reads.
type logWriter struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	second time.Time
	lines  int // since second
	unsaid int
}

func (w *logWriter) Write(line []byte) (int, error) {
	if w.log.Enabled(context.Background(), slog.LevelDebug) {
		if unsaid, ok := w.admit(time.Now()); ok {
			text := strings.TrimSpace(string(line))
			if _, rest, found := strings.Cut(text, "memberlist: "); found {
				text = rest
			}
			w.log.Debug("gossip", "says", text, "unsaid", unsaid)
		}
	}
	return len(line), nil
}

// admit says whether a line is logged, and how many were not before it.
func (w *logWriter) admit(now time.Time) (unsaid int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.second) >= time.Second {
		w.second, w.lines = now, 0
	}
	if w.lines++; w.lines > maxLogLines {
		w.unsaid++
		return 0, false
	}
	unsaid, w.unsaid = w.unsaid, 0
	return unsaid, true
}
