package disk

import (
	"errors"
	"hash/crc32"
	"time"

	"dmalloc/message"
)

// write is the writer's goroutine: it takes what waits until nothing will come any more.
func (s *Store) write() {
	defer s.tasks.Done()
	s.leaveMark()
	for {
		s.taken = s.queue.take(s.taken)
		if len(s.taken) == 0 {
			break
		}
		for rest := s.taken; len(rest) > 0; {
			n := together(rest)
			s.perform(rest[:n])
			s.queue.finish(rest[:n])
			rest = rest[n:]
		}
		select {
		case s.kick <- struct{}{}:
		default:
		}
		s.leaveMark()
	}
	if s.ended.Load() == nil {
		s.sealAll()
	}
}

// together is how many ops of the first go into one group.
func together(ops []op) int {
	if ops[0].alone != nil {
		return 1
	}
	size := int64(0)
	for i, o := range ops {
		size += recordSize(len(o.value))
		if o.alone != nil || i > 0 && size > groupBytes || i == groupRecords {
			return i
		}
	}
	return len(ops)
}

// perform does what goes together and calls each done.
func (s *Store) perform(ops []op) {
	var err error
	switch broken := s.ended.Load(); {
	case broken != nil:
		err = *broken
	case ops[0].alone != nil:
		err = s.outcome("write the manifest", ops[0].alone())
	default:
		s.putAll(ops)
		return
	}
	for i := range ops {
		ops[i].done(err)
	}
}

// outcome turns what went wrong with a write into what is told, and ends the store if it must (D6).
func (s *Store) outcome(doing string, err error) error {
	var refused *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused.error
	case !noRoom(err):
		return s.fail(doing, err)
	}
	if !s.full.Swap(true) {
		s.o.Log.Warn("the disk of the registers is full: puts are refused", "dir", s.dir, "error", err)
	}
	return fullError(s.dir, err)
}

// putAll writes the values that are newer than what is durable, of each register the newest one.
func (s *Store) putAll(ops []op) {
	if len(s.winners) > 1024 {
		s.winners = nil // to clear a map costs as much as it once held
	}
	if s.winners == nil {
		s.winners = make(map[message.RegisterID]int)
	}
	clear(s.winners)
	for i := range ops {
		o := &ops[i]
		if best, ok := s.winners[o.id]; ok {
			if o.tag.Compare(ops[best].tag) > 0 {
				s.winners[o.id] = i
			}
		} else if o.tag.Compare(s.index.tag(o.id)) > 0 {
			s.winners[o.id] = i
		}
	}
	s.begin()
	for i := range ops {
		if o := &ops[i]; s.wins(i, o.id) {
			s.add(o.id, o.tag, o.value)
		}
	}
	var err error
	if n := len(s.entries); n > 0 {
		if err = s.outcome("write a group", s.commit()); err == nil {
			s.records.Add(uint64(n))
		}
	}
	s.o.Together(func() {
		for i := range ops {
			// A put that lost to one of this group shares its fate; one that lost to what was durable does not.
			o := &ops[i]
			if _, written := s.winners[o.id]; written {
				o.done(err)
			} else {
				o.done(nil)
			}
		}
	})
}

func (s *Store) wins(i int, r message.RegisterID) bool {
	best, ok := s.winners[r]
	return ok && best == i
}

// begin starts a group in the buffer.
func (s *Store) begin() {
	if cap(s.buf) > 2*groupBytes {
		s.buf = nil // after a few very large values
	}
	s.buf = append(s.buf[:0], make([]byte, groupHeader)...)
	s.entries = s.entries[:0]
}

// add appends a record to the group. Where it lies is said from the group's begin.
func (s *Store) add(r message.RegisterID, t message.Tag, value []byte) {
	s.entries = append(s.entries, entry{id: r, tag: t, offset: uint32(len(s.buf)), size: uint32(len(value))})
	s.buf = appendRecord(s.buf, r, t, value)
}

// commit makes the group in the buffer durable and then visible (D1).
func (s *Store) commit() error {
	if c := s.current; c.Seq > 0 && c.End+int64(len(s.buf)) > s.o.SegmentSize {
		if err := s.roll(s.manifest); err != nil {
			return err
		}
	}
	c := s.current
	body := s.buf[groupHeader:]
	g := group{seq: c.Seq + 1, length: uint32(len(body)), count: uint32(len(s.entries)), prev: c.Sum, body: crc32.Checksum(body, castagnoli), manifest: s.manifest.Serial}
	g.putHeader(s.buf, c.nonce, c.End)
	begun := time.Now()
	if _, err := c.file.WriteAt(s.buf, c.End); err != nil {
		return s.cutBack(c, err)
	}
	if err := c.file.Sync(); err != nil {
		return beyondFull(err)
	}
	s.syncs.Add(1)
	s.o.Synced(time.Since(begun), len(s.entries))
	if s.full.Swap(false) {
		s.o.Log.Info("the disk of the registers has room again", "dir", s.dir)
	}
	s.publish(c, g)
	return nil
}

// cutBack takes a group back that found no room. The cut is synced: the segment may be full next, and then
// nothing may lie behind its end.
func (s *Store) cutBack(c *segment, why error) error {
	if !noRoom(why) {
		return why
	}
	c.marked = false
	err := c.file.Truncate(c.End)
	if err == nil {
		err = c.file.Sync()
	}
	if err != nil {
		return beyondFull(errors.Join(why, err))
	}
	return why
}

func (s *Store) publish(c *segment, g group) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	begin := uint32(c.End)
	c.seal = seal{End: c.End + groupHeader + int64(g.length), Seq: g.seq, Sum: g.sum}
	c.marked = false
	for _, e := range s.entries {
		e.number, e.offset = c.number, e.offset+begin
		shard, err := s.index.shardOf(e.id)
		if err != nil {
			continue // Put has refused it
		}
		s.index.put(e, shard)
	}
}

// leaveMark writes the header of an empty group where the next group will be. See doc.go. It need not reach
// the disk, so a full one is no reason to do anything.
func (s *Store) leaveMark() {
	c := s.current
	if s.ended.Load() != nil || c.marked && c.manifest == s.manifest.Serial || s.full.Load() || !s.queue.idle() {
		return
	}
	var b [groupHeader]byte
	g := group{seq: c.Seq + 1, prev: c.Sum, manifest: s.manifest.Serial}
	g.putHeader(b[:], c.nonce, c.End)
	_, err := c.file.WriteAt(b[:], c.End)
	if err != nil {
		if err = s.cutBack(c, err); !noRoom(err) {
			_ = s.fail("write a mark", err)
		}
		return
	}
	c.marked, c.manifest = true, s.manifest.Serial
}
