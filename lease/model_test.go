package lease

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

// A small cluster: two holders, two pages, a client without a lease, one leader and the next. What they send is
// brought late and in any order, holders stop between any two steps, and clocks go wrong by as much as they may:
// those of holders are slow, those of leaders fast. Every order of events within the budgets is tried.

// flaw is something that is built wrong on purpose, to show that the model finds it.
type flaw int

const (
	none           flaw = iota
	fenceSkipped        // L2, L3: a write is done whatever lease there is
	olderToken          // L2: a write under any token that was ever given is done
	deposedExpires      // L4: what an older leader decided is done
	outlives            // T1: the holder counts from when the answer came
	oneLook             // T2: the holder does not look again before it answers
	hasty               // T3: a new leader does not wait for what it found
	unstretched         // T3: the leader trusts its clock
	forgetful           // T5: the holder takes a lease that it was asked for before the answer came
	careless            // T6: the holder reads a page under its own write
	shortened           // L1: a shorter lease takes the place of a longer one as it is
	weakened            // L1: a shared lease takes the place of an exclusive one
)

const (
	holders = 2
	pages   = 2
	long    = 10_000
	short   = 5_000
)

// scene is what there is to try: the leases that each holder asks for, one after the other, and how often each
// other thing may happen.
type scene struct {
	name   string
	wishes [holders][]Lease
	budget
}

// budget is how often each thing may happen: reads, leases given back and writes of each holder, writes of the client,
// changes of the leader, what the leader of before then does wrongly, and steps of time.
type budget struct{ reads, releases, writes, client, changes, wild, time int }

var (
	toRead      = Lease{Pages: 1, Length: long}
	toWrite     = Lease{Pages: 1, Length: short, Exclusive: true}
	toWriteBoth = Lease{Pages: 2, Length: short, Exclusive: true}
)

var scenes = []scene{
	{"a reader and a client", [holders][]Lease{{toRead}}, budget{reads: 2, releases: 1, client: 2, changes: 1, wild: 1, time: 3}},
	{"a reader and a writer", [holders][]Lease{{toRead}, {toWriteBoth}}, budget{reads: 1, releases: 1, writes: 1, time: 3}},
	{"two writers", [holders][]Lease{{toWrite}, {toWriteBoth}}, budget{reads: 1, writes: 1, time: 2}},
	{"a writer and the next leader", [holders][]Lease{{toWrite}, {toRead}}, budget{reads: 1, writes: 1, changes: 1, wild: 1, time: 2}},
	{"two upgrades", [holders][]Lease{{toRead, toWrite}, {toRead, toWrite}}, budget{time: 2}},
	{"an upgrade that is shorter", [holders][]Lease{{toRead, toWriteBoth}}, budget{reads: 1, releases: 1, client: 1, time: 3}},
	{"a downgrade", [holders][]Lease{{toWrite, toRead}, {toRead}}, budget{writes: 1, time: 1}},
}

type kind uint8

const (
	asked    kind = iota // LEASE on its way to a leader
	granted              // its answer
	revoke               // REVOKE
	released             // RELEASE
	expired              // EXPIRE
	put                  // WRITE on its way through the log
	wrote                // its answer
)

// flight is a message under way.
type flight struct {
	kind   kind
	holder int8 // -1: the client
	leader int8
	value  int8 // of a write
	lease  Lease
	sent   int64 // milliseconds of real time
}

type holder struct {
	asking  bool
	has     bool
	lease   Lease
	until   int64 // of its clock
	floor   uint64
	cached  [pages]int8 // -1: nothing
	reading bool
	page    uint64
	value   int8
	fresh   int8 // what was the newest when it was copied
	token   uint64
	writing int8 // page, -1: none
	asks    int  // how many of its wishes it has said
	left    budget
}

type leader struct {
	term  uint64
	watch *Watch
}

type cluster struct {
	flaw    flaw
	now     int64 // real time
	term    uint64
	table   *Table
	truth   [pages]int8
	writer  [pages]int8 // who wrote that
	version int8
	holders [holders]holder
	leaders []leader
	flights []flight
	scene   *scene
	left    budget
	wrong   string
}

func slowClock(now int64) int64 { return now * 99 / 100 }

func (c *cluster) fastClock() time.Duration { return time.Duration(c.now) * ms * 101 / 100 }

func newCluster(f flaw, s *scene) *cluster {
	c := &cluster{flaw: f, term: 1, table: New(), scene: s, left: s.budget, leaders: []leader{{1, NewWatch()}}}
	c.leaders[0].watch.Led(nil, 0)
	for i := range c.holders {
		c.holders[i] = holder{cached: [pages]int8{-1, -1}, writing: -1, left: s.budget}
	}
	return c
}

func (c *cluster) clone() *cluster {
	d := *c
	d.table, d.leaders, d.flights = c.table.Clone(), slices.Clone(c.leaders), slices.Clone(c.flights)
	for i := range d.leaders {
		d.leaders[i].watch = copied(d.leaders[i].watch)
	}
	return &d
}

func copied(w *Watch) *Watch {
	d := &Watch{leads: w.leads, leases: maps.Clone(w.leases)}
	for token, x := range d.leases {
		y := *x
		d.leases[token] = &y
	}
	return d
}

func (c *cluster) fail(format string, args ...any) {
	if c.wrong == "" {
		c.wrong = fmt.Sprintf(format, args...)
	}
}

// usable is what a holder believes at its next look at the clock: T1.
func (c *cluster) usable(h *holder) bool { return h.has && slowClock(c.now) < h.until }

// check is what must hold at any moment, whatever anybody does next.
func (c *cluster) check() {
	if err := c.table.Check(); err != nil {
		c.fail("%v", err)
	}
	a, b := &c.holders[0], &c.holders[1]
	if c.usable(a) && c.usable(b) && a.lease.Touches(b.lease.First, b.lease.Pages) && (a.lease.Exclusive || b.lease.Exclusive) {
		c.fail("two leases that exclude each other are used: %+v and %+v", a.lease, b.lease)
	}
	for i := range c.holders {
		h := &c.holders[i]
		if !c.usable(h) {
			continue
		}
		stands := false
		for l := range c.table.Over(h.lease.First, h.lease.Pages) {
			stands = stands || l.Node == h.lease.Node && l.Covers(h.lease.First, h.lease.Pages) && (l.Exclusive || !h.lease.Exclusive)
		}
		if !stands {
			c.fail("holder %d uses %+v, and the table has nothing like it", i, h.lease)
		}
	}
}

// move is one thing that can happen.
type move struct {
	do   func(c *cluster)
	name string // a format
	args []any
}

func (m move) String() string { return fmt.Sprintf(m.name, m.args...) }

func (c *cluster) fly(f flight) { c.flights = append(c.flights, f) }

// land takes a message from those under way.
func (c *cluster) land(f flight) {
	if i := slices.Index(c.flights, f); i >= 0 {
		c.flights = slices.Delete(c.flights, i, i+1)
	}
}

// moves lists what can happen now.
func (c *cluster) moves() (all []move) {
	add := func(do func(c *cluster), name string, args ...any) { all = append(all, move{do, name, args}) }
	for i := range c.holders {
		c.holderMoves(i, add)
	}
	for p := range uint64(1) {
		if c.left.client > 0 {
			add(func(c *cluster) {
				c.left.client--
				c.version++
				c.fly(flight{kind: put, holder: -1, value: c.version, lease: Lease{First: p}})
			}, "the client writes page %d", p)
		}
	}
	for i := range c.leaders {
		if len(copied(c.leaders[i].watch).Ripe(c.fastClock())) > 0 {
			add(func(c *cluster) { c.expire(i) }, "leader %d looks at its clock", i)
		}
	}
	if c.left.changes > 0 {
		add((*cluster).change, "another leads")
	}
	if c.left.wild > 0 && len(c.leaders) > 1 { // nothing is assumed of the clock of a leader that was deposed
		for l := range c.table.All() {
			add(func(c *cluster) {
				c.left.wild--
				c.arrive(flight{kind: expired, lease: l})
			}, "the old leader expires %d", l.Token)
		}
	}
	for k, f := range c.flights {
		if slices.Index(c.flights, f) == k {
			c.flightMoves(f, add)
		}
	}
	if c.left.time > 0 && c.nextMoment() > c.now {
		add(func(c *cluster) { c.now, c.left.time = c.nextMoment(), c.left.time-1 }, "time goes on")
	}
	return all
}

func (c *cluster) holderMoves(i int, add func(func(*cluster), string, ...any)) {
	h := &c.holders[i]
	if wishes := c.scene.wishes[i]; !h.asking && h.asks < len(wishes) {
		l := wishes[h.asks]
		l.Node, l.Session = message.NodeID(i), 1
		add(func(c *cluster) {
			h := &c.holders[i]
			h.asking = true
			h.asks++
			c.fly(flight{kind: asked, holder: int8(i), lease: l, sent: c.now})
		}, "holder %d asks for %+v", i, l)
	}
	if h.reading {
		add(func(c *cluster) { c.answer(i) }, "holder %d answers", i)
	}
	if h.has && h.left.releases > 0 {
		add(func(c *cluster) {
			h := &c.holders[i]
			h.left.releases--
			c.fly(flight{kind: released, holder: int8(i), lease: h.lease})
			h.giveUp()
		}, "holder %d releases", i)
	}
	if !c.usable(h) {
		return
	}
	for p := h.lease.First; p < 1; p++ { // the other page shows what leases on more pages do
		if h.cached[p] < 0 && c.scene.reads > 0 && h.writing != int8(p) {
			add(func(c *cluster) { c.holders[i].cached[p] = c.truth[p] }, "holder %d fills page %d", i, p)
		}
		if h.cached[p] >= 0 && !h.reading && h.left.reads > 0 {
			add(func(c *cluster) {
				h := &c.holders[i]
				h.left.reads--
				h.reading, h.page, h.value, h.fresh, h.token = true, p, h.cached[p], c.truth[p], h.lease.Token
			}, "holder %d copies page %d", i, p)
		}
		if h.lease.Exclusive && h.writing < 0 && h.left.writes > 0 {
			add(func(c *cluster) {
				h := &c.holders[i]
				h.left.writes--
				c.version++
				h.writing = int8(p)
				if c.flaw != careless {
					h.cached[p] = -1 // T6
				}
				c.fly(flight{kind: put, holder: int8(i), value: c.version, lease: Lease{First: p, Token: h.lease.Token}})
			}, "holder %d writes page %d", i, p)
		}
	}
}

func (h *holder) giveUp() { h.has, h.cached = false, [pages]int8{-1, -1} }

// answer is T2: the bytes that were copied are shown if the lease still is what it was. They must have been the
// newest when they were copied, and nobody else may have written since.
func (c *cluster) answer(i int) {
	h := &c.holders[i]
	h.reading = false
	if c.flaw != oneLook && (!c.usable(h) || h.lease.Token != h.token) {
		return
	}
	if h.value != h.fresh || h.fresh != c.truth[h.page] && c.writer[h.page] != int8(i) {
		c.fail("holder %d shows version %d of page %d, %d has been written", i, h.value, h.page, c.truth[h.page])
	}
}

func (c *cluster) flightMoves(f flight, add func(func(*cluster), string, ...any)) {
	switch f.kind {
	case asked, put:
		for i := range c.leaders {
			add(func(c *cluster) {
				if f.kind == asked {
					c.grant(f, i)
				} else {
					c.write(f, i)
				}
			}, "leader %d gets %+v", i, f)
		}
		return
	}
	add(func(c *cluster) {
		c.land(f)
		c.arrive(f)
	}, "arrives %+v", f)
}

func (c *cluster) arrive(f flight) {
	switch f.kind {
	case granted:
		c.taken(f)
	case revoke:
		h := &c.holders[f.holder]
		if h.has && h.lease.Token <= f.lease.Token {
			h.giveUp()
		}
		if c.flaw != forgetful {
			h.floor = max(h.floor, f.lease.Token)
		}
		c.leaders[f.leader].watch.Consent(f.lease.Token)
	case released:
		c.end(f.lease.Token)
	case expired:
		if c.leaders[f.leader].term >= c.term || c.flaw == deposedExpires {
			c.end(f.lease.Token)
		}
	case wrote:
		c.holders[f.holder].writing = -1
	}
}

func (c *cluster) end(token uint64) {
	if _, ok := c.table.End(token); ok {
		c.ended(token)
	}
}

func (c *cluster) ended(token uint64) {
	for _, l := range c.leaders {
		l.watch.Ended(token)
	}
}

// grant is LEASE in the log: what package company does.
func (c *cluster) grant(f flight, i int) {
	if c.leaders[i].term < c.term {
		return // L4: fenced, and asked again elsewhere
	}
	if c.flaw == weakened && !f.lease.Exclusive || c.flaw == shortened {
		for l := range c.table.Over(f.lease.First, f.lease.Pages) {
			if l.Node == f.lease.Node && f.lease.Covers(l.First, l.Pages) && (c.flaw == weakened || f.lease.Exclusive || !l.Exclusive) {
				c.end(l.Token)
			}
		}
	}
	last := c.table.Last()
	out := c.table.Grant(0, f.lease)
	for _, l := range out.Ended {
		c.ended(l.Token)
	}
	switch out.Code {
	case message.Done:
		if out.Lease.Token <= last {
			c.fail("token %d comes after %d", out.Lease.Token, last)
		}
		c.land(f)
		watched := out.Lease
		if c.flaw == unstretched {
			watched.Length = watched.Length * 100 / 101
		}
		for _, l := range c.leaders {
			l.watch.Seen(watched, c.fastClock())
		}
		f.kind, f.lease = granted, out.Lease
		c.fly(f)
	case message.Leased:
		c.revoke(out.Against, i)
	default:
		c.land(f)
		c.holders[f.holder].asking = false
	}
}

func (c *cluster) revoke(against []Lease, i int) {
	var tokens []uint64
	for _, l := range against {
		tokens = append(tokens, l.Token)
	}
	for _, l := range c.leaders[i].watch.Ask(tokens, c.fastClock()) {
		c.fly(flight{kind: revoke, holder: int8(l.Node), leader: int8(i), lease: l})
	}
}

// taken is the answer of a LEASE at its holder: T1, T5.
func (c *cluster) taken(f flight) {
	h := &c.holders[f.holder]
	h.asking = false
	if f.lease.Token <= h.floor {
		return
	}
	from := f.sent
	if c.flaw == outlives {
		from = c.now
	}
	h.giveUp()
	h.has, h.lease, h.until = true, f.lease, slowClock(from)+int64(f.lease.Length)*99/100-20
}

// write is WRITE in the log: what package company does.
func (c *cluster) write(f flight, i int) {
	p := f.lease.First
	if f.holder < 0 && c.flaw != fenceSkipped {
		if against := slices.Collect(c.table.Over(p, 1)); len(against) > 0 {
			c.revoke(against, i)
			return
		}
	}
	c.land(f)
	if f.holder < 0 || c.table.Writes(f.lease.Token, p, 1) || c.flaw == fenceSkipped || c.flaw == olderToken && f.lease.Token <= c.table.Last() {
		c.truth[p], c.writer[p] = f.value, f.holder
	}
	if f.holder >= 0 {
		c.fly(flight{kind: wrote, holder: f.holder})
	}
}

// expire proposes what a leader's watch says is over.
func (c *cluster) expire(i int) {
	w := c.leaders[i].watch
	for _, token := range w.Ripe(c.fastClock()) {
		c.arrive(flight{kind: expired, leader: int8(i), lease: Lease{Token: token}})
	}
}

// change is the TERM entry of the next leader, which has read the state from a snapshot.
func (c *cluster) change() {
	c.left.changes--
	c.term++
	l := leader{c.term, NewWatch()}
	l.watch.Led(slices.Collect(c.table.All()), c.fastClock())
	if c.flaw == hasty {
		for _, x := range l.watch.leases {
			x.since = never
		}
	}
	c.leaders = append(c.leaders, l)
}

// nextMoment is when next a lease ends for its holder or its leader.
func (c *cluster) nextMoment() int64 {
	next := int64(1 << 60)
	at := func(t int64) {
		if t > c.now {
			next = min(next, t)
		}
	}
	for i := range c.holders {
		if h := &c.holders[i]; h.has {
			at((h.until*100 + 98) / 99)
		}
	}
	for _, f := range c.flights {
		if f.kind == asked || f.kind == granted {
			at(f.sent + int64(f.lease.Length) - 20)
		}
	}
	for _, l := range c.leaders {
		for _, x := range l.watch.leases {
			at((int64((x.since+wait(x.Length))/ms)*100 + 100) / 101)
		}
	}
	if next == 1<<60 {
		return c.now
	}
	return next
}

// key tells states apart. Moments count from now; those that are over are alike.
func (c *cluster) key() string {
	b := make([]byte, 0, 256)
	num := func(values ...int64) {
		for _, v := range values {
			b = binary.AppendVarint(b, v)
		}
	}
	yes := func(v bool) {
		if v {
			num(1)
		} else {
			num(0)
		}
	}
	lease := func(l Lease) {
		num(int64(l.First), int64(l.Pages), int64(l.Node), int64(l.Token), int64(l.Length))
		yes(l.Exclusive)
	}
	num(int64(c.term), int64(c.table.Last()), int64(c.truth[0]), int64(c.truth[1]), int64(c.writer[0]), int64(c.version),
		int64(c.left.client), int64(c.left.changes), int64(c.left.wild), int64(c.left.time))
	for l := range c.table.All() {
		lease(l)
	}
	num(-1)
	for i := range c.holders {
		h := &c.holders[i]
		yes(h.asking)
		yes(h.has)
		if h.has {
			lease(h.lease)
			num(max(0, h.until-slowClock(c.now)))
		}
		num(int64(h.floor), int64(h.cached[0]), int64(h.cached[1]), int64(h.writing), int64(h.asks), int64(h.left.reads), int64(h.left.releases), int64(h.left.writes))
		yes(h.reading)
		if h.reading {
			num(int64(h.page), int64(h.value), int64(h.fresh), int64(h.token))
		}
	}
	for _, l := range c.leaders {
		num(int64(l.term))
		for _, token := range slices.Sorted(maps.Keys(l.watch.leases)) {
			x := l.watch.leases[token]
			num(int64(token), max(0, int64((x.since+wait(x.Length)-c.fastClock())/ms)))
			yes(x.consent)
			yes(c.fastClock()-x.asked < Again)
			yes(c.fastClock()-x.ended < Again)
		}
		num(-1)
	}
	var lines []string
	head := b
	for _, f := range c.flights {
		b = nil
		num(int64(f.kind), int64(f.holder), int64(f.leader), int64(f.value), max(-20_000, f.sent-c.now))
		if f.kind != asked && f.kind != granted {
			b = nil
			num(int64(f.kind), int64(f.holder), int64(f.leader), int64(f.value))
		}
		lease(f.lease)
		lines = append(lines, string(b))
	}
	slices.Sort(lines)
	return string(head) + strings.Join(lines, "|")
}

// explore tries everything that can follow, and returns the way to the first thing that is wrong.
func explore(c *cluster, seen map[string]bool) []string {
	for _, m := range c.moves() {
		d := c.clone()
		m.do(d)
		d.check()
		if d.wrong != "" {
			return []string{m.String(), d.wrong}
		}
		key := d.key()
		if seen[key] {
			continue
		}
		seen[key] = true
		if path := explore(d, seen); path != nil {
			return append([]string{m.String()}, path...)
		}
	}
	return nil
}

func TestEveryInterleaving(t *testing.T) {
	all := 0
	for _, s := range scenes {
		seen := map[string]bool{}
		if path := explore(newCluster(none, &s), seen); path != nil {
			t.Fatalf("%s:\n%s", s.name, strings.Join(path, "\n"))
		}
		t.Logf("%s: %d states", s.name, len(seen))
		all += len(seen)
	}
	if all < 10_000 {
		t.Errorf("only %d states were tried", all)
	}
}

// Each thing that is built wrong breaks a promise in some order of events.
func TestFlawsAreFound(t *testing.T) {
	for _, x := range []struct {
		name  string
		flaw  flaw
		scene string
	}{
		{"the fence is skipped", fenceSkipped, "a reader and a client"},
		{"an older token is accepted", olderToken, "a writer and the next leader"},
		{"a deposed leader expires", deposedExpires, "a reader and a client"},
		{"a lease outlives the clock of its holder", outlives, "a reader and a client"},
		{"no second look at the clock", oneLook, "a reader and a client"},
		{"a new leader does not wait", hasty, "a reader and a client"},
		{"a leader trusts its clock", unstretched, "an upgrade that is shorter"},
		{"a holder forgets what it was asked for", forgetful, "two upgrades"},
		{"a page is read under a write", careless, "a writer and the next leader"},
		{"a lease is made shorter", shortened, "an upgrade that is shorter"},
		{"a lease is made weaker", weakened, "a downgrade"},
	} {
		t.Run(x.name, func(t *testing.T) {
			i := slices.IndexFunc(scenes, func(s scene) bool { return s.name == x.scene })
			seen := map[string]bool{}
			path := explore(newCluster(x.flaw, &scenes[i]), seen)
			if path == nil {
				t.Fatalf("not found in %d states", len(seen))
			}
			t.Logf("after %d states and %d steps: %s", len(seen), len(path)-1, path[len(path)-1])
		})
	}
}
