package owner

import (
	"fmt"
	"testing"
	"time"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"dmalloc/company"
	"dmalloc/message"
)

// The results of this node's entries are the lane's that asked for them, whatever is applied meanwhile: its own entries, those
// of others, and the same ones again.
func TestResultsAreTheLanes(t *testing.T) {
	const here, elsewhere = 1, 2
	m := &machine{origin: here, state: NewHeap(company.Config{ID: 1, Capacity: 1 << 30}), waiting: map[uint64]chan []company.Result{}}
	index := uint64(0)
	apply := func(origin, number uint64) {
		t.Helper()
		b := message.Batch{Origin: origin, Number: number}
		for i := range uint64(4) {
			q := message.New(message.MALLOC)
			q.Client, q.Seq, q.Size = message.ClientID{1}, number*4+i, 8+number
			b.Messages = append(b.Messages, q)
		}
		entry, err := b.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		index++
		if _, err := m.Update([]sm.Entry{{Index: index, Cmd: entry}}); err != nil {
			t.Fatal(err)
		}
	}
	type given struct {
		results []company.Result
		said    string
	}
	var all []given
	for number := range uint64(20) {
		done := m.await(number)
		apply(here, number)
		results := <-done
		if len(results) != 4 || results[0].Code != message.Done || results[0].Size != 8+number {
			t.Fatalf("entry %d: %+v", number, results)
		}
		all = append(all, given{results, fmt.Sprintf("%+v", results)})
		apply(elsewhere, 100+number)
		apply(here, number) // nobody waits for these any more
		if len(all) == 3 {
			for _, g := range all {
				if now := fmt.Sprintf("%+v", g.results); now != g.said {
					t.Fatalf("results were %s, and are %s now", g.said, now)
				}
				answered(g.results)
			}
			all = nil
		}
	}
}

// Who keeps an answer keeps it as it was, whatever others of the same entry are told.
func TestAnswersAreKept(t *testing.T) {
	h, r, _, err := openAlone(alone(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	caughtUp(t, r)
	const many = 5 * answersAtOnce
	got := make(chan *message.Message, many)
	for seq := range uint64(many) {
		m := message.New(message.FREE)
		m.Seq = seq + 1
		r.Do(m, func(a *message.Message) { got <- a })
	}
	all := map[uint64]bool{}
	var kept []*message.Message
	for range many {
		select {
		case a := <-got:
			kept = append(kept, a)
		case <-time.After(30 * time.Second):
			t.Fatalf("%d of %d answers have come", len(kept), many)
		}
	}
	for _, a := range kept {
		if a.Status != message.Done || a.Index == 0 {
			t.Errorf("%v", a)
		}
		all[a.Seq] = true
	}
	if len(all) != many {
		t.Errorf("%d answers are to %d requests", many, len(all))
	}
}
