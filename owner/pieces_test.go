package owner

import (
	"slices"
	"testing"

	"github.com/lni/dragonboat/v4/raftio"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"dmalloc/message"
)

// longLog is a log of entries of one size, read as Dragonboat's is.
type longLog struct {
	raftio.ILogDB
	entry uint64
	most  uint64 // that was asked for
}

func (l *longLog) IterateEntries(ents []pb.Entry, size, _, _, low, high, maxSize uint64) ([]pb.Entry, uint64, error) {
	l.most = max(l.most, maxSize)
	for ; low < high && (maxSize == 0 || size <= maxSize); low++ {
		ents = append(ents, pb.Entry{Index: low})
		size += l.entry
	}
	return ents, size, nil
}

// No more than a piece is read at once, and what is read says whether there is more.
func TestLogIsReadInPieces(t *testing.T) {
	for _, row := range []struct {
		name              string
		entry, high, most uint64
		entries           int
		more              bool
		asked             uint64
	}{
		{"all of it", 1 << 20, 3, 64 << 20, 2, false, pieceBytes},
		{"exactly a piece", 1 << 20, 5, 64 << 20, 4, false, pieceBytes},
		{"a piece of it", 1 << 20, 100, 64 << 20, 5, true, pieceBytes},
		{"one that is larger", 8 << 20, 100, 64 << 20, 1, true, pieceBytes},
		{"one that is larger and the last", 8 << 20, 2, 64 << 20, 1, true, pieceBytes},
		{"less than a piece", 1 << 20, 100, 2 << 20, 3, true, 2 << 20},
		{"many", 100, 1000, 64 << 20, pieceEntries, true, pieceBytes},
		{"as many as a piece has", 100, 1 + pieceEntries, 64 << 20, pieceEntries, false, pieceBytes},
		{"its term", 1 << 20, 2, 0, 1, true, 0},
	} {
		l := &longLog{entry: row.entry}
		ents, size, err := pieces{l}.IterateEntries(nil, 0, 1, 1, 1, row.high, row.most)
		if err != nil || len(ents) != row.entries || size > row.most != row.more || l.most != row.asked {
			t.Errorf("%s: %d entries, more: %v, asked for %d bytes, %v", row.name, len(ents), size > row.most, l.most, err)
		}
	}
}

// What a replica starts with from its log, piece by piece, is the whole log.
func TestLongLogIsReplayed(t *testing.T) {
	cfg := alone(t.TempDir())
	cfg.Settings.Tick = 10 // a candidate reads the last entry with each of its elections
	h, r, _, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	const writes = 2*pieceEntries + 8
	for seq := range uint64(writes) {
		size := 10
		if seq < 8 {
			size = message.MaxData
		}
		if code := propose(r, seq, size); code != message.Done {
			t.Fatal(code)
		}
	}
	h.Close()
	h, r, state, err := openAlone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	caughtUp(t, r)
	log, err := h.nh.GetLogReader(r.shard())
	if err != nil {
		t.Fatal(err)
	}
	first, last := log.GetRange()
	for next, piece := first, 0; next <= last; piece++ {
		some, err := log.Entries(next, last+1, 1<<40)
		size := 0
		for _, e := range some {
			size += len(e.Cmd)
		}
		if err != nil || len(some) == 0 || some[0].Index != next || size > pieceBytes || len(some) > pieceEntries {
			t.Fatalf("from %d on %d entries of %d bytes at once, %v", next, len(some), size, err)
		}
		if next = some[len(some)-1].Index + 1; next > last && piece < 3 {
			t.Errorf("in %d pieces", piece+1)
		}
	}
	r.View(func(Machine) {
		if len(state.seqs) != writes || !slices.IsSorted(state.seqs) {
			t.Errorf("%d of %d writes are there after a start", len(state.seqs), writes)
		}
	})
}
