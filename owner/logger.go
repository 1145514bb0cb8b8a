package owner

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/lni/dragonboat/v4/logger"
)

var logOnce sync.Once

// LogTo sends Dragonboat's log to l. Only the first call has an effect.
func LogTo(l *slog.Logger) {
	logOnce.Do(func() {
		logger.SetLoggerFactory(func(pkg string) logger.ILogger { return &bridge{l.With("part", "raft/"+pkg)} })
	})
}

// bridge passes on warnings and errors; Dragonboat's information is chatter to our users.
type bridge struct{ l *slog.Logger }

func (b *bridge) SetLevel(logger.LogLevel)         {}
func (b *bridge) Debugf(string, ...any)            {}
func (b *bridge) Infof(format string, args ...any) { b.l.Debug(fmt.Sprintf(format, args...)) }
func (b *bridge) Warningf(format string, args ...any) {
	b.l.Warn(fmt.Sprintf(format, args...))
}
func (b *bridge) Errorf(format string, args ...any) { b.l.Error(fmt.Sprintf(format, args...)) }

// Panicf must panic: Dragonboat counts on not returning from it.
func (b *bridge) Panicf(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	b.l.Error(s)
	panic(s)
}
