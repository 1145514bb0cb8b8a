package client

import (
	"context"
	"sync"
	"time"

	"dmalloc/message"
)

// avoidFor is how long a company that had no majority is asked last.
const avoidFor = 3 * time.Second

// Malloc allocates size bytes, zeroed. It asks the company with the most room, and takes several where
// no single one has enough. Only a definite refusal moves it to another company: what may have happened
// is asked again where it may have happened.
func (h *Heap) Malloc(ctx context.Context, size uint64) (message.Allocation, error) {
	if size == 0 {
		return message.Allocation{}, message.Errorf(message.InvalidArgument, "0 bytes cannot be allocated; ask for at least 1")
	}
	if a, ok := h.takeAside(ctx, size); ok {
		return a, nil
	}
	for try := 0; ; try++ {
		tried := map[message.CompanyID]bool{}
		for {
			c, ok := h.roomiest(size, tried)
			if !ok {
				break
			}
			tried[c] = true
			a, err := h.mallocAt(ctx, c, size)
			switch message.CodeOf(err) {
			case message.OutOfMemory:
				continue
			case message.Unavailable:
				// A keyed request stays: repeated when the company leads again, it would be done twice.
				if isDefinite(err) && ctx.Err() == nil && !h.seqs.pinned {
					continue
				}
			}
			return a, err
		}
		if h.seqs.pinned {
			return message.Allocation{}, h.keyedTooLarge(size)
		}
		// What was believed said no. Ask how much room there is before the user is told so, or before
		// the bytes are spread over several companies.
		if err := h.survey(ctx); err != nil {
			return message.Allocation{}, err
		}
		if _, ok := h.roomiest(size, nil); ok && try < 2 {
			continue
		}
		a, again, err := h.mallocSpanning(ctx, size)
		if !again || try >= 4 {
			return a, err
		}
	}
}

// keyedTooLarge refuses what no one company holds: over which companies it would be spread depends on
// their room of the moment, so that a repetition could not find it again.
func (h *Heap) keyedTooLarge(size uint64) error {
	var sum uint64
	for _, c := range h.directory().Companies[1:] {
		sum += c.Capacity
	}
	if size > sum {
		return message.Errorf(message.OutOfMemory, "%s were asked for, all companies together hold %s", message.FormatSize(size), message.FormatSize(sum))
	}
	h.mu.Lock()
	most := h.spaces()[0]
	h.mu.Unlock()
	return message.Errorf(message.OutOfMemory, "no company has %s free, the largest free piece is believed to be %s in company %s (nodes %s); an allocation over several companies cannot be asked for with a key, ask without one",
		message.FormatSize(size), message.FormatSize(most.bytes), most.id, list(most.nodes))
}

// definite marks an Unavailable after which certainly nothing was changed.
type definite struct{ error }

func (d definite) Unwrap() error { return d.error }

func isDefinite(err error) bool { _, ok := err.(definite); return ok }

// roomiest picks the company believed to have most room, at least what size takes; ties go to the lowest id.
func (h *Heap) roomiest(size uint64, except map[message.CompanyID]bool) (message.CompanyID, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	best, found := message.CompanyID(0), false
	better := func(c message.CompanyID, r room) bool {
		b := h.rooms[best]
		if cold, other := now.Before(r.avoid), now.Before(b.avoid); cold != other {
			return other
		}
		return r.bytes > b.bytes
	}
	for id, end := message.CompanyID(1), message.CompanyID(len(h.directory().Companies)); id < end; id++ {
		r, ok := h.rooms[id]
		if !ok || except[id] || r.bytes < size {
			continue
		}
		if !found || better(id, r) {
			best, found = id, true
		}
	}
	return best, found
}

// mallocAt allocates in one company. While others could serve, a company without a leader gets only a
// part of the caller's time.
func (h *Heap) mallocAt(ctx context.Context, c message.CompanyID, size uint64) (message.Allocation, error) {
	short, cancel := ctx, context.CancelFunc(func() {})
	if len(h.directory().Companies) > 2 {
		if deadline, ok := ctx.Deadline(); ok {
			short, cancel = context.WithTimeout(ctx, max(time.Second, time.Until(deadline)*2/5))
		}
	}
	defer cancel()
	m := message.New(message.MALLOC)
	m.Size = size
	h.number(m)
	defer h.seqs.end(m.Seq)
	first := h.run(short, c, m)
	answer, err := first.answer()
	if err != nil {
		if message.CodeOf(err) == message.Unavailable && !first.sent {
			h.mu.Lock()
			r := h.rooms[c]
			r.avoid = time.Now().Add(avoidFor)
			h.rooms[c] = r
			h.mu.Unlock()
			return message.Allocation{}, definite{err}
		}
		if ctx.Err() == nil && message.CodeOf(err) != message.Canceled {
			// The short time ended, the caller's has not: the same request, with its number, goes on.
			answer, err = h.again(ctx, c, m)
		}
		if err != nil {
			return message.Allocation{}, err
		}
	}
	if answer.Status == message.OutOfMemory {
		h.setRoom(c, answer.Value)
		return message.Allocation{}, answer.Err()
	}
	if err := answer.Err(); err != nil {
		return message.Allocation{}, err
	}
	h.took(c, size)
	return message.Allocation{Address: answer.Address, Size: size, State: message.Allocated, Blocks: h.withNodes(answer.Blocks)}, nil
}

func (h *Heap) setRoom(c message.CompanyID, bytes uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[c]
	r.bytes = bytes
	h.rooms[c] = r
}

// took lowers what is believed of a company's room.
func (h *Heap) took(c message.CompanyID, size uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[c]
	r.bytes -= min(r.bytes, max(size, message.Alignment))
	h.rooms[c] = r
}

// survey asks the companies' leaders for their room.
func (h *Heap) survey(ctx context.Context) error {
	companies, err := h.Companies(ctx)
	if err != nil {
		return err
	}
	for _, c := range companies {
		if c.ID != 0 && c.Leader != nil {
			h.setRoom(c.ID, c.Room)
		}
	}
	return nil
}

// mallocSpanning runs RESERVE, COMMIT and CONFIRM (package message, section 5). again says that the
// picture of the room was wrong and a new try makes sense.
func (h *Heap) mallocSpanning(ctx context.Context, size uint64) (a message.Allocation, again bool, err error) {
	blocks, err := h.spread(size)
	if err != nil {
		return a, false, err
	}
	seq, _ := h.seqs.begin()
	defer h.seqs.end(seq)
	txn := message.Txn{Client: h.id, Seq: seq}
	home := blocks[0].Company
	// The transaction outlives the caller's patience: what was begun is ended either way.
	for i := 1; i < len(blocks); i++ {
		m := message.New(message.RESERVE)
		m.Txn, m.Size, m.Value = txn, blocks[i].Size, uint64(home)
		answer, err := h.do(ctx, blocks[i].Company, m)
		if err == nil {
			err = answer.Err()
		}
		if err != nil {
			if message.CodeOf(err) == message.OutOfMemory {
				h.setRoom(blocks[i].Company, answer.Value)
				again = true
			}
			h.abort(ctx, txn, home, blocks[1:])
			return a, again, err
		}
		blocks[i].Behind = answer.Address
	}
	m := message.New(message.COMMIT)
	m.Txn, m.Size, m.Value = txn, size, blocks[0].Size
	m.Blocks = blocks[1:]
	answer, err := h.do(ctx, home, m)
	if err == nil && answer.Status == message.OutOfMemory {
		h.setRoom(home, answer.Value)
		again = true
	}
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		if answer = h.abort(ctx, txn, home, blocks[1:]); answer == nil {
			return a, again, err
		}
		// It was committed after all, only the answer was lost.
	}
	a = message.Allocation{Address: answer.Address, Size: size, State: message.Allocated, Blocks: answer.Blocks}
	h.learnSpan(append([]message.Block(nil), answer.Blocks...), txn)
	// It exists now. A part whose CONFIRM is lost asks the home itself.
	h.each(a.Blocks[1:], func(b message.Block) error {
		m := message.New(message.CONFIRM)
		m.Txn, m.Address = txn, a.Address
		_, err := h.do(ctx, b.Company, m)
		return err
	})
	for _, b := range a.Blocks {
		h.took(b.Company, b.Size)
	}
	a.Blocks = h.withNodes(a.Blocks)
	return a, false, nil
}

// spread divides size over the companies: whole pages, the roomiest first, as few as possible.
func (h *Heap) spread(size uint64) ([]message.Block, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.spaces()
	var sum uint64
	for i := range all {
		if !all[i].away {
			sum += all[i].bytes / message.PageSize * message.PageSize
		}
	}
	if size > sum {
		return nil, full(size, all)
	}
	var blocks []message.Block
	for _, c := range all {
		if size == 0 {
			break
		}
		n := min(size, c.bytes/message.PageSize*message.PageSize)
		if n > 0 && !c.away {
			blocks = append(blocks, message.Block{Size: n, Company: c.id})
			size -= n
		}
	}
	if len(blocks) < 2 {
		return nil, message.Errorf(message.Busy, "the room of company %s changed while it was asked; try again", blocks[0].Company)
	}
	return blocks, nil
}

// abort gives a transaction up: first at its home, so that a COMMIT still under way is refused, then at
// the others. What it cannot reach ends by the owners' own asking.
// If the transaction turns out to be committed, abort gives the home's answer, and nil otherwise.
func (h *Heap) abort(ctx context.Context, txn message.Txn, home message.CompanyID, others []message.Block) *message.Message {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	m := message.New(message.OUTCOME)
	m.Txn = txn
	answer, err := h.do(ctx, home, m)
	if err != nil || answer.Status != message.Done {
		return nil // not known: the owners will ask
	}
	if answer.Value == 1 {
		return answer
	}
	h.each(others, func(b message.Block) error {
		m := message.New(message.ABORT)
		m.Txn = txn
		_, err := h.do(ctx, b.Company, m)
		return err
	})
	return nil
}

// each runs f on every block at once and returns one of the errors.
func (h *Heap) each(blocks []message.Block, f func(message.Block) error) error {
	errs := make(chan error, len(blocks))
	var wg sync.WaitGroup
	for _, b := range blocks {
		wg.Go(func() { errs <- f(b) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Free gives back the allocation that starts at a. When it returns without an error, every part of it is
// free for others.
func (h *Heap) Free(ctx context.Context, a message.Addr) error {
	c, err := h.window(ctx, a)
	if err != nil {
		return err
	}
	m := message.New(message.FREE)
	m.Address = a
	if h.runs() {
		h.ofRun(ctx, m)
	}
	answer, err := h.do(ctx, c, m)
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.dropSpan(a)
	h.mu.Unlock()
	if len(answer.Blocks) > 1 {
		if err := h.ReleaseParts(ctx, c, a, answer.Txn, answer.Blocks[1:]); err != nil {
			return err
		}
	}
	size := answer.Size
	if len(answer.Blocks) > 0 {
		size = answer.Blocks[0].Size
	}
	h.gave(c, size)
	return nil
}

// gave raises what is believed of a company's room.
func (h *Heap) gave(c message.CompanyID, size uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[c]
	r.bytes = min(r.bytes+size, h.directory().Companies[c].Capacity)
	h.rooms[c] = r
}

// ReleaseParts gives back the parts of a freed allocation and then its addresses. Owners of a home run it too,
// for allocations whose freeing stopped half-way.
func (h *Heap) ReleaseParts(ctx context.Context, home message.CompanyID, a message.Addr, txn message.Txn, parts []message.Block) error {
	err := h.each(parts, func(b message.Block) error {
		m := message.New(message.DROP)
		m.Txn = txn
		answer, err := h.do(ctx, b.Company, m)
		if err != nil {
			return err
		}
		return answer.Err()
	})
	if err != nil {
		return err
	}
	m := message.New(message.FINISH)
	m.Txn, m.Address = txn, a
	answer, err := h.do(ctx, home, m)
	if err != nil {
		return err
	}
	return answer.Err()
}

// Settle ends a reservation whose coordinator went silent: it asks the home what became of the
// transaction, and confirms or aborts. Owners run it.
func (h *Heap) Settle(ctx context.Context, company, home message.CompanyID, txn message.Txn) error {
	m := message.New(message.OUTCOME)
	m.Txn = txn
	answer, err := h.do(ctx, home, m)
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		return err
	}
	end := message.New(message.ABORT)
	if answer.Value == 1 {
		end = message.New(message.CONFIRM)
		end.Address = answer.Address
	}
	end.Txn = txn
	done, err := h.do(ctx, company, end)
	if err != nil {
		return err
	}
	return done.Err()
}
