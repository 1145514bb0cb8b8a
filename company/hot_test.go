package company

import (
	"testing"

	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is what an owner does for each entry and for each read. Entries have 16 messages, of one client.
func hot(tb testing.TB) []allocs.Operation {
	const many = 16
	d := &driver{Company: New(Config{ID: 1, Capacity: 1 << 36})}
	a := d.do(malloc(1 << 20)).Address
	d.do(write(a, make([]byte, 1<<20)))
	seq := uint64(0)
	batch := &message.Batch{Node: 1, Elapsed: 1}
	var out Applied
	// entry applies the messages as new ones.
	entry := func(messages []*message.Message) {
		for _, m := range messages {
			seq++
			m.Client[0], m.Seq, m.Low = 1, seq, seq-min(seq, many)
		}
		batch.Messages = messages
		d.next++
		d.ApplyTo(&out, d.next, batch)
		for i := range out.Results {
			if out.Results[i].Code != message.Done {
				tb.Fatal(out.Results[i])
			}
		}
	}
	var writes, mallocs, frees, adds []*message.Message
	for i := range message.Addr(many) {
		writes = append(writes, write(a+i*message.PageSize, []byte("sixteen bytes...")))
		adds = append(adds, msg(message.ADD, func(m *message.Message) { m.Address, m.Size, m.Value = a+i*8, 8, 1 }))
		mallocs, frees = append(mallocs, malloc(100)), append(frees, free(0))
	}
	look := read(a+64, 16)
	return []allocs.Operation{
		{Name: "apply 16 writes", Most: 1, Do: func() { entry(writes) }},
		{Name: "apply 16 adds", Most: 1, Do: func() { entry(adds) }},
		{Name: "apply 16 mallocs and 16 frees", Most: 20, Do: func() {
			entry(mallocs)
			for i, r := range out.Results {
				frees[i].Address = r.Address
			}
			entry(frees)
		}},
		{Name: "a write twice", Most: 6, Do: func() { batch.Messages = writes[:1]; d.next++; d.ApplyTo(&out, d.next, batch) }},
		{Name: "read 16 bytes", Most: 2, Do: func() { d.Read(look) }},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
