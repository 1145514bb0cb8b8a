package transport

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"dmalloc/message"
)

// What a node is asked, and what it answers, may be kept while more comes on the same connection, also through a node
// that relays.
func TestShortFramesAreKept(t *testing.T) {
	const many = 500
	type kept struct {
		m     *message.Message
		reply func(*message.Message)
	}
	var mu sync.Mutex
	var all []kept
	full := make(chan struct{}, 2)
	w := newNetwork(t, 2, []message.Edge{{A: 0, B: 1}}, func(cfg *Config) {
		cfg.Handle = func(_ context.Context, _ Peer, m *message.Message, reply func(*message.Message)) {
			mu.Lock()
			defer mu.Unlock()
			if all = append(all, kept{m, reply}); len(all) == many {
				full <- struct{}{}
			}
		}
	})
	c := w.client(t, 0)
	for to := range message.NodeID(2) {
		ctx := within(t)
		wait := func(what chan struct{}) {
			t.Helper()
			select {
			case <-what:
			case <-ctx.Done():
				t.Fatal("not all requests and answers have come")
			}
		}
		text := func(i uint64) string { return fmt.Sprintf("request %0300d of node %s", i, to) } // more than all buffers hold
		answers, answered := []*message.Message{}, make(chan struct{}, 1)
		for i := range uint64(many) {
			c.Start(to, request(i, text(i)), nil, func(a *message.Message, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
				if answers = append(answers, a); len(answers) == many {
					answered <- struct{}{}
				}
			})
		}
		wait(full)
		mu.Lock()
		waiting := all
		all = nil
		mu.Unlock()
		for _, k := range waiting {
			if string(k.m.Data) != text(k.m.Value) {
				t.Fatalf("request %d says %q now", k.m.Value, k.m.Data)
			}
			a := k.m.Answer(message.Done, "")
			a.Data, a.Value = k.m.Data, k.m.Value
			k.reply(a)
		}
		wait(answered)
		for _, a := range answers {
			if a == nil || string(a.Data) != text(a.Value) {
				t.Fatalf("an answer says %v now", a)
			}
		}
	}
}

// A piece of a snapshot belongs to who takes it, also when the next one is read.
func TestChunksAreKept(t *testing.T) {
	var mu sync.Mutex
	var kept []string
	var taken [][]byte
	w := newNetwork(t, 2, nil, func(cfg *Config) {
		cfg.Chunk = func(_ message.NodeID, _ uint64, p []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			kept, taken = append(kept, string(p)), append(taken, p)
			return true
		}
	})
	for i := range 10 {
		if err := w.nodes[0].SendChunk(within(t), 1, w.nodes[1].cfg.Incarnation, fmt.Appendf(nil, "chunk %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i, p := range taken {
		if string(p) != kept[i] {
			t.Errorf("%q says %q now", kept[i], p)
		}
	}
}
