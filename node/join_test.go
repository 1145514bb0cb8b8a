package node

import (
	"context"
	"slices"
	"testing"

	"dmalloc/message"
)

// sent sums up one of the counters of what Raft had the nodes send.
func (h *herd) sent(name string) (sum uint64) {
	for _, n := range h.nodes {
		for _, c := range n.host.Traffic() {
			if c.Name == name {
				sum += c.Value
			}
		}
	}
	return sum
}

// A node that comes is sent what the replicas that it gets hold, and not again what others have written over.
func TestWhoJoinsIsSentTheState(t *testing.T) {
	const nodes, again, size = 3, 12, message.MaxData
	h := newHerd(t, nodes, -1, func(s *message.Settings) { s.Election = 100 }) // a leader that is new has a long log
	ctx, heap := context.Background(), h.any().heap
	d, err := heap.Directory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i>>8)
	}
	written := map[message.CompanyID]bool{}
	for try := 0; len(written) < len(d.Companies)-1; try++ {
		if try == 64 {
			t.Fatalf("after %d allocations only companies %v have one", try, written)
		}
		a, err := heap.Malloc(ctx, size)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(d.Companies, func(c message.Company) bool { return c.ID != 0 && c.Base <= a.Address && a.Address < c.Limit })
		if at < 0 || written[d.Companies[at].ID] {
			continue
		}
		for range again {
			if _, err := heap.WriteAt(ctx, data, a.Address); err != nil {
				t.Fatal(err)
			}
		}
		written[d.Companies[at].ID] = true
	}
	log, snapshots := h.sent("raft_log_bytes_out"), h.sent("raft_snapshot_bytes_out")
	h.join(7)
	d = h.until("balance", func(d *message.Directory) bool { return len(d.Companies) == nodes+2 && calm(d, nobody) })
	log, snapshots = h.sent("raft_log_bytes_out")-log, h.sent("raft_snapshot_bytes_out")-snapshots
	moved := uint64(0)
	for _, c := range d.Companies {
		if written[c.ID] && slices.ContainsFunc(c.Owners, func(o message.Owner) bool { return o.Node == nodes }) {
			moved++
		}
	}
	t.Logf("%d replicas moved, %d bytes of snapshots and %d of entries were sent", moved, snapshots, log)
	if moved == 0 || snapshots < moved*size || log > moved*again*size/2 {
		t.Errorf("that hold %d bytes, and in whose logs are %d", moved*size, moved*again*size)
	}
}
