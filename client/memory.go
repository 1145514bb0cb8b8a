package client

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"sync"

	"dmalloc/message"
)

func decodeDirectory(data []byte) (*message.Directory, error) {
	d := new(message.Directory)
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	return d, nil
}

// place is where the bytes of one address of a user lie.
type place struct {
	company message.CompanyID
	behind  message.Addr
	left    uint64             // bytes to the end of the block; 0 where that is not known
	whole   message.Allocation // that the block belongs to, where that is known
	txn     message.Txn
	part    bool
}

// locate finds the company of an address, through the cached block lists of spanning allocations.
func (h *Heap) locate(a message.Addr) (place, error) {
	if h.spanned.Load() { // few have any, and who has none takes no lock
		if p, ok := h.inSpan(a); ok {
			return p, nil
		}
	}
	c, ok := a.Company()
	if !ok || h.directory().Company(c) == nil {
		return place{}, h.outside(a)
	}
	return place{company: c, behind: a}, nil
}

// inSpan finds an address in the cached block lists.
func (h *Heap) inSpan(a message.Addr) (place, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.span(a); s != nil {
		for i, b := range s.Blocks {
			if a >= b.Address && a < b.Address+message.Addr(b.Size) {
				into := a - b.Address
				return place{company: b.Company, behind: b.Behind + into, left: b.Size - uint64(into), whole: *s, txn: h.spanTxn[s.Address], part: i > 0}, true
			}
		}
	}
	return place{}, false
}

// outside is the error for an address in no company's window.
func (h *Heap) outside(a message.Addr) error {
	last := message.CompanyID(max(1, len(h.directory().Companies)-1))
	return message.Errorf(message.NotAllocated, "%s is not in the heap, which goes from %s to %s", a, message.Addr(message.HeapBase), last.Limit()-1)
}

// span finds the cached spanning allocation that holds a. h.mu is held.
func (h *Heap) span(a message.Addr) *message.Allocation {
	i := sort.Search(len(h.spans), func(i int) bool { return h.spans[i].Address > a }) - 1
	if i < 0 || a >= h.spans[i].Address+message.Addr(h.spans[i].Size) {
		return nil
	}
	return &h.spans[i]
}

const maxSpans = 4096 // cached block lists; beyond it the cache starts anew

// learnSpan caches the block list of an Elsewhere answer.
func (h *Heap) learnSpan(blocks []message.Block, txn message.Txn) {
	if len(blocks) == 0 || txn.IsZero() {
		return
	}
	var size uint64
	for _, b := range blocks {
		size += b.Size
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropSpan(blocks[0].Address)
	if len(h.spans) >= maxSpans {
		h.spans, h.spanTxn = nil, map[message.Addr]message.Txn{}
	}
	h.spans = append(h.spans, message.Allocation{Address: blocks[0].Address, Size: size, Blocks: blocks})
	sort.Slice(h.spans, func(i, j int) bool { return h.spans[i].Address < h.spans[j].Address })
	h.spanTxn[blocks[0].Address] = txn
	h.spanned.Store(true)
}

// dropSpan forgets the cached allocation at a. h.mu is held.
func (h *Heap) dropSpan(a message.Addr) {
	if s := h.span(a); s != nil {
		i := sort.Search(len(h.spans), func(i int) bool { return h.spans[i].Address >= s.Address })
		delete(h.spanTxn, s.Address)
		h.spans = append(h.spans[:i], h.spans[i+1:]...)
		h.spanned.Store(len(h.spans) > 0)
	}
}

// messages are used again by access: neither a carrier nor a request keeps one that is over, whatever came of it.
var messages = sync.Pool{New: func() any { return new(message.Message) }}

// lend is message.New for access.
func lend(op message.Op) *message.Message {
	m := messages.Get().(*message.Message)
	*m = message.Message{Op: op, Source: message.NoNode, Target: message.NoNode, Final: message.NoNode}
	return m
}

// access sends an operation on bytes, in a message that lend gave and that it takes back, to where they lie.
// What the answer says of the place is learnt, and the operation sent again, a few times: an allocation can be freed
// and its addresses given out anew.
func (h *Heap) access(ctx context.Context, a message.Addr, n uint64, m *message.Message) (*message.Message, error) {
	answer, err := h.accessBy(ctx, a, n, m, h.do)
	m.Data = nil // the caller's
	messages.Put(m)
	return answer, err
}

// accessBy is access with a way of its own to send.
func (h *Heap) accessBy(ctx context.Context, a message.Addr, n uint64, m *message.Message,
	send func(context.Context, message.CompanyID, *message.Message) (*message.Message, error)) (*message.Message, error) {
	flags := m.Flags
	for try := 0; ; try++ {
		p, err := h.find(ctx, a)
		if err != nil {
			return nil, err
		}
		m.Address, m.Flags, m.Txn = p.behind, flags, message.Txn{}
		if p.part {
			m.Flags |= message.PartOf
			m.Txn = p.txn
		}
		if p.left > 0 && n > p.left {
			return nil, errCrosses
		}
		answer, err := send(ctx, p.company, m)
		if err != nil {
			return nil, err
		}
		switch {
		case answer.Status == message.Elsewhere && try < 4:
			h.learnSpan(answer.Blocks, answer.Txn)
			continue
		case answer.Status == message.NotAllocated && p.left > 0 && try < 4:
			h.mu.Lock()
			h.dropSpan(a) // freed since it was cached; its home tells
			h.mu.Unlock()
			continue
		}
		return answer, answer.Err()
	}
}

// errCrosses tells the caller of access to cut its piece at the end of the block.
var errCrosses = message.Errorf(message.Internal, "piece crosses the end of a block")

// piece cuts the next piece of a transfer: at MaxData, and at the end of a block where that is known.
func (h *Heap) piece(a message.Addr, n int) int {
	n = min(n, message.MaxData)
	if p, err := h.locate(a); err == nil && p.left > 0 && uint64(n) > p.left {
		n = int(p.left)
	}
	return n
}

// onePiece says that a transfer may be one message, as nearly all are: it is not long, and no cached block list says
// where a block ends. That it does can still turn out.
func (h *Heap) onePiece(n int, a message.Addr) bool {
	if n > message.MaxData {
		return false
	}
	p, err := h.locate(a)
	return err != nil || p.left == 0
}

// transfer runs do on each piece of p, several at once, and returns the first error by address.
func (h *Heap) transfer(ctx context.Context, p []byte, a message.Addr, do func(ctx context.Context, p []byte, a message.Addr) error) error {
	if h.within(len(p), a) != nil {
		h.mu.Lock()
		h.dropSpan(a) // it may be of an allocation that is no more: its company knows
		h.mu.Unlock()
		if err := h.fits(ctx, "transfer", len(p), a); err != nil {
			return err
		}
	}
	if len(p) <= message.MaxData { // most are one piece, or turn out to be two
		return h.pieceOrHalves(ctx, p, a, do)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		at    message.Addr
		slots = make(chan struct{}, h.cfg.Window)
	)
	for len(p) > 0 && ctx.Err() == nil {
		n := h.piece(a, len(p))
		part, from := p[:n], a
		p, a = p[n:], a+message.Addr(n)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := h.pieceOrHalves(ctx, part, from, do); err != nil {
				mu.Lock()
				if canceled := message.CodeOf(err) == message.Canceled; first == nil || (!canceled && (from < at || message.CodeOf(first) == message.Canceled)) {
					first, at = err, from
				}
				mu.Unlock()
				cancel() // the other pieces need not go on
			}
		})
	}
	wg.Wait()
	if first == nil && len(p) > 0 {
		return message.Errorf(message.Canceled, "canceled")
	}
	return first
}

// within refuses what leaves a spanning allocation that is known: what lies behind its end may be another
// one, whose bytes must not be touched. Where the allocation is not known, its company refuses.
func (h *Heap) within(n int, a message.Addr) error {
	at, err := h.locate(a)
	if err != nil || at.left == 0 {
		return nil
	}
	if room := at.whole.Size - uint64(a-at.whole.Address); uint64(n) > room {
		return outOfBounds("transfer", n, a, at.whole)
	}
	return nil
}

// pieceOrHalves does a piece, or what it turns out to consist of.
func (h *Heap) pieceOrHalves(ctx context.Context, p []byte, a message.Addr, do func(ctx context.Context, p []byte, a message.Addr) error) error {
	for len(p) > 0 {
		if err := h.within(len(p), a); err != nil {
			return err
		}
		n := h.piece(a, len(p))
		err := do(ctx, p[:n], a)
		if err == errCrosses {
			continue // the block list has just become known
		}
		if err != nil {
			return err
		}
		p, a = p[n:], a+message.Addr(n)
	}
	return nil
}

// ReadAt fills p from address a. It reads all of p or fails.
func (h *Heap) ReadAt(ctx context.Context, p []byte, a message.Addr) error {
	if len(p) == 0 {
		return message.Errorf(message.InvalidArgument, "a read of 0 bytes at %s; read at least one", a)
	}
	if h.cfg.Local != nil && h.cfg.Local.Read(a, message.Txn{}, p) {
		return nil
	}
	if len(p) > message.MaxData {
		if err := h.fits(ctx, "read", len(p), a); err != nil {
			return err
		}
	}
	if h.onePiece(len(p), a) {
		if err := h.readPiece(ctx, p, a); err != errCrosses {
			return err
		}
	}
	return h.transfer(ctx, p, a, h.readPiece)
}

func (h *Heap) readPiece(ctx context.Context, p []byte, a message.Addr) error {
	if h.cfg.Local != nil { // a part of an allocation that is known, or a page of many
		if at, err := h.locate(a); err == nil && (at.left == 0 || uint64(len(p)) <= at.left) {
			txn := message.Txn{}
			if at.part {
				txn = at.txn
			}
			if h.cfg.Local.Read(at.behind, txn, p) {
				return nil
			}
		}
	}
	m := lend(message.READ)
	m.Size = uint64(len(p))
	if h.cfg.Confirm {
		m.Flags |= message.Confirm
	}
	answer, err := h.access(ctx, a, uint64(len(p)), m)
	if err != nil {
		return err
	}
	if len(answer.Data) != len(p) {
		return message.Errorf(message.Internal, "asked for %d bytes at %s, got %d", len(p), a, len(answer.Data))
	}
	copy(p, answer.Data)
	return nil
}

// WriteAt writes p at address a and returns the log index of its last piece, or 0 where a holder has absorbed
// it. What does not fit into the allocation is refused before anything is written.
func (h *Heap) WriteAt(ctx context.Context, p []byte, a message.Addr) (uint64, error) {
	w, err := h.Write(ctx, p, a)
	return w.Index, err
}

// Write is WriteAt, and says more of how it was done.
func (h *Heap) Write(ctx context.Context, p []byte, a message.Addr) (Written, error) {
	if len(p) == 0 {
		return Written{}, message.Errorf(message.InvalidArgument, "a write of 0 bytes at %s; write at least one", a)
	}
	if len(p) > message.MaxData {
		if err := h.fits(ctx, "write", len(p), a); err != nil {
			return Written{}, err
		}
	}
	if h.onePiece(len(p), a) {
		if w, err := h.writePiece(ctx, p, a); err != errCrosses {
			return w, err
		}
	}
	return h.writePieces(ctx, p, a)
}

func (h *Heap) writePiece(ctx context.Context, p []byte, a message.Addr) (Written, error) {
	m := lend(message.WRITE)
	m.Size, m.Data = uint64(len(p)), p
	answer, err := h.access(ctx, a, uint64(len(p)), m)
	if err != nil {
		return Written{}, err
	}
	return Written{Index: answer.Index, WriteBack: answer.Flags&message.WriteBack != 0}, nil
}

func (h *Heap) writePieces(ctx context.Context, p []byte, a message.Addr) (Written, error) {
	var (
		mu sync.Mutex
		w  Written
	)
	err := h.transfer(ctx, p, a, func(ctx context.Context, p []byte, a message.Addr) error {
		one, err := h.writePiece(ctx, p, a)
		mu.Lock()
		w.Index, w.WriteBack = max(w.Index, one.Index), w.WriteBack || one.WriteBack
		mu.Unlock()
		return err
	})
	return w, err
}

// fits refuses a transfer that leaves its allocation.
func (h *Heap) fits(ctx context.Context, what string, n int, a message.Addr) error {
	x, err := h.Lookup(ctx, a)
	if err != nil {
		return err
	}
	if room := x.Size - uint64(a-x.Address); uint64(n) > room {
		return outOfBounds(what, n, a, x)
	}
	return nil
}

func outOfBounds(what string, n int, a message.Addr, x message.Allocation) error {
	return message.Errorf(message.OutOfBounds, "a %s of %d bytes at %s ends past its allocation: %s has %d bytes, %d from there on",
		what, n, a, x.Address, x.Size, x.Size-uint64(a-x.Address))
}

// CompareAndSwap replaces the 8 bytes (little endian) at a, a multiple of 8, by new if they are old.
func (h *Heap) CompareAndSwap(ctx context.Context, a message.Addr, old, new uint64) (current uint64, swapped bool, err error) {
	m := lend(message.CAS)
	m.Size, m.Value = old, new
	answer, err := h.access(ctx, a, 8, m)
	if err == errCrosses {
		err = wordCrosses(a)
	}
	if err != nil {
		return 0, false, err
	}
	return answer.Value, answer.Size == 1, nil
}

// FetchAdd adds delta to the 8 bytes (little endian) at a, a multiple of 8, and returns what they were.
func (h *Heap) FetchAdd(ctx context.Context, a message.Addr, delta uint64) (old uint64, err error) {
	m := lend(message.ADD)
	m.Value = delta
	answer, err := h.access(ctx, a, 8, m)
	if err == errCrosses {
		err = wordCrosses(a)
	}
	if err != nil {
		return 0, err
	}
	return answer.Value, nil
}

// wordCrosses is for a word at the end of an allocation: within one, blocks meet at pages.
func wordCrosses(a message.Addr) error {
	return message.Errorf(message.OutOfBounds, "the 8 bytes at %s end past their allocation; see who %s", a, a)
}

// Lookup describes the allocation that holds a.
func (h *Heap) Lookup(ctx context.Context, a message.Addr) (message.Allocation, error) {
	c, err := h.window(ctx, a)
	if err != nil {
		return message.Allocation{}, err
	}
	m := message.New(message.DUMP)
	m.Address = a
	answer, err := h.do(ctx, c, m)
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		return message.Allocation{}, err
	}
	return message.Allocation{Address: answer.Address, Size: answer.Size, State: message.Allocated, Blocks: h.withNodes(answer.Blocks)}, nil
}

// withNodes fills in who owns each block.
func (h *Heap) withNodes(blocks []message.Block) []message.Block {
	d := h.directory()
	for i := range blocks {
		if c := d.Company(blocks[i].Company); c != nil {
			blocks[i].Nodes = c.OwnerNodes()
		}
	}
	return blocks
}

// withBehind fills in what lies behind each block, as far as it is known here: lists do not carry it.
func (h *Heap) withBehind(blocks []message.Block) []message.Block {
	if len(blocks) == 0 {
		return blocks
	}
	blocks[0].Behind = blocks[0].Address
	if len(blocks) == 1 {
		return blocks
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.span(blocks[0].Address); s != nil && len(s.Blocks) == len(blocks) {
		for i := range blocks {
			if b := s.Blocks[i]; b.Address == blocks[i].Address && b.Company == blocks[i].Company {
				blocks[i].Behind = b.Behind
			}
		}
	}
	return blocks
}

// Table lists allocations by address, from `from` on, at most limit; fewer mean the end. It is put
// together from the companies' leaders one after another and is no atomic view.
func (h *Heap) Table(ctx context.Context, from message.Addr, limit int) ([]message.Allocation, error) {
	h.told(ctx)
	d := h.current(ctx)
	first := message.CompanyID(1)
	if c, ok := from.Company(); ok {
		first = c
	} else if from >= message.HeapBase {
		return nil, nil
	}
	var all []message.Allocation
	for id := first; int(id) < len(d.Companies); id++ {
		for from := max(from, id.Base()); len(all) < limit; {
			m := message.New(message.TABLE)
			m.Address, m.Value = from, uint64(min(limit-len(all), 1000))
			answer, err := h.do(ctx, id, m)
			if err == nil {
				err = answer.Err()
			}
			if err != nil {
				return all, err
			}
			var page []message.Allocation
			if err := json.Unmarshal(answer.Data, &page); err != nil {
				return all, fmt.Errorf("read the table of company %s: %w", id, err)
			}
			for i := range page {
				page[i].Blocks = h.withBehind(h.withNodes(page[i].Blocks))
			}
			all = append(all, page...)
			if answer.Value == 0 {
				break
			}
			from = message.Addr(answer.Value) // a page can be shorter than asked for and not the last
		}
	}
	return all, nil
}
