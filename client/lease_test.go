package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
	"dmalloc/transport"
)

// room3 is three nodes of which node 0 leads every company and node 2 is the user's. What each was asked is
// written down as "node op seq".
type room3 struct {
	mu     sync.Mutex
	asked  []string
	seqs   map[message.Op][]uint64
	flags  message.Flags // of the last one
	leader func(m *message.Message) *message.Message
	home   func(m *message.Message) *message.Message
}

func (r *room3) note(n message.NodeID, m *message.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprintf("%s %s", n, m.Op))
	r.seqs[m.Op], r.flags = append(r.seqs[m.Op], m.Seq), m.Flags
}

// took gives what was asked since the last time.
func (r *room3) took() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.asked, ", ")
	r.asked = nil
	return s
}

func (r *room3) open(t *testing.T) *Heap {
	t.Helper()
	r.seqs = map[message.Op][]uint64{}
	answer := func(n message.NodeID, f *func(m *message.Message) *message.Message) func(m *message.Message) *message.Message {
		return func(m *message.Message) *message.Message {
			if m.Op == message.DIRECTORY {
				return m.Answer(message.Done, "")
			}
			if m.Op == message.TEST { // a question for a sign of life, of which none comes
				return nil
			}
			r.note(n, m)
			return (*f)(m)
		}
	}
	follower := leadBy(0)
	s := &script{heard: map[message.NodeID]time.Time{}, nodes: map[message.NodeID]func(m *message.Message) *message.Message{
		0: answer(0, &r.leader), 1: answer(1, &follower), 2: answer(2, &r.home)}}
	h, err := New(Config{Carrier: s, Home: 2, Directory: three(), Attempt: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const leasedPage = message.HeapBase + message.PageSize

// grant answers LEASE as a holder does.
func grant(m *message.Message, writeBack bool) *message.Message {
	mode := "r"
	if m.Flags&message.Exclusive != 0 {
		mode = "w"
	}
	a := m.Answer(message.Done, "")
	a.Data = message.JSON(message.Lease{Company: m.Company, Address: leasedPage, Size: 2 * message.PageSize, Mode: mode, Token: 17, Holder: 2, LengthMS: m.Length, LeftMS: m.Length, WriteBack: writeBack})
	return a
}

// bytesOf answers what is read, written, swapped, added to or freed.
func bytesOf(m *message.Message) *message.Message {
	a := serve(m)
	if m.Op == message.READ {
		a.Data = make([]byte, m.Size)
	}
	return a
}

func ending(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// While a lease lasts, its holder is asked first for what it covers, and only for that.
func TestHolderFirst(t *testing.T) {
	ctx := ending(t, 10*time.Second)
	for _, mode := range []string{"r", "w"} {
		r := &room3{leader: bytesOf, home: func(m *message.Message) *message.Message {
			if m.Op == message.LEASE {
				return grant(m, false)
			}
			return bytesOf(m)
		}}
		h := r.open(t)
		l, err := h.Lease(ctx, leasedPage+5, mode, 0)
		if err != nil || l.Mode != mode || l.Token != 17 || l.LengthMS != message.DefaultLease {
			t.Fatalf("%+v %v", l, err)
		}
		if got := r.took(); got != "2 LEASE" {
			t.Errorf("a lease is the holder's to take: %s", got)
		}
		p := make([]byte, 8)
		for _, row := range []struct {
			name string
			do   func() error
			r, w string // who is asked under a lease of that mode
		}{
			{"read", func() error { return h.ReadAt(ctx, p, leasedPage+8) }, "2 READ", "2 READ"},
			{"read to its end", func() error { return h.ReadAt(ctx, p, leasedPage+2*message.PageSize-8) }, "2 READ", "2 READ"},
			{"read over its end", func() error { return h.ReadAt(ctx, p, leasedPage+2*message.PageSize-7) }, "0 READ", "0 READ"},
			{"read before it", func() error { return h.ReadAt(ctx, p, leasedPage-8) }, "0 READ", "0 READ"},
			{"write", func() error { _, err := h.WriteAt(ctx, p, leasedPage); return err }, "0 WRITE", "2 WRITE"},
			{"cas", func() error { _, _, err := h.CompareAndSwap(ctx, leasedPage, 1, 2); return err }, "0 CAS", "2 CAS"},
			{"add", func() error { _, err := h.FetchAdd(ctx, leasedPage, 1); return err }, "0 ADD", "2 ADD"},
			{"lookup", func() error { _, err := h.Lookup(ctx, leasedPage); return err }, "0 DUMP", "0 DUMP"},
			{"free", func() error { return h.Free(ctx, leasedPage) }, "0 FREE", "2 FREE"},
		} {
			want := map[string]string{"r": row.r, "w": row.w}[mode]
			if err := row.do(); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			if got := r.took(); got != want {
				t.Errorf("%s under %s: asked %s, want %s", row.name, mode, got, want)
			}
		}
		if got, _ := h.leaders.get(1); got.node != 0 {
			t.Errorf("the holder was taken for the leader: %s", got.node)
		}
		k := h.Idempotent(message.ClientID{1})
		if err := k.ReadAt(ctx, p, leasedPage); err != nil || r.took() != "2 READ" {
			t.Error("a client for one request does not know the leases")
		}
	}
}

// What the holder cannot do goes to the leader under the same number, and a holder that has no such lease any
// more is not asked again.
func TestFallsBackToTheLeader(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(m *message.Message) *message.Message
		again  bool // the holder is still asked first
	}{
		{"it has none", leadBy(0), false},
		{"it owns nothing", func(m *message.Message) *message.Message { return m.Answer(message.Stale, "") }, false},
		{"it is over", func(m *message.Message) *message.Message { return m.Answer(message.Fenced, "") }, false},
		{"it reaches nobody", func(m *message.Message) *message.Message { return m.Answer(message.Unavailable, "") }, true},
		{"it does not know", func(m *message.Message) *message.Message { return m.Answer(message.Retry, "") }, true},
		{"it is full", func(m *message.Message) *message.Message { return m.Answer(message.Busy, "") }, true},
		{"it is silent", silent, true}, // but not for a while
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := ending(t, 10*time.Second)
			r := &room3{leader: bytesOf, home: func(m *message.Message) *message.Message { return grant(m, false) }}
			h := r.open(t)
			if _, err := h.Lease(ctx, leasedPage, "w", time.Minute/2); err != nil {
				t.Fatal(err)
			}
			r.home = row.answer
			r.took()
			if w, err := h.Write(ctx, []byte("x"), leasedPage); err != nil || w.Index != 7 || w.WriteBack {
				t.Fatalf("%+v %v", w, err)
			}
			if got := r.took(); got != "2 WRITE, 0 WRITE" {
				t.Errorf("asked %s", got)
			}
			if s := r.seqs[message.WRITE]; s[0] != s[1] || s[0] == 0 {
				t.Errorf("the request changed its number: %v", s)
			}
			h.leases.change(func(all []held) []held {
				for i := range all {
					if row.name == "it is silent" && all[i].quiet.IsZero() {
						t.Error("it is not passed over")
					}
					all[i].quiet = time.Time{}
				}
				return all
			})
			if _, err := h.WriteAt(ctx, []byte("x"), leasedPage); err != nil {
				t.Fatal(err)
			}
			if got := r.took(); strings.HasPrefix(got, "2 ") != row.again {
				t.Errorf("then asked %s", got)
			}
		})
	}
}

// A write that was only absorbed says so. Where that cannot be known, nobody else is asked, whatever the time; a keyed
// write is never absorbed. A read says that it is meant for the holder.
func TestWriteBack(t *testing.T) {
	ctx := ending(t, 10*time.Second)
	lost := 0
	absorb := func(m *message.Message) *message.Message {
		switch {
		case m.Op == message.LEASE:
			return grant(m, true)
		case m.Flags&message.WriteBack == 0 || m.Op == message.READ:
			return bytesOf(m)
		case lost > 0:
			lost--
			return nil
		}
		a := m.Answer(message.Done, "")
		a.Flags |= message.WriteBack
		return a
	}
	r := &room3{leader: bytesOf, home: absorb}
	h := r.open(t)
	if _, err := h.Lease(ctx, leasedPage, "w", 0); err != nil {
		t.Fatal(err)
	}
	if w, err := h.Write(ctx, []byte("x"), leasedPage); err != nil || w != (Written{WriteBack: true}) {
		t.Errorf("%+v %v", w, err)
	}
	if w, err := h.Idempotent(message.ClientID{1}).Write(ctx, []byte("x"), leasedPage); err != nil || w != (Written{Index: 7}) {
		t.Errorf("a keyed write: %+v %v", w, err)
	}
	if err := h.ReadAt(ctx, make([]byte, 1), leasedPage); err != nil || r.flags&message.WriteBack == 0 {
		t.Errorf("a read under the lease has the flags %v: %v", r.flags, err)
	}
	if err := h.ReadAt(ctx, make([]byte, 1), leasedPage-1); err != nil || r.flags&message.WriteBack != 0 {
		t.Errorf("a read elsewhere has the flags %v: %v", r.flags, err)
	}
	r.took()
	lost = 2
	if w, err := h.Write(ctx, []byte("x"), leasedPage); err != nil || !w.WriteBack {
		t.Errorf("%+v %v", w, err)
	}
	if got := r.took(); got != "2 WRITE, 2 WRITE, 2 WRITE" {
		t.Errorf("asked %s", got)
	}
	h.leases.change(func(all []held) []held { // it is over, by this client's clock, while nobody answers
		all[0].until, all[0].quiet = time.Now().Add(30*time.Millisecond), time.Time{}
		return all
	})
	lost = 1 << 30
	if w, err := h.Write(ctx, []byte("x"), leasedPage); message.CodeOf(err) != message.Timeout {
		t.Errorf("%+v %v", w, err) // it may be absorbed, written back, and written over by now
	}
	if got := r.took(); strings.Contains(got, "0 WRITE") {
		t.Errorf("asked %s", got)
	}
}

// A holder that has begun a new session refuses what was meant for the old one. Nobody is asked instead if that may
// have absorbed an earlier copy; a refusal of the session itself is its last word.
func TestHolderOfAnotherSession(t *testing.T) {
	refusal := func(code message.Code, session uint64) func(m *message.Message) *message.Message {
		return func(m *message.Message) *message.Message {
			a := m.Answer(code, "refused")
			a.Value = session
			return a
		}
	}
	for _, row := range []struct {
		name  string
		lost  int // copies that are not answered
		then  func(m *message.Message) *message.Message
		want  message.Code
		asked string
	}{
		{"it knows of no copy", 0, refusal(message.Fenced, 0), message.Done, "2 WRITE, 0 WRITE"},
		{"it may have had one", 1, refusal(message.Fenced, 0), message.Timeout, "2 WRITE, 2 WRITE"},
		{"it has noted that it does not absorb it", 1, refusal(message.Fenced, 7), message.Done, "2 WRITE, 2 WRITE, 0 WRITE"},
		{"it is full, and has noted it", 1, refusal(message.Busy, 7), message.Done, "2 WRITE, 2 WRITE, 0 WRITE"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := ending(t, 10*time.Second)
			lost := row.lost
			r := &room3{leader: bytesOf, home: func(m *message.Message) *message.Message {
				switch {
				case m.Op == message.LEASE:
					a := grant(m, true)
					l, _ := decodeLease(a.Data)
					l.Session = 7
					a.Data = message.JSON(l)
					return a
				case m.Value != 7 || m.Flags&message.WriteBack == 0:
					t.Errorf("%s names session %d", m.Op, m.Value)
				case lost > 0:
					lost--
					return nil
				}
				return row.then(m)
			}}
			h := r.open(t)
			if _, err := h.Lease(ctx, leasedPage, "w", 0); err != nil {
				t.Fatal(err)
			}
			r.took()
			if _, err := h.Write(ctx, []byte("x"), leasedPage); message.CodeOf(err) != row.want {
				t.Errorf("%v", err)
			}
			if got := r.took(); got != row.asked {
				t.Errorf("asked %s", got)
			}
		})
	}
}

// What a lease forbids is asked again under its number until the caller's time ends; then the error says who
// holds it, and for how long at most.
func TestWaitsForALease(t *testing.T) {
	standing := []message.Lease{{Company: 1, Address: leasedPage, Size: message.PageSize, Mode: "w", Token: 17, Holder: 1, LeftMS: 1500}}
	n := 3
	leased := func(m *message.Message) *message.Message {
		if n--; n >= 0 {
			a := m.Answer(message.Leased, "leased")
			a.Data = message.JSON(standing)
			return a
		}
		return bytesOf(m)
	}
	r := &room3{leader: leased, home: leadBy(0)}
	h := r.open(t)
	var said []string
	var mu sync.Mutex
	h.SetNotice(func(s string) { mu.Lock(); said = append(said, s); mu.Unlock() })
	if _, err := h.WriteAt(ending(t, 10*time.Second), []byte("x"), leasedPage); err != nil {
		t.Fatal(err)
	}
	if got := r.took(); got != "0 WRITE, 0 WRITE, 0 WRITE, 0 WRITE" {
		t.Errorf("asked %s", got)
	}
	if s := slices.Compact(r.seqs[message.WRITE]); len(s) != 1 {
		t.Errorf("the request changed its number: %v", s)
	}
	n = 1 << 30
	_, err := h.WriteAt(ending(t, 700*time.Millisecond), []byte("x"), leasedPage)
	if message.CodeOf(err) != message.Leased || !strings.Contains(err.Error(), "node 1 holds 4096 bytes at 0x500000001000 to write (token 17) for another 1.5s at most") ||
		!strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("%v", err)
	}
	// An attempt that nobody answered leaves it open, whatever was said before and after.
	r.leader = func(m *message.Message) *message.Message {
		if n--; n == 0 {
			return nil
		}
		return m.Answer(message.Leased, "leased")
	}
	n = 1
	_, err = h.WriteAt(ending(t, 500*time.Millisecond), []byte("x"), leasedPage)
	if message.CodeOf(err) != message.Timeout || !strings.Contains(err.Error(), "cannot be known yet") {
		t.Errorf("%v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "node 1 holds a lease on 0x500000001000") }) {
		t.Errorf("said %q", said)
	}
}

// A lease that cannot be had now is asked for again, of the holder alone.
func TestLeaseWaits(t *testing.T) {
	var codes []message.Code
	home := func(m *message.Message) *message.Message {
		if len(codes) == 0 {
			return grant(m, false)
		}
		c := codes[0]
		codes = codes[1:]
		if c == message.Done {
			return nil
		}
		a := m.Answer(c, "not now")
		a.Final = 0 // it names the leader, who is not to be asked
		return a
	}
	r := &room3{leader: bytesOf, home: home}
	h := r.open(t)
	codes = []message.Code{message.Leased, message.NotLeader, message.Done, message.Busy, message.Retry, message.Unavailable}
	if _, err := h.Lease(ending(t, 10*time.Second), leasedPage, "w", time.Second); err != nil {
		t.Fatal(err)
	}
	if got := r.took(); strings.Contains(got, "0 ") || strings.Contains(got, "1 ") {
		t.Errorf("asked %s", got)
	}
	if s := slices.Compact(r.seqs[message.LEASE]); len(s) != 1 || s[0] == 0 {
		t.Errorf("numbers %v", s)
	}
	for _, row := range []struct {
		home func(m *message.Message) *message.Message
		code message.Code
		says string
	}{
		{silent, message.Unavailable, "node 2, which would hold the lease, does not answer; whether it happened cannot be known yet"},
		{func(m *message.Message) *message.Message { return m.Answer(message.Busy, "8 leases are asked for") }, message.Unavailable, "node 2 could not do it: 8 leases are asked for; nothing was changed"},
		{func(m *message.Message) *message.Message { return m.Answer(message.Leased, "") }, message.Leased, "0x500000001000 is leased"},
		{func(m *message.Message) *message.Message {
			return m.Answer(message.Unsupported, "node 2 does not answer LEASE")
		}, message.Unsupported, "does not answer LEASE"},
		{func(m *message.Message) *message.Message {
			return m.Answer(message.InvalidArgument, "it overlaps its own")
		}, message.InvalidArgument, "its own"},
	} {
		r.home = row.home
		if _, err := h.Lease(ending(t, 150*time.Millisecond), leasedPage, "w", time.Second); message.CodeOf(err) != row.code || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%v, want %s: %s", err, row.code, row.says)
		}
	}
}

func TestLeaseArguments(t *testing.T) {
	h := (&room3{leader: bytesOf, home: bytesOf}).open(t)
	for _, row := range []struct {
		a      message.Addr
		mode   string
		length time.Duration
		code   message.Code
		says   string
	}{
		{leasedPage, "", 0, message.InvalidArgument, "no mode"},
		{leasedPage, "rw", 0, message.InvalidArgument, "no mode"},
		{leasedPage, "r", -1, message.InvalidArgument, "1ms to 30s"},
		{leasedPage, "r", time.Microsecond, message.InvalidArgument, "1ms to 30s"},
		{leasedPage, "r", 30*time.Second + 1, message.InvalidArgument, "1ms to 30s"},
		{12, "r", 0, message.NotAllocated, "not in the heap"},
	} {
		if _, err := h.Lease(t.Context(), row.a, row.mode, row.length); message.CodeOf(err) != row.code || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

func TestRelease(t *testing.T) {
	ctx := ending(t, 10*time.Second)
	r := &room3{leader: bytesOf, home: func(m *message.Message) *message.Message { return grant(m, false) }}
	h := r.open(t)
	if _, err := h.Lease(ctx, leasedPage, "w", 0); err != nil {
		t.Fatal(err)
	}
	r.took()
	r.home = func(m *message.Message) *message.Message {
		if m.Op != message.RELEASE || m.Token != 0 || m.Address != leasedPage+9 || m.Company != 1 {
			t.Errorf("asked %+v", m)
		}
		a := m.Answer(message.Done, "")
		a.Data = message.JSON(message.Lease{Address: leasedPage, Token: 17, Mode: "w"})
		return a
	}
	if l, err := h.Release(ctx, leasedPage+9); err != nil || l.Token != 17 {
		t.Errorf("%+v %v", l, err)
	}
	given := r.home
	for _, token := range []uint64{17, 0} { // it was given back; it had ended before
		r.home = func(m *message.Message) *message.Message {
			a := given(m)
			a.Status, a.Token, a.Blocks = message.Fenced, token, []message.Block{{Address: leasedPage, Size: 5}}
			if token == 0 {
				a.Data = nil
			}
			return a
		}
		l, err := h.Release(ctx, leasedPage+9)
		if message.CodeOf(err) != message.Fenced || !strings.Contains(err.Error(), "5 at 0x500000001000") || l.Token != token {
			t.Errorf("lost with token %d: %+v %v", token, l, err)
		}
	}
	r.took()
	r.home = given
	if _, err := h.Release(ctx, leasedPage+9); err != nil {
		t.Error(err)
	}
	if got := r.took(); got != "2 RELEASE" {
		t.Errorf("asked %s", got)
	}
	if err := h.ReadAt(ctx, make([]byte, 1), leasedPage); err != nil || r.took() != "0 READ" {
		t.Error("the holder is asked under a lease that was given back")
	}
	r.home = func(m *message.Message) *message.Message {
		a := m.Answer(message.Fenced, "")
		a.Data = message.JSON([]message.Lease{{Address: 0x500000009000, Size: 4096, Mode: "r", Token: 21}})
		return a
	}
	_, err := h.Release(ctx, leasedPage)
	if message.CodeOf(err) != message.Fenced || !strings.Contains(err.Error(), "node 2 has no lease on the page at 0x500000001000; it has r on 4096 bytes at 0x500000009000 (token 21)") {
		t.Errorf("%v", err)
	}
}

func TestSync(t *testing.T) {
	ctx := ending(t, 10*time.Second)
	var got *message.Message
	r := &room3{leader: func(m *message.Message) *message.Message {
		a := m.Answer(message.Done, "")
		a.Address, a.Size = leasedPage, 100
		a.Blocks = []message.Block{{Address: leasedPage, Size: 100, Company: 1, Behind: leasedPage}}
		return a
	}}
	r.home = func(m *message.Message) *message.Message {
		got = m
		a := m.Answer(message.Done, "")
		a.Value = 300
		return a
	}
	h := r.open(t)
	if n, err := h.Sync(ctx, 0); err != nil || n != 300 || got.Size != 0 || got.Address != 0 {
		t.Errorf("%d %v %+v", n, err, got)
	}
	if n, err := h.Sync(ctx, leasedPage+50); err != nil || n != 300 || got.Size != 100 || got.Address != leasedPage || got.Company != 1 {
		t.Errorf("%d %v %+v", n, err, got)
	}
	if asked := r.took(); asked != "2 SYNC, 0 DUMP, 2 SYNC" {
		t.Errorf("asked %s", asked)
	}
	r.home = func(m *message.Message) *message.Message {
		a := m.Answer(message.Fenced, "lost")
		a.Value, a.Blocks = 8, []message.Block{{Address: leasedPage, Size: 16, Company: 1}}
		return a
	}
	n, err := h.Sync(ctx, 0)
	if message.CodeOf(err) != message.Fenced || n != 8 || !strings.Contains(err.Error(), "8 bytes are written back, but lost are 16 at 0x500000001000") {
		t.Errorf("%d %v", n, err)
	}
}

// Leases are merged by address, page by page, each once.
func TestLeases(t *testing.T) {
	at := func(a message.Addr, token uint64) message.Lease {
		return message.Lease{Company: 1, Address: a, Size: message.PageSize, Mode: "r", Token: token}
	}
	pages := map[message.Addr]struct {
		rows []message.Lease
		next message.Addr
	}{
		message.CompanyID(1).Base(): {[]message.Lease{at(leasedPage, 3), at(leasedPage, 4)}, leasedPage},
		leasedPage:                  {[]message.Lease{at(leasedPage, 3), at(leasedPage, 4), at(leasedPage, 2), at(leasedPage+message.PageSize, 9)}, 0},
	}
	r := &room3{home: leadBy(0), leader: func(m *message.Message) *message.Message {
		p := pages[m.Address]
		a := m.Answer(message.Done, "")
		a.Data, a.Value = message.JSON(p.rows), uint64(p.next)
		return a
	}}
	all, err := r.open(t).Leases(ending(t, 10*time.Second))
	var tokens []uint64
	for _, l := range all {
		tokens = append(tokens, l.Token)
	}
	if err != nil || !slices.Equal(tokens, []uint64{2, 3, 4, 9}) {
		t.Errorf("%v %v", tokens, err)
	}
	r.leader = func(m *message.Message) *message.Message { return m.Answer(message.Unsupported, "") }
	if _, err := r.open(t).Leases(ending(t, 10*time.Second)); message.CodeOf(err) != message.Unsupported {
		t.Errorf("%v", err)
	}
}

// What a holder passes on keeps its asker's number; its LEASE keeps its holder; and it waits for no lease.
func TestForward(t *testing.T) {
	ctx := ending(t, 10*time.Second)
	var got *message.Message
	r := &room3{home: leadBy(0), leader: func(m *message.Message) *message.Message { got = m; return m.Answer(message.Leased, "") }}
	h := r.open(t)
	h.leases.took(held{Lease: message.Lease{Address: leasedPage, Size: message.PageSize, Mode: "w"}, node: 2, until: time.Now().Add(time.Hour)}, time.Now())
	m := message.New(message.WRITE)
	m.Address, m.Size, m.Data, m.Client, m.Seq, m.Low, m.Token = leasedPage, 1, []byte("x"), message.ClientID{9}, 5, 4, 17
	if a, err := h.Forward(ctx, 1, m); err != nil || a.Status != message.Leased || got.Client != (message.ClientID{9}) || got.Seq != 5 || got.Low != 4 || got.Token != 17 {
		t.Errorf("%+v %v", got, err)
	}
	l := message.New(message.LEASE)
	l.Address, l.Final, l.Value = leasedPage, 2, 7
	if a, err := h.Forward(ctx, 1, l); err != nil || a.Status != message.Leased || got.Final != 2 || got.Value != 7 || got.Seq == 0 || got.Client != h.id {
		t.Errorf("%+v %v", got, err)
	}
	if asked := r.took(); strings.Contains(asked, "2 ") {
		t.Errorf("asked %s", asked)
	}
}

// The part of an allocation that lies in another company is leased there.
func TestLeaseOfAPart(t *testing.T) {
	c := newCompanies(0, false)
	a, err := c.heap(t).Malloc(t.Context(), spanSize)
	if err != nil || len(a.Blocks) != 3 {
		t.Fatalf("%+v %v", a, err)
	}
	b := a.Blocks[1]
	ctx := ending(t, 10*time.Second)
	h := c.heap(t) // which knows nothing of the blocks
	var got []*message.Message
	h.cfg.Carrier = holding{c, func(m *message.Message) *message.Message {
		if m.Op == message.LEASE { // its company says where the address is
			probe := *m
			probe.Op, probe.Size, probe.Flags, probe.Seq = message.READ, 1, m.Flags&message.PartOf, 0
			if refused := c.answer(&probe); refused.Status != message.Done {
				return refused
			}
		}
		got = append(got, m)
		if m.Op == message.RELEASE && (m.Company != b.Company || m.Address != b.Behind+7) {
			return m.Answer(message.Fenced, "")
		}
		answer := m.Answer(message.Done, "")
		answer.Data = message.JSON(message.Lease{Company: m.Company, Address: m.Address / message.PageSize * message.PageSize, Size: message.PageSize, Mode: "r", Token: 5, LengthMS: m.Length})
		return answer
	}}
	l, err := h.Lease(ctx, b.Address+7, "r", 0)
	if err != nil || l.Company != b.Company || l.Address != b.Behind || len(got) != 1 || got[0].Flags&message.PartOf == 0 || got[0].Txn.IsZero() {
		t.Fatalf("%+v %v %+v", l, err, got)
	}
	if _, ok := h.leases.over(b.Behind+7, 8, false, time.Now()); !ok {
		t.Error("the lease is not remembered by what lies behind")
	}
	all, err := h.Table(ctx, 0, 10)
	if err != nil || len(all) != 1 || all[0].Blocks[1].Behind != b.Behind {
		t.Errorf("%+v %v", all, err)
	}
	stranger := c.heap(t)
	stranger.cfg.Carrier = h.cfg.Carrier
	if _, err := stranger.Release(ctx, b.Address+7); err != nil {
		t.Error(err)
	}
	if n, err := stranger.Sync(ctx, b.Address+7); err != nil || n != 0 || got[len(got)-1].Address != b.Behind || got[len(got)-1].Size != b.Size || got[len(got)-1].Company != b.Company {
		t.Errorf("%d %v %+v", n, err, got[len(got)-1])
	}
}

// holding is companies whose node answers what holders are asked.
type holding struct {
	*companies
	answer func(m *message.Message) *message.Message
}

func (c holding) Ask(to message.NodeID, m *message.Message, s transport.Sink, tag uint64) uint64 {
	switch m.Op {
	case message.LEASE, message.RELEASE, message.SYNC:
		own := *m
		go s.Done(tag, c.answer(&own), nil)
		return 0
	}
	return c.companies.Ask(to, m, s, tag)
}
