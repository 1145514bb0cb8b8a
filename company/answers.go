package company

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// answers are those that are kept for a client, by number. Requests come nearly in the order of their numbers and are done
// with in that order, so most are put behind the last and taken from the front, and what is free in front is used again.
//
//	all: [ free … | the lowest … the highest ]
//	               from
type answers struct {
	all  []answer
	from int
}

// answer is a Result as it is kept: there may be a million, and nearly all are of writes and small allocations, which have
// no more than this.
type answer struct {
	seq     uint64
	code    message.Code
	whole   bool // its one block, here, is all that it is about
	address message.Addr
	size    uint64
	value   uint64
	index   uint64
	more    *more // nil: all of it is zero
}

type more struct {
	text   string
	txn    message.Txn
	blocks []message.Block
	token  uint64
	length uint64
}

func answerOf(here message.CompanyID, seq uint64, r *Result) answer {
	a := answer{seq: seq, code: r.Code, address: r.Address, size: r.Size, value: r.Value, index: r.Index}
	if r.Text == "" && r.Txn.IsZero() && len(r.Blocks) == 1 && r.Token == 0 && r.Length == 0 && isWholly(&r.Blocks[0], here, r.Address, r.Size) {
		a.whole = true
	} else if r.Text != "" || !r.Txn.IsZero() || len(r.Blocks) > 0 || r.Token != 0 || r.Length != 0 {
		a.more = &more{r.Text, r.Txn, r.Blocks, r.Token, r.Length}
	}
	return a
}

// wholly is the block of an allocation that lies in one company.
func wholly(here message.CompanyID, a message.Addr, size uint64) message.Block {
	return message.Block{Address: a, Size: size, Company: here, Behind: a}
}

func isWholly(b *message.Block, here message.CompanyID, a message.Addr, size uint64) bool {
	return b.Address == a && b.Size == size && b.Company == here && b.Behind == a && b.Nodes == nil
}

func (a *answer) result(here message.CompanyID) Result {
	r := Result{Code: a.code, Address: a.address, Size: a.size, Value: a.value, Index: a.index}
	if a.whole {
		r.Blocks = []message.Block{wholly(here, a.address, a.size)}
	}
	if b := a.more; b != nil {
		r.Text, r.Txn, r.Blocks, r.Token, r.Length = b.text, b.txn, b.blocks, b.token, b.length
	}
	return r
}

// kept lists them by number.
func (s *answers) kept() []answer { return s.all[s.from:] }

func (s *answers) len() int { return len(s.all) - s.from }

// find says where in kept the answer to a request is, or would be.
func (s *answers) find(seq uint64) (int, bool) {
	kept := s.kept()
	if n := len(kept); n == 0 || kept[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(kept, seq, func(a answer, seq uint64) int { return cmp.Compare(a.seq, seq) })
}

// put keeps an answer, in the place of the one before to the same request.
func (s *answers) put(a answer) {
	i, ok := s.find(a.seq)
	if ok {
		s.kept()[i] = a
		return
	}
	if len(s.all) == cap(s.all) && s.from >= s.len() { // moved at most as often as put
		n := copy(s.all, s.kept())
		clear(s.all[n:])
		s.all, s.from = s.all[:n], 0
	}
	s.all = slices.Insert(s.all, s.from+i, a)
}

// mostFree is how much room a client without answers keeps.
const mostFree = 1024

// drop forgets the answers below low and says how many they were.
func (s *answers) drop(low uint64) int {
	kept := s.kept()
	n := 0
	for n < len(kept) && kept[n].seq < low {
		kept[n].more = nil
		n++
	}
	if s.from += n; s.from == len(s.all) {
		s.all, s.from = s.all[:0], 0
		if cap(s.all) > mostFree {
			s.all = nil
		}
	}
	return n
}

func (s *answers) clone() answers { return answers{all: slices.Clone(s.kept())} }
