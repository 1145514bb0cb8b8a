package disk

import (
	"errors"
)

// compact is the compactor's goroutine. It looks whenever the writer has done something.
func (s *Store) compact() {
	defer s.tasks.Done()
	for {
		select {
		case <-s.stop:
			return
		case <-s.kick:
		}
		for {
			victim := s.victim()
			if victim == nil {
				break
			}
			if err := s.vacate(victim); err != nil {
				s.o.Log.Debug("compact registers", "file", victim.path, "error", err)
				break
			}
		}
	}
}

// victim picks the old segment with the smallest part alive, if more than half of all old ones is dead and it
// is worth the work; or one in which nothing is alive.
func (s *Store) victim() *segment {
	x := s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	newest := uint32(0)
	for number := range x.segments {
		newest = max(newest, number)
	}
	var best *segment
	var size, live int64
	for number, c := range x.segments {
		if number == newest || c.damaged {
			continue
		}
		size, live = size+c.End, live+c.live
		if best == nil || part(c) < part(best) || part(c) == part(best) && number < best.number {
			best = c
		}
	}
	if best == nil || best.live > 0 && (2*live >= size || size-live < s.o.dead) {
		return nil
	}
	return best
}

func part(c *segment) float64 { return float64(c.live) / float64(c.End) }

// vacate writes all that counts in a segment again, a little at a time so that puts go on between, and then
// removes it (D5).
func (s *Store) vacate(victim *segment) error {
	all := s.index.of(victim.number)
	for len(all) > 0 {
		var step []carried
		for size := int64(0); len(all) > 0 && size < stepBytes; all = all[1:] {
			e := all[0]
			if now, _, ok := s.index.find(e.id); !ok || !now.same(e) {
				continue // a put was faster
			}
			value, err := victim.read(e)
			if err != nil {
				return s.leave(victim, e, err)
			}
			step = append(step, carried{e, value})
			size += recordSize(len(value))
		}
		if err := s.wait(func() error { return s.move(step) }); err != nil {
			return err
		}
	}
	return s.wait(func() error {
		if s.aliveIn(victim) || victim == s.current {
			return &refusal{errors.New("the segment is still in use")}
		}
		return s.remove(victim)
	})
}

func (s *Store) aliveIn(victim *segment) bool {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	return victim.live > 0
}

// leave keeps a segment as it is in which a record cannot be read. Its other records are served on.
func (s *Store) leave(victim *segment, e entry, err error) error {
	err = unreadable(victim.path, int64(e.offset), err)
	s.o.Log.Error("a register's record cannot be read; its file is left as it is", "register", e.id, "error", err)
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	victim.damaged = true
	return err
}

// carried is a record on its way to another segment.
type carried struct {
	from  entry
	value []byte
}

// move writes records again that still count. It is the writer's.
func (s *Store) move(step []carried) error {
	s.begin()
	for _, c := range step {
		if now, _, ok := s.index.find(c.from.id); ok && now.same(c.from) {
			s.add(c.from.id, c.from.tag, c.value)
		}
	}
	n := len(s.entries)
	if n == 0 {
		return nil
	}
	if err := s.commit(); err != nil {
		return err
	}
	s.moved.Add(uint64(n))
	return nil
}
