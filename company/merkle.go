package company

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"dmalloc/message"
)

// PartPages is how many pages share a sum of the second level.
const PartPages = 512

// Tree is the Merkle sums of a snapshot. Equal states have equal trees, and a page that differs makes its part
// and the root differ.
//
//	root ── state             allocations, transactions, clients, term, clock, index
//	     └─ part k            of the pages 512k … 512k+511
//	          └─ page         of its number and bytes; a page of zeros has none
type Tree struct {
	index uint64
	root  [sha256.Size]byte
	state [sha256.Size]byte
	parts []part
}

type part struct {
	number uint64
	sum    [sha256.Size]byte
	pages  []leaf
}

type leaf struct {
	number uint64
	sum    [sha256.Size]byte
}

// Tree sums the snapshot up. It reads every byte and may run beside the company's Apply.
func (s *Snapshot) Tree() *Tree {
	t := &Tree{index: s.index}
	h := sha256.New()
	w := newWriter(h)
	s.writeState(w)
	_, _ = w.end() // a hash takes everything
	h.Sum(t.state[:0])
	var number [8]byte
	for off, p := range s.pages.All() {
		l := leaf{number: off / message.PageSize}
		binary.LittleEndian.PutUint64(number[:], l.number)
		h.Reset()
		h.Write(number[:])
		h.Write(p)
		h.Sum(l.sum[:0])
		if k := l.number / PartPages; len(t.parts) == 0 || t.parts[len(t.parts)-1].number != k {
			t.parts = append(t.parts, part{number: k})
		}
		last := &t.parts[len(t.parts)-1]
		last.pages = append(last.pages, l)
	}
	top := sha256.New()
	top.Write(t.state[:])
	for i := range t.parts {
		p := &t.parts[i]
		h.Reset()
		for _, l := range p.pages {
			h.Write(l.sum[:])
		}
		h.Sum(p.sum[:0])
		binary.LittleEndian.PutUint64(number[:], p.number)
		top.Write(number[:])
		top.Write(p.sum[:])
	}
	top.Sum(t.root[:0])
	return t
}

// Index is that of the last entry in the state that was summed up.
func (t *Tree) Index() uint64 { return t.index }

// Sums is the tree as VERIFY answers it: with no parts at level 0, with all of them at 1, with the pages of part
// k at 2+k.
func (t *Tree) Sums(id message.CompanyID, level uint64) message.Sums {
	out := message.Sums{Company: id, Index: t.index, Root: hex.EncodeToString(t.root[:]), State: hex.EncodeToString(t.state[:])}
	for _, p := range t.parts {
		switch {
		case level == 1:
			out.Parts = append(out.Parts, message.Sum{Number: p.number, Sum: hex.EncodeToString(p.sum[:])})
		case level == 2+p.number:
			for _, l := range p.pages {
				out.Parts = append(out.Parts, message.Sum{Number: l.number, Sum: hex.EncodeToString(l.sum[:])})
			}
		}
	}
	return out
}
