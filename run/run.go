package run

import (
	"slices"
	"sort"
	"time"

	"dmalloc/block"
	"dmalloc/message"
)

const (
	MaxRuns    = message.MaxRuns // that a node has at once; beyond them it allocates the usual way
	maxClasses = 32              // sizes that are remembered; beyond them the one asked for least lately is forgotten

	Burst     = 200 * time.Millisecond // a size that is asked for again within it is worth a run; without it blocks are closed
	tellAfter = 50 * time.Millisecond  // for which a hand-out is not told
	keepFor   = 30 * time.Second       // for which a run that nobody uses is kept
	again     = 100 * time.Millisecond // after which what failed is asked again
	fullFor   = 5 * time.Second        // for which no run is asked for after there was no room
)

// Kind is what an Ask asks.
type Kind uint8

const (
	Run Kind = iota
	Claim
	Settle
)

// Ask is a message that is due. At most one of each run is under way, and one for a run of each size.
type Ask struct {
	Kind    Kind
	Size    uint64            // Run: of a block
	Count   uint64            // Run: of blocks
	Company message.CompanyID // of the run; not of Run
	Number  uint64            // its
	Handed  uint64            // blocks that are handed out
	End     uint64            // Claim: those below it shall be open
	Order   uint64            // Claim: how-manieth of the run; an older one that comes late does nothing
}

// Given is a run that a company has set aside.
type Given struct {
	Company message.CompanyID
	Number  uint64
	End     uint64          // blocks below it are open
	Pieces  []message.Block // where they lie
}

// Out is a block that is handed out. Before anybody is told of it, it must be kept that Handed blocks of run Number
// are, in Slot, which no other run has.
type Out struct {
	Company message.CompanyID
	Address message.Addr
	Number  uint64
	Handed  uint64
	Slot    int
}

// aside is a run.
type aside struct {
	company message.CompanyID
	number  uint64
	blocks  []message.Addr
	n       int // handed out
	told    int // of those the company knows
	end     int // those below may be handed out
	far     int // those below may be open in the company: an answer may have been lost
	claims  uint64
	slot    int
	asked   bool          // a message about it is under way
	since   time.Duration // when the first was handed out that is not told
	retry   time.Duration // before it nothing is asked
	close   bool          // all that is open is to be told or closed, now
	closed  time.Duration // when it was last
	over    bool          // nothing of it is handed out any more
}

func (r *aside) left() int { return len(r.blocks) - r.n }

// class is the runs of one size, in the order in which they are used up.
type class struct {
	size  uint64
	runs  []*aside
	last  time.Duration // when one was asked for
	ever  bool          // one was
	burst bool          // the last two were asked for shortly after each other
	asked bool          // a Run is under way
	close bool          // what it brings is to be closed at once
	retry time.Duration
}

// Stock is what a node has aside.
type Stock struct {
	blocks  int // a run
	classes map[uint64]*class
	slots   [MaxRuns]bool
	told    time.Duration // when Tell was called last: what nobody has asked for since is not asked for
	ended   bool
	rows    []Row // when it did
}

// New makes a stock that asks for so many blocks at once.
func New(blocks int) *Stock { return &Stock{blocks: blocks, classes: map[uint64]*class{}, told: -1} }

// Take hands a block of a size out, if one is open. kick says that something may be due before the time that Due said.
func (s *Stock) Take(size uint64, now time.Duration) (out Out, ok, kick bool) {
	if s.ended || s.blocks == 0 || size == 0 || size > message.MaxRunSize {
		return Out{}, false, false
	}
	c := s.class(size, now)
	if c == nil {
		return Out{}, false, false
	}
	c.burst = c.ever && now-c.last < Burst
	c.last, c.ever = now, true
	for _, r := range c.runs {
		if r.over || r.n >= r.end {
			continue
		}
		if r.n == r.told {
			r.since, kick = now, true
		}
		a := r.blocks[r.n]
		r.n++
		if left := r.end - r.n; left == message.MaxOpen/2 || left == 0 || r.left() == s.blocks/4 {
			kick = true
		}
		return Out{Company: r.company, Address: a, Number: r.number, Handed: uint64(r.n), Slot: r.slot}, true, kick
	}
	return Out{}, false, c.burst
}

// class finds a size's, and makes room for a new one.
func (s *Stock) class(size uint64, now time.Duration) *class {
	if c := s.classes[size]; c != nil {
		return c
	}
	if len(s.classes) >= maxClasses {
		var oldest *class
		for _, c := range s.classes {
			if len(c.runs) == 0 && !c.asked && (oldest == nil || c.last < oldest.last || c.last == oldest.last && c.size < oldest.size) {
				oldest = c
			}
		}
		if oldest == nil {
			return nil
		}
		delete(s.classes, oldest.size)
	}
	c := &class{size: size, last: now}
	s.classes[size] = c
	return c
}

// sorted are the classes in an order that does not depend on a map's.
func (s *Stock) sorted() []*class {
	all := make([]*class, 0, len(s.classes))
	for _, c := range s.classes {
		all = append(all, c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].size < all[j].size })
	return all
}

// Due is what is to be asked now, and how long nothing else will be, if nothing happens.
func (s *Stock) Due(now time.Duration) (asks []Ask, wait time.Duration) {
	wait = keepFor
	until := func(t time.Duration) { wait = min(wait, max(t-now, time.Millisecond)) }
	if s.ended {
		return nil, wait
	}
	for _, c := range s.sorted() {
		busy := c.ever && now-c.last < Burst
		left, first := 0, true
		for _, r := range c.runs {
			if r.over {
				continue
			}
			left += r.left()
			if r.asked {
				first = first && r.left() == 0
				continue
			}
			if now < r.retry {
				until(r.retry)
			} else if a, ok := s.dueOf(c, r, busy, first, now, until); ok {
				r.asked = true
				asks = append(asks, a)
			}
			first = first && r.left() == 0
		}
		if busy {
			until(c.last + Burst)
		}
		if !busy || !c.burst || c.asked || c.last <= s.told || left > s.blocks/4 || s.slot() < 0 {
			continue
		}
		if now < c.retry {
			until(c.retry)
			continue
		}
		c.asked = true
		s.slots[s.slot()] = true // kept for it
		asks = append(asks, Ask{Kind: Run, Size: c.size, Count: uint64(s.blocks)})
	}
	return asks, wait
}

// dueOf is what is to be asked about a run.
func (s *Stock) dueOf(c *class, r *aside, busy, first bool, now time.Duration, until func(time.Duration)) (Ask, bool) {
	claim := func(end int) (Ask, bool) {
		r.far = max(r.far, end)
		r.claims++
		return Ask{Kind: Claim, Company: r.company, Number: r.number, Handed: uint64(r.n), End: uint64(end), Order: r.claims}, true
	}
	switch {
	case r.close || !busy && r.far > r.n:
		r.end, r.closed = r.n, now // R1: from now on nothing of it is handed out
		return claim(r.n)
	case busy && c.burst && c.last > r.closed && first && r.end-r.n <= message.MaxOpen/2 && r.end < len(r.blocks):
		return claim(min(r.n+message.MaxOpen, len(r.blocks)))
	case r.n > r.told && (r.left() == 0 || now-r.since >= tellAfter):
		return claim(max(r.end, r.n))
	case r.n > r.told:
		until(r.since + tellAfter)
	case !busy && now-c.last >= keepFor:
		r.over = true
		return Ask{Kind: Settle, Company: r.company, Number: r.number, Handed: uint64(r.n)}, true
	}
	return Ask{}, false
}

func (s *Stock) slot() int { return slices.Index(s.slots[:], false) }

// find is the run that an Ask is about, nil if it is over.
func (s *Stock) find(company message.CompanyID, number uint64) (*class, *aside) {
	for _, c := range s.classes {
		for _, r := range c.runs {
			if r.company == company && r.number == number {
				return c, r
			}
		}
	}
	return nil, nil
}

// drop forgets a run that is over.
func (s *Stock) drop(c *class, r *aside) {
	c.runs = slices.DeleteFunc(c.runs, func(x *aside) bool { return x == r })
	s.slots[r.slot] = false
}

// Gave is the answer to a Run: nil if there is none, or a refusal. full says that there was no room anywhere. False
// means that the run is not wanted any more.
func (s *Stock) Gave(a Ask, g *Given, full bool, now time.Duration) bool {
	c := s.classes[a.Size]
	if c == nil || !c.asked {
		return false
	}
	c.asked = false
	slot := s.reserved()
	if g == nil {
		c.close = false
		s.slots[slot] = false
		if c.retry = now + again; full {
			c.retry = now + fullFor
		}
		return true
	}
	f := message.Addr(block.Footprint(a.Size))
	r := &aside{company: g.Company, number: g.Number, slot: slot, close: c.close, closed: -1}
	c.close = false
	for _, p := range g.Pieces {
		for at := p.Address; at+f <= p.Address+message.Addr(p.Size); at += f {
			r.blocks = append(r.blocks, at)
		}
	}
	r.end = min(int(min(g.End, message.MaxRun)), len(r.blocks))
	r.far = r.end
	if len(r.blocks) <= s.blocks/2 { // there is not much room; more would not be more
		c.retry = now + fullFor
	}
	c.runs = append(c.runs, r)
	return true
}

// reserved is a slot that is kept for a run under way.
func (s *Stock) reserved() int {
	used := [MaxRuns]bool{}
	for _, c := range s.classes {
		for _, r := range c.runs {
			used[r.slot] = true
		}
	}
	for i := range s.slots {
		if s.slots[i] && !used[i] {
			return i
		}
	}
	return 0 // there is one for each Run under way
}

// What became of a Claim or a Settle.
type Outcome uint8

const (
	Did     Outcome = iota
	Unknown         // or refused for now: asked again
	Fenced          // the company has no such run of this session any more
)

// Done is the answer to a Claim, with how many blocks the company has open now, or to a Settle.
func (s *Stock) Done(a Ask, o Outcome, end uint64, now time.Duration) {
	c, r := s.find(a.Company, a.Number)
	if r == nil {
		return
	}
	r.asked = false
	switch {
	case o == Fenced || o == Did && a.Kind == Settle:
		s.drop(c, r)
	case o == Unknown:
		r.retry = now + again
	default:
		s.claimed(c, r, a, end, now)
	}
}

// claimed takes in what a company has open after a Claim. A Claim that opened nothing closed all: since it was asked
// nothing was handed out. Another one opened no less than could be handed out when it was asked.
func (s *Stock) claimed(c *class, r *aside, a Ask, end uint64, now time.Duration) {
	r.told, r.since = max(r.told, int(a.Handed)), now
	r.far = int(min(end, uint64(len(r.blocks))))
	if a.Handed == a.End {
		r.end, r.close = r.n, false
	} else {
		r.end = max(r.n, r.far)
	}
	if r.told == len(r.blocks) {
		s.drop(c, r)
	}
}

// Tell has everything told that was handed out, and everything closed, as soon as Due is asked: see Telling.
func (s *Stock) Tell(now time.Duration) {
	s.told = now
	for _, c := range s.classes {
		c.close = c.asked
		for _, r := range c.runs {
			if !r.over && (r.n > r.told || r.far > r.n) {
				r.close = true
			}
		}
	}
}

// TellOf is Tell for the run of one block.
func (s *Stock) TellOf(a message.Addr) {
	if r := s.of(a); r != nil {
		r.close = true
	}
}

// Telling says whether something is not told yet that Tell has asked for.
func (s *Stock) Telling() bool {
	for _, c := range s.classes {
		if c.close {
			return true
		}
		for _, r := range c.runs {
			if r.close {
				return true
			}
		}
	}
	return false
}

// of finds the run of which a block was handed out that the company may not know of.
func (s *Stock) of(a message.Addr) *aside {
	for _, c := range s.classes {
		for _, r := range c.runs {
			if i, ok := slices.BinarySearch(r.blocks, a); ok && i >= r.told && i < r.n {
				return r
			}
		}
	}
	return nil
}

// Handed says of which run a block is that was handed out and may not be known to be, and how many of it are.
func (s *Stock) Handed(a message.Addr) (number, handed uint64, ok bool) {
	r := s.of(a)
	if r == nil {
		return 0, 0, false
	}
	return r.number, uint64(r.n), true
}

// Row is how much of a run is handed out.
type Row struct {
	Company message.CompanyID
	Number  uint64
	Handed  uint64
}

// End says what was handed out of each run, and ends it all: there is nothing to be told any more, for who settles a
// session tells it. It may be called again.
func (s *Stock) End() []Row {
	if s.ended {
		return s.rows
	}
	for _, c := range s.sorted() {
		for _, r := range c.runs {
			s.rows = append(s.rows, Row{r.company, r.number, uint64(r.n)})
		}
	}
	s.ended, s.classes = true, map[uint64]*class{}
	return s.rows
}

// Stats sums a stock up.
type Stats struct {
	Runs, Left uint64 // blocks that are not handed out
}

func (s *Stock) Stats() (x Stats) {
	for _, c := range s.classes {
		for _, r := range c.runs {
			x.Runs++
			x.Left += uint64(r.left())
		}
	}
	return x
}
