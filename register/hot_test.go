package register

import (
	"testing"

	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is a whole operation on three replicas that keep what they are told, without what carries and stores it.
func hot(tb testing.TB) []allocs.Operation {
	config := message.Registers{Epoch: 1, Members: cast("ABC")}
	var all []*Replica
	for _, m := range config.Members {
		all = append(all, &Replica{Self: m, Config: config})
	}
	groups, value := groupsOf(config), []byte("sixteen bytes...")
	var tag message.Tag
	seq := uint64(0)
	play := func(o *Operation) {
		for out := o.Start(); len(out) > 0; {
			var next []Request
			for _, q := range out {
				r := all[q.To.Node]
				switch r.Judge(q) {
				case Show:
					next = append(next, o.Step(r.Shown(q, tag, uint64(len(value)), value))...)
				case Store:
					tag = q.Tag
					next = append(next, o.Step(r.Acknowledged(q))...)
				default:
					tb.Fatal(q)
				}
			}
			out = next
		}
		if !o.Done() || o.Result().Err != nil {
			tb.Fatalf("%+v", o.Result())
		}
	}
	call := func() Call {
		seq++
		return Call{ID: OpID{Client: clientID(1), Seq: seq}, Epoch: 1, Groups: groups, Inline: 64}
	}
	judged := Request{Kind: Get, To: config.Members[0], Epoch: 1}
	return []allocs.Operation{
		{Name: "write", Most: 4, Do: func() { play(NewWrite(call(), clientID(1), seq, value)) }},
		{Name: "read", Most: 2, Do: func() { play(NewRead(call())) }},
		{Name: "judge a request", Most: 0, Do: func() { all[0].Judge(judged) }},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
