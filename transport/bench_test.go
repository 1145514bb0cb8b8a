package transport

import (
	"runtime"
	"testing"

	"dmalloc/certs"
	"dmalloc/message"
)

// both runs a benchmark without TLS and with it. change is for the nodes, and with for clients.
func both(b *testing.B, nodes int, run func(b *testing.B, change func(*Config), with *TLS)) {
	b.Run("plain", func(b *testing.B) { run(b, func(*Config) {}, nil) })
	b.Run("TLS", func(b *testing.B) {
		dir := made(b, nodes)
		run(b, secured(b, dir), as(b, dir, certs.Client))
	})
}

// BenchmarkDial is a connection from its first packet to its hello.
func BenchmarkDial(b *testing.B) {
	both(b, 1, func(b *testing.B, change func(*Config), with *TLS) {
		w := newNetwork(b, 1, nil, change)
		c := w.dialler(b, message.NoNode, with)
		for b.Loop() {
			if _, err := c.Identify(b.Context(), w.peers[0].Address); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCall(b *testing.B) { both(b, 1, benchmarkCall) }

func benchmarkCall(b *testing.B, change func(*Config), with *TLS) {
	w := newNetwork(b, 1, nil, change)
	c := w.dialler(b, message.NoNode, with)
	ctx := b.Context()
	m := request(1, "16 bytes of data")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Call(ctx, 0, m, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInFlight256(b *testing.B) { inFlight(b, 16) }

func BenchmarkInFlight256Of4KiB(b *testing.B) { inFlight(b, 4096) }

func inFlight(b *testing.B, size int) {
	both(b, 1, func(b *testing.B, change func(*Config), with *TLS) { benchmarkInFlight(b, size, change, with) })
}

func benchmarkInFlight(b *testing.B, size int, change func(*Config), with *TLS) {
	w := newNetwork(b, 1, nil, change)
	c := w.dialler(b, message.NoNode, with)
	tokens := make(chan struct{}, 256)
	m := request(1, string(make([]byte, size)))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	done := func(_ *message.Message, err error) {
		if err != nil {
			b.Error(err)
		}
		<-tokens
	}
	for b.Loop() {
		tokens <- struct{}{}
		c.Start(0, m, nil, done)
	}
	for range cap(tokens) {
		tokens <- struct{}{}
	}
}

func BenchmarkRaft64KiB(b *testing.B) { both(b, 2, benchmarkRaft) }

func benchmarkRaft(b *testing.B, change func(*Config), _ *TLS) {
	const size = 64 << 10
	tokens := make(chan struct{}, 64)
	w := newNetwork(b, 2, nil, func(c *Config) {
		change(c)
		c.Raft = func(message.NodeID, uint64, []byte) { <-tokens }
	})
	payload := make([]byte, size)
	b.SetBytes(size)
	for b.Loop() {
		tokens <- struct{}{}
		if err := w.nodes[0].SendRaft(1, 1, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCallers256 is as clients are: each waits for its answer before it asks again.
func BenchmarkCallers256(b *testing.B) {
	w := newNetwork(b, 1, nil, func(*Config) {})
	c := w.dialler(b, message.NoNode, nil)
	m := request(1, "16 bytes of data")
	b.ReportAllocs()
	b.SetParallelism(256 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(p *testing.PB) {
		own := *m
		for p.Next() {
			if _, err := c.Call(b.Context(), 0, &own, nil); err != nil {
				b.Error(err)
			}
		}
	})
}
