package owner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/lni/dragonboat/v4"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"dmalloc/company"
	"dmalloc/message"
)

// A seed is the state with which the founder of a company's next generation begins, in a file beside the log:
//
//	WriteSeed  what the survivor has applied and what its log holds besides, in a temporary file that gets its name
//	           when it is whole and on the disk
//	Drop       the survivor's replica and its log are deleted: the seed is all there is
//	Start      the founder's state is the seed, and its log begins behind that; at every start until
//	Seal       a snapshot of Raft holds all of it and the log's beginning is gone; only then may others join, for who
//	           replays a log from its first entry does not see the seed
//
// Whoever is cut short goes on with the step before: a file that has its name is whole, and a seed that is read
// again before a snapshot gives the same state as the first time.

// seeder is a Machine that another log can begin with.
type seeder interface {
	Seed() io.WriterTo // its state as before the first entry; nothing may run beside this call
}

func (h *Host) seedPath(id message.CompanyID, replica uint64) string {
	return filepath.Join(h.cfg.Dir, fmt.Sprintf("seed-%s-%d", id, replica))
}

// HasSeed says whether there is a seed for a replica.
func (h *Host) HasSeed(id message.CompanyID, replica uint64) bool {
	_, err := h.disk.fs.Stat(h.seedPath(id, replica))
	return err == nil
}

// RemoveSeed deletes a replica's seed, if there is one.
func (h *Host) RemoveSeed(id message.CompanyID, replica uint64) error {
	return h.disk.run(func() error {
		path := h.seedPath(id, replica)
		for _, name := range []string{path + ".tmp", path} {
			if err := h.disk.fs.RemoveAll(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// WriteSeed keeps what the replica of a company that runs here holds as the seed for another replica. From then on
// the one that runs does nothing more for its group.
func (h *Host) WriteSeed(id message.CompanyID, replica uint64) error {
	r := h.Replica(id)
	if r == nil {
		return message.Errorf(message.Internal, "company %s has no replica here to begin anew from", id)
	}
	return h.disk.run(func() error {
		image, err := r.machine.retire(r.tail)
		if err != nil {
			return err
		}
		return h.saveSeed(h.seedPath(id, replica), image)
	})
}

// saveSeed makes a file whole and durable before it gets its name.
func (h *Host) saveSeed(path string, image io.WriterTo) error {
	f, err := h.disk.fs.Create(path + ".tmp")
	if err != nil {
		return fmt.Errorf("write a seed: %w", err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	_, err = image.WriteTo(out)
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = h.disk.fs.Rename(path+".tmp", path)
	}
	if err == nil {
		err = h.syncDir()
	}
	if err != nil {
		return fmt.Errorf("write a seed: %w", err)
	}
	return nil
}

func (h *Host) syncDir() error {
	d, err := h.disk.fs.OpenDir(h.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// plantSeed puts a replica's seed into its state.
func (h *Host) plantSeed(seat Seat, state Machine) error {
	path := h.seedPath(seat.Company, seat.Replica)
	return h.disk.run(func() error {
		var install func()
		f, err := h.disk.fs.Open(path)
		if err == nil {
			install, err = state.Load(bufio.NewReaderSize(f, 1<<20))
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return &message.Error{Code: message.Corrupt, Err: err, Text: fmt.Sprintf(
				"company %s began anew here with what %s holds, and that cannot be read: %v; put the file back from a copy, nobody else has it", seat.Company, path, err)}
		}
		install()
		return nil
	})
}

// retire ends the part that a machine takes in its group and gives its state, with the tail of the log applied to it.
// It is refused while the log begins behind the state: Raft loads a snapshot in the background after a start, and when
// one has come from a leader. Without that the state would be one of long ago, or empty, and all there is from then on.
func (c *machine) retire(tail func(applied uint64) (first uint64, entries []pb.Entry)) (io.WriterTo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.state.(seeder)
	if !ok {
		return nil, message.Errorf(message.Unsupported, "company %s cannot begin anew", c.id)
	}
	applied := c.applied.Load()
	first, entries := tail(applied)
	if first > applied+1 {
		return nil, message.Errorf(message.Busy, "company %s holds its state up to entry %d and its log from %d on; a snapshot is being loaded, ask again", c.id, applied, first)
	}
	for _, e := range entries {
		if c.over || e.Index <= c.applied.Load() {
			continue
		}
		if b, err := message.DecodeBatch(command(e)); err == nil {
			c.state.ApplyTo(new(company.Applied), indexIn(c.generation, e.Index), b)
		}
	}
	c.over = true
	return s.Seed(), nil
}

// command is what was proposed with an entry; nil if nobody proposed it.
func command(e pb.Entry) []byte {
	switch {
	case e.Type == pb.ApplicationEntry:
		return e.Cmd
	case e.Type == pb.EncodedEntry && len(e.Cmd) > 0 && e.Cmd[0] == 0: // version 0, not compressed, no session
		return e.Cmd[1:]
	}
	return nil
}

const tailPiece = 64 << 20 // bytes of entries that are read at once

// tail is where the log begins, and what it holds and the state does not: entries of which this replica has not heard
// that they were committed. Some were, and acknowledged; the others nobody was told of, and may happen as well as not.
// Without them more than need be would be lost, so what cannot be read is left out.
func (r *Replica) tail(applied uint64) (first uint64, all []pb.Entry) {
	log, err := r.host.nh.GetLogReader(r.shard())
	if err != nil {
		return 0, nil
	}
	first, last := log.GetRange()
	for next := max(first, applied+1); next <= last; next = all[len(all)-1].Index + 1 {
		some, err := log.Entries(next, last+1, tailPiece)
		if err != nil || len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	return first, all
}

// Seal has a snapshot of Raft hold what this replica began with, and waits until its log does not reach back to the
// beginning. Then its seed is needed no more, and others may join.
func (r *Replica) Seal(ctx context.Context) error {
	for {
		log, err := r.host.nh.GetLogReader(r.shard())
		if err != nil {
			return fmt.Errorf("read the log of company %s: %w", r.ID, err)
		}
		if first, _ := log.GetRange(); first > 1 && log.Snapshot().Index > 0 {
			return nil
		}
		// A refusal is no failure: nothing new was applied, or another snapshot is under way.
		_, _ = r.host.nh.SyncRequestSnapshot(ctx, r.shard(), dragonboat.SnapshotOption{OverrideCompactionOverhead: true})
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.ended:
			return message.Errorf(message.Unavailable, "this replica of company %s has ended", r.ID)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
