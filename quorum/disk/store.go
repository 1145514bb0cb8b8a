package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"dmalloc/message"
)

// Store keeps registers in the files of one directory. All methods may be called from anywhere at once. Forget
// and Close wait for the writer: they may not be called by a done, nor with a lock that a done takes.
type Store struct {
	dir    string
	id     Identity
	o      Options
	layer  layer
	unlock func() error

	index  *index
	recent recent
	queue  *queue
	kick   chan struct{} // the compactor may have something to do
	stop   chan struct{} // closed: it ends

	tasks  sync.WaitGroup
	ended  atomic.Pointer[error] // why nothing is served any more
	failed chan error
	close  sync.Once
	closed error // of the first Close

	// The writer's own.
	current  *segment // the newest
	manifest manifest
	buf      []byte
	taken    []op
	winners  map[message.RegisterID]int
	entries  []entry

	kept atomic.Pointer[map[string][]byte] // never changed, only replaced

	syncs, records, moved, compactions atomic.Uint64
	full                               atomic.Bool
}

// Put stores a value if its tag is greater than all that are there for the register or wait to be. It calls
// done once: with nil after that value, or one of an equal or greater tag, is durable. The value must stay as
// it is until then. done is called by the writer, in the order of the puts, and must not block; a put that is
// refused (Busy when the queue is full) calls it before Put returns and changes nothing.
func (s *Store) Put(r message.RegisterID, t message.Tag, value []byte, done func(error)) {
	shard, err := s.index.shardOf(r)
	if err == nil && len(value) > MaxValue {
		err = message.Errorf(message.InvalidArgument, "a value of %d bytes for %s: a register holds at most %d", len(value), r, MaxValue)
	}
	if err == nil {
		err = s.queue.add(op{id: r, tag: t, value: value, shard: shard, done: done}, false)
	}
	if err != nil {
		done(err)
	}
}

// Get is the register's durable record, whatever waits. A value larger than most is left out. A value that is
// not what was written is a *DamageError, of class Corrupt.
func (s *Store) Get(r message.RegisterID, most int) (Record, bool, error) {
	for {
		if err := s.ended.Load(); err != nil {
			return Record{}, false, *err
		}
		e, segment, ok := s.index.find(r)
		if !ok {
			return Record{}, false, nil
		}
		have := Record{Tag: e.tag, Size: int(e.size)}
		if have.Size > most {
			return have, true, nil
		}
		if value, ok := s.recent.get(e); ok {
			have.Value = value
			return have, true, nil
		}
		value, err := segment.read(e)
		if errors.Is(err, os.ErrClosed) {
			continue // its segment was emptied meanwhile: the record lies elsewhere
		}
		if err != nil {
			return Record{}, false, unreadable(segment.path, int64(e.offset), err)
		}
		s.recent.put(e, value)
		have.Value = value
		return have, true, nil
	}
}

// Tag is the tag and size that Get would return, from memory.
func (s *Store) Tag(r message.RegisterID) (message.Tag, int, bool) {
	e, _, ok := s.index.find(r)
	return e.tag, int(e.size), ok
}

// List returns up to most registers from one on, in order, of the shards that are wanted; nil means all.
// What changes meanwhile is there or not.
func (s *Store) List(from message.RegisterID, most int, want func(shard int) bool) []Entry {
	var all []Entry
	if most <= 0 {
		return nil
	}
	s.index.walk(from, func(e entry) bool {
		if shard, err := s.index.shardOf(e.id); err == nil && (want == nil || want(shard)) {
			all = append(all, Entry{ID: e.id, Tag: e.tag, Size: int(e.size)})
		}
		return len(all) < most
	})
	return all
}

// Digests has for each shard the sum of hashes of its durable registers and their tags. Two replicas with the
// same registers under the same tags have the same sums, however they came by them.
func (s *Store) Digests() []uint64 {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	return slices.Clone(s.index.digests)
}

// Keep stores a small named blob in place of the one that was there. It passes the queue with the puts: what
// was put before it is durable before it. The blob is copied; done is as in Put.
func (s *Store) Keep(name string, blob []byte, done func(error)) {
	if name == "" || len(name) > maxName || len(blob) > MaxValue {
		done(message.Errorf(message.InvalidArgument, "a blob of %d bytes under a name of %d: at most %d and 1 to %d are kept", len(blob), len(name), MaxValue, maxName))
		return
	}
	blob = append([]byte{}, blob...)
	if err := s.queue.add(op{value: blob, alone: func() error { return s.keep(name, blob) }, done: done}, false); err != nil {
		done(err)
	}
}

// Kept is the blob that is durable under a name, nil if there is none. The result is not to be changed.
func (s *Store) Kept(name string) []byte { return (*s.kept.Load())[name] }

// Forget drops all registers of the shards that are not to be kept, as they are when all that was put before
// is durable. It waits for that, and returns how many they were. A register that is put later is there again.
// keep is called by the writer then, and what it returns is asked for each shard.
func (s *Store) Forget(keep func() func(shard int) bool) (dropped int, err error) {
	err = s.wait(func() (err error) {
		gone, keeps := make([]bool, s.o.Shards), keep()
		for i := range gone {
			gone[i] = !keeps(i)
		}
		dropped, err = s.forget(gone)
		return err
	})
	return dropped, err
}

// wait lets the writer do something and waits for it.
func (s *Store) wait(alone func() error) error {
	done := make(chan error, 1)
	if err := s.queue.add(op{alone: alone, done: func(err error) { done <- err }}, true); err != nil {
		return err
	}
	return <-done
}

// Stats are the store's numbers now.
func (s *Store) Stats() Stats {
	st := Stats{
		Syncs: s.syncs.Load(), Records: s.records.Load(), Moved: s.moved.Load(), Compactions: s.compactions.Load(),
		Full: s.full.Load(),
	}
	st.Queued, st.QueuedBytes = s.queue.load()
	st.RecentBytes = s.recent.bytes.Load()
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	st.Registers, st.LiveBytes, st.Segments = s.index.tree.Len(), s.index.live, len(s.index.segments)
	for _, segment := range s.index.segments {
		st.DiskBytes += segment.End
	}
	return st
}

// Failed gives, once, the reason for which the store refuses everything for ever (D6).
func (s *Store) Failed() <-chan error { return s.failed }

// fail ends the store for a reason. Only the writer calls it.
func (s *Store) fail(doing string, err error) error {
	broken := brokenError(s.dir, doing, err)
	if s.ended.CompareAndSwap(nil, &broken) {
		s.o.Log.Error("the disk of the registers failed", "dir", s.dir, "doing", doing, "error", err)
		s.failed <- broken
	}
	s.queue.close(broken)
	return broken
}

// Close writes what waits and closes the files. Nothing is taken or served from then on.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.queue.close(closedError(s.dir))
		close(s.stop)
		s.tasks.Wait()
		why := closedError(s.dir)
		s.ended.CompareAndSwap(nil, &why)
		s.closed = s.closeFiles()
	})
	return s.closed
}

func (s *Store) closeFiles() error {
	var errs []error
	s.index.mu.RLock()
	for _, segment := range s.index.segments {
		errs = append(errs, segment.file.Close())
	}
	s.index.mu.RUnlock()
	errs = append(errs, s.unlock())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the registers below %s: %w", s.dir, err)
	}
	return nil
}
