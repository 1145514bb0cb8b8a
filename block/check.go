package block

import "dmalloc/message"

// Check verifies B1 to B3 and B6 in O(n log n), for tests and for states that were loaded.
func (s *Space) Check() error {
	broken := func(format string, args ...any) error {
		return message.Errorf(message.Internal, "block: "+format, args...)
	}
	var sum, whole uint64
	var withPages, edges int
	end, some := s.base, false
	for e := range s.All() {
		if err := s.proper(e); err != nil {
			return broken("B1: %v", err)
		}
		if some && e.Addr <= end || e.Addr < end {
			return broken("B1: %s begins at or before the end %s of the one before it", e, end)
		}
		end, some = e.End(), true
		if !s.bySize.Has(e) {
			return broken("B2: %s is missing by size", e)
		}
		if p := e.pages(); p.Size > 0 {
			withPages++
			whole += p.Size
			if !s.byPages.Has(p) {
				return broken("B2: the pages %s of %s are missing", p, e)
			}
		}
		for _, x := range e.edges() {
			if x.Size == 0 {
				continue
			}
			if edges++; !s.byEdges.Has(x) {
				return broken("B2: the edge %s of %s is missing", x, e)
			}
		}
		sum += e.Size
	}
	if s.byEdges.Len() != edges || whole != s.whole {
		return broken("B6: %d edges, %d listed; %d bytes in whole pages, not %d", edges, s.byEdges.Len(), whole, s.whole)
	}
	if s.bySize.Len() != s.byAddr.Len() || s.byPages.Len() != withPages {
		return broken("B2: %d extents by address, %d by size; %d with pages, %d by pages", s.byAddr.Len(), s.bySize.Len(), withPages, s.byPages.Len())
	}
	if sum != s.free {
		return broken("B3: the extents sum to %d, not to %d", sum, s.free)
	}
	if s.high < s.base || s.high > s.limit {
		return broken("B4: %s is not in the window", s.high)
	}
	return nil
}
