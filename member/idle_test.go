package member

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkIdle is what twenty nodes that have nothing to say cost, with the default intervals, each second.
func BenchmarkIdle(b *testing.B) {
	const count, watched = 20, 10 * time.Second
	before := heap()
	w := newWorld(b, count, func(c *Config) { c.ProbeInterval, c.ProbeTimeout = 0, 0 })
	w.await("all alive", w.all(Alive, ids(0, count), ids(0, count)...))
	time.Sleep(watched) // until the news of the start are no longer gossiped
	for b.Loop() {
		sent, bytes, cpu := w.traffic()
		time.Sleep(watched)
		sent2, bytes2, cpu2 := w.traffic()
		each := watched.Seconds() * count
		b.ReportMetric(float64(sent2-sent)/each, "packets/s/node")
		b.ReportMetric(float64(bytes2-bytes)/each, "bytes/s/node")
		b.ReportMetric(100*(cpu2-cpu).Seconds()/each, "%core/node")
		b.ReportMetric((heap()-before)/count/1024, "KiB/node")
	}
}

func (w *world) traffic() (sent, bytes int, cpu time.Duration) {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent, w.bytes, time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() float64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc + s.StackInuse)
}
