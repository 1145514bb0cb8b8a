package owner

import (
	"sync/atomic"
	"testing"
	"time"

	"dmalloc/message"
)

// A confirmed leader answers many reads by itself, and none once it is barred.
func TestReadsUnderLease(t *testing.T) {
	var rounds atomic.Int64
	cfg := alone(t.TempDir())
	cfg.Index = func(time.Duration) { rounds.Add(1) }
	h, r, _, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	caughtUp(t, r)
	flags := message.Flags(0)
	read := func() {
		t.Helper()
		got := make(chan *message.Message, 1)
		m := message.New(message.READ)
		m.Size, m.Flags = 1, flags
		r.Read(m, func(a *message.Message) { got <- a })
		if a := <-got; a.Status != message.Done || a.Term != r.lead.Load().term {
			t.Fatalf("%v in term %d", a, a.Term)
		}
	}
	h.lease = time.Hour // on a machine that is busy the usual length may be over before it is used
	read()
	if !r.leads() {
		t.Fatal("confirmed, and it holds no lease")
	}
	before := rounds.Load()
	for range 100 {
		read()
	}
	if n := rounds.Load() - before; n != 0 {
		t.Errorf("100 reads under a lease took %d rounds", n)
	}
	flags = message.Confirm
	for range 10 {
		read()
	}
	if n := rounds.Load() - before; n != 10 || !r.leads() {
		t.Errorf("10 reads that are to be confirmed took %d rounds under a lease", n)
	}
	flags, before = 0, rounds.Load()
	h.barLease(r.shard(), raftTerm(r.lead.Load().term))
	for range 10 {
		read()
	}
	if n := rounds.Load() - before; n != 10 {
		t.Errorf("10 reads of a barred leader took %d rounds", n)
	}
	l := *r.lead.Load() // the same node, in the next term
	l.term, l.over = l.term+1, make(chan struct{})
	r.lead.Store(&l)
	if r.leads() {
		t.Error("the lease of one term holds in the next")
	}
	h.lease = -1
	before = rounds.Load()
	for range 10 {
		read()
	}
	if n := rounds.Load() - before; n != 10 {
		t.Errorf("10 reads under leases that are over took %d rounds", n)
	}
}
