package transport

import (
	"testing"

	"dmalloc/message"
)

func BenchmarkCall(b *testing.B) {
	w := newNetwork(b, 1, nil, nil)
	c := w.client(b, 0)
	ctx := b.Context()
	m := request(1, "16 bytes of data")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Call(ctx, 0, m, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInFlight256(b *testing.B) { benchmarkInFlight(b, 16) }

func BenchmarkInFlight256Of4KiB(b *testing.B) { benchmarkInFlight(b, 4096) }

func benchmarkInFlight(b *testing.B, size int) {
	w := newNetwork(b, 1, nil, nil)
	c := w.client(b, 0)
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

func BenchmarkRaft64KiB(b *testing.B) {
	const size = 64 << 10
	tokens := make(chan struct{}, 64)
	w := newNetwork(b, 2, nil, func(c *Config) {
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
