package owner

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lni/dragonboat/v4"

	"dmalloc/message"
)

// A kill while a replica is deleted: at any step the node starts again, and goes on deleting.
func TestDropCutShort(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshot %v", snapshot), func(t *testing.T) {
			dir := t.TempDir()
			h, r, _, err := openAlone(alone(dir))
			if err != nil {
				t.Fatal(err)
			}
			caughtUp(t, r)
			for seq := range uint64(10) {
				if code := propose(r, seq, 100); code != message.Done {
					t.Fatalf("write %d: %s", seq, code)
				}
			}
			if snapshot {
				s, err := h.nh.RequestSnapshot(1, dragonboat.SnapshotOption{}, 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				<-s.ResultC()
			}
			whole := files(t, dir)
			drop(t, h)
			h.Close()
			dropped := files(t, dir)

			// Dragonboat deletes the record of the founders, marks the directory of snapshots, and empties it.
			images := map[string]tree{"nothing deleted": whole, "all deleted": dropped, "the founders deleted": cut(whole, "BOOTSTRAP")}
			marked := cut(whole, "BOOTSTRAP")
			for p, b := range dropped {
				if strings.Contains(p, "DELETED") {
					marked[p] = b
				}
			}
			images["marked"] = marked
			images["a part of the snapshot deleted"] = cut(marked, "metadata")
			images["half a mark"] = half(marked)
			for name, image := range images {
				again := t.TempDir()
				if err := image.save(again); err != nil {
					t.Fatal(err)
				}
				cfg := alone(again)
				cfg.Leaving = []Seat{{Company: 1, Replica: 1}}
				h, err := Open(cfg)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				drop(t, h)
				if kept := h.Kept(); len(kept) > 0 {
					t.Errorf("%s: it keeps %v", name, kept)
				}
				h.Close()
				if h, err = Open(alone(again)); err != nil { // it is forgotten now
					t.Errorf("%s: later: %v", name, err)
					continue
				}
				h.Close()
			}
			again := t.TempDir()
			if err := images["the founders deleted"].save(again); err != nil {
				t.Fatal(err)
			}
			if h, err := Open(alone(again)); !isDamage(err) {
				t.Errorf("of one that is not about to be deleted the founders are missed: %v", err)
				if h != nil {
					h.Close()
				}
			}
		})
	}
}

// An old and a new replica of a company can both have a log, when the deletion of the old one did not end in time. Each
// is known, and the old one goes while the new one runs.
func TestTwoReplicasOfACompany(t *testing.T) {
	dir := t.TempDir()
	h, r, _, err := openAlone(alone(dir))
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r)
	h.Close()
	if h, err = Open(alone(dir)); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err = h.Start(Seat{Company: 1, Replica: 2, Join: true}, &numbers{}); err != nil {
		t.Fatal(err)
	}
	if !h.Keeps(1, 0, 1) || !h.Keeps(1, 0, 2) || h.Keeps(1, 0, 3) || h.Keeps(2, 0, 1) {
		t.Errorf("it keeps 1 and 2 of company 1: %v, %v", h.Keeps(1, 0, 1), h.Keeps(1, 0, 2))
	}
	drop(t, h)
	if h.Keeps(1, 0, 1) || !h.Keeps(1, 0, 2) {
		t.Errorf("it keeps 2 of company 1: %v, and 1: %v", h.Keeps(1, 0, 2), h.Keeps(1, 0, 1))
	}
}

func drop(t *testing.T, h *Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := h.Drop(ctx, 1, 0, 1); err != nil {
		t.Fatal(err)
	}
}

// cut is a tree without the files whose path has that part.
func cut(from tree, part string) tree {
	to := tree{}
	for p, b := range from {
		if !strings.Contains(filepath.Base(p), part) {
			to[p] = b
		}
	}
	return to
}

// half has the mark empty, as a kill can leave it.
func half(from tree) tree {
	to := cut(from, "\x00")
	for p := range to {
		if strings.Contains(p, "DELETED") {
			to[p] = ""
		}
	}
	return to
}
