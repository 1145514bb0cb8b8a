package disk

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"path/filepath"

	"dmalloc/message"
)

// unmark cuts the mark off, durably, so that the segment ends where its seal says.
func (s *segment) unmark() error {
	if !s.marked {
		return nil
	}
	if err := s.file.Truncate(s.End); err != nil {
		return beyondFull(err)
	}
	s.marked = false
	return beyondFull(s.file.Sync())
}

// create makes the file of a segment with its header, durably. No manifest names it yet.
func (s *Store) create(number, prev uint32) (*segment, error) {
	name := filepath.Join(s.dir, segmentName(number))
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	c := &segment{number: number, path: name, prev: prev, nonce: binary.LittleEndian.Uint64(nonce[:])}
	f, err := s.layer.Create(name)
	if err != nil {
		return nil, err
	}
	c.file = f
	if _, err = f.WriteAt(c.header(s.id), 0); err == nil {
		err = beyondFull(f.Sync())
	}
	if err == nil {
		err = beyondFull(s.layer.SyncDir(s.dir))
	}
	if err != nil {
		s.discard(c, err)
		return nil, err
	}
	return c, nil
}

// discard takes back what create has made. After a failed sync the file stays, for the manifest may name it;
// Open finds that out.
func (s *Store) discard(c *segment, why error) {
	_ = c.file.Close()
	if noRoom(why) {
		_ = s.layer.Remove(c.path)
	}
}

// roll begins a new segment and saves a manifest that names it, besides what is in m.
func (s *Store) roll(m manifest) error {
	old := s.current
	if err := old.unmark(); err != nil {
		return err
	}
	c, err := s.create(old.number+1, old.Sum)
	if err != nil {
		return err
	}
	m = m.clone()
	m.Segments[len(m.Segments)-1].seal = old.seal
	m.Segments = append(m.Segments, sealed{c.number, c.seal})
	if err := s.save(m); err != nil {
		s.discard(c, err)
		return err
	}
	s.index.mu.Lock()
	s.index.segments[c.number] = c
	s.index.mu.Unlock()
	s.current = c
	return nil
}

// save makes m the manifest.
func (s *Store) save(m manifest) error {
	m.Serial++
	if err := saveManifest(s.layer, s.dir, m); err != nil {
		return err
	}
	s.manifest = m
	return nil
}

// keep is Keep's part in the writer. Blobs are so few and so rarely written that they are in the manifest.
func (s *Store) keep(name string, blob []byte) error {
	m := s.manifest.clone()
	if m.Kept == nil {
		m.Kept = map[string][]byte{}
	}
	m.Kept[name] = blob
	if len(m.Kept) > maxKept {
		return &refusal{message.Errorf(message.InvalidArgument, "%d named blobs are kept and %s would be one more: replace one of them", maxKept, message.Quote(name))}
	}
	m.Segments[len(m.Segments)-1].seal = s.current.seal
	if err := s.save(m); err != nil {
		return err
	}
	s.showKept()
	return nil
}

func (s *Store) showKept() {
	kept := s.manifest.clone().Kept
	s.kept.Store(&kept)
}

// forget is Forget's part in the writer. What is in segments before a new one is forgotten by the manifest that
// names the new one: so it is durable at once, whatever the number of registers.
func (s *Store) forget(gone []bool) (int, error) {
	m := s.manifest.clone()
	if m.Forgotten == nil {
		m.Forgotten = map[int]uint32{}
	}
	some := false
	for shard := range gone {
		gone[shard] = gone[shard] && s.index.counts[shard] > 0
		if gone[shard] {
			m.Forgotten[shard] = s.current.number + 1
			some = true
		}
	}
	if !some {
		return 0, nil
	}
	if err := s.roll(m); err != nil {
		return 0, err
	}
	return s.index.empty(gone), nil
}

// remove drops a segment in which nothing counts any more (D5).
func (s *Store) remove(victim *segment) error {
	m := s.manifest.clone()
	m.Segments = m.Segments[:0]
	for _, segment := range s.manifest.Segments {
		if segment.Number != victim.number {
			m.Segments = append(m.Segments, segment)
		}
	}
	m.Segments[len(m.Segments)-1].seal = s.current.seal
	for shard, before := range m.Forgotten {
		if before <= m.Segments[0].Number {
			delete(m.Forgotten, shard) // nothing is left that it would hide
		}
	}
	if err := s.save(m); err != nil {
		return err
	}
	s.index.mu.Lock()
	delete(s.index.segments, victim.number)
	s.index.mu.Unlock()
	s.compactions.Add(1)
	// A file that stays is unnamed, and the next Open removes it.
	if err := errors.Join(victim.file.Close(), s.layer.Remove(victim.path)); err != nil {
		s.o.Log.Warn("remove an empty segment of registers", "file", victim.path, "error", err)
	}
	return nil
}

// sealAll leaves the files so that the next Open knows what must be there.
func (s *Store) sealAll() {
	m := s.manifest.clone()
	m.Segments[len(m.Segments)-1].seal = s.current.seal
	err := s.save(m)
	if err == nil {
		s.leaveMark()
		err = s.current.file.Sync()
	}
	if err != nil {
		s.o.Log.Warn("seal the registers: the next start cannot tell damage to the last write from a torn one", "dir", s.dir, "error", err)
	}
}

// refusal is an error of an op that leaves the store as it was.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }
