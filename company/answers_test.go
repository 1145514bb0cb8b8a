package company

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// What is kept for a client is what a map would have, in whatever order requests come and are done with.
func TestAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var got answers
		want, low := map[uint64]Result{}, uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
				low += rapid.Uint64Range(0, 12).Draw(t, "by")
				before := len(want)
				for seq := range want {
					if seq < low {
						delete(want, seq)
					}
				}
				if n := got.drop(low); n != before-len(want) {
					t.Fatalf("%d were dropped below %d, not %d", n, low, before-len(want))
				}
			} else {
				seq := low + rapid.Uint64Range(0, 24).Draw(t, "seq")
				r := Result{Address: message.Addr(rapid.Uint64().Draw(t, "address")), Text: rapid.SampledFrom([]string{"", "refused"}).Draw(t, "text"), Token: rapid.Uint64Range(0, 1).Draw(t, "token")}
				if rapid.Bool().Draw(t, "allocates") {
					r.Blocks = []message.Block{wholly(rapid.SampledFrom([]message.CompanyID{1, 2}).Draw(t, "in"), r.Address, r.Size)}
				}
				got.put(answerOf(1, seq, &r))
				want[seq] = r
			}
			if rapid.IntRange(0, 9).Draw(t, "clone") == 0 {
				got = got.clone()
			}
			if got.len() != len(want) {
				t.Fatalf("%d are kept, not %d", got.len(), len(want))
			}
			for i, a := range got.kept() {
				r := a.result(1)
				if w, ok := want[a.seq]; !ok || r.Address != w.Address || r.Text != w.Text || r.Token != w.Token || len(r.Blocks) != len(w.Blocks) || len(r.Blocks) > 0 && !isWholly(&r.Blocks[0], w.Blocks[0].Company, w.Address, w.Size) || i > 0 && got.kept()[i-1].seq >= a.seq {
					t.Fatalf("answer %d is to %d: %+v, not %+v", i, a.seq, r, w)
				}
			}
		}
	})
}

// A client whose requests are answered one after the other needs no memory for that.
func TestAnswersReuse(t *testing.T) {
	var s answers
	for seq := range uint64(100_000) {
		s.put(answer{seq: seq})
		s.drop(seq - min(seq, 64))
	}
	if cap(s.all) > 512 {
		t.Errorf("64 answers take room for %d", cap(s.all))
	}
}

// A snapshot has the answers of its moment, while requests are answered, done with and refused after it: their memory is used
// again, but not what a snapshot has.
func TestSnapshotsKeepAnswers(t *testing.T) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 1 << 20})}
	seq := uint64(0)
	step := func(done uint64) { // one that is done and one that is refused, and forgets all but so many
		for _, size := range []uint64{8, 2 << 20} {
			seq++
			m := malloc(size)
			m.Client[0], m.Seq, m.Low = 1, seq, seq-min(seq, done)
			d.do(m)
		}
	}
	for round := range uint64(20) {
		for range 10 {
			step(16 + round)
		}
		want, s := save(t, d.Company), d.Snapshot()
		for range 5 + round {
			step(round)
		}
		if !bytes.Equal(saved(t, s), want) {
			t.Fatalf("round %d: what was answered since has changed a snapshot", round)
		}
	}
}
