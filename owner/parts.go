package owner

import (
	"encoding/binary"
	"fmt"

	pb "github.com/lni/dragonboat/v4/raftpb"
)

const (
	partFrom = 16 << 10 // commands from here on are sent from where they lie: they never change

	// Of the encoding of pb.MessageBatch, pb.Message (protocol buffers) and pb.Entry (Colfer).
	requestsKey = 1<<3 | 2
	entriesKey  = 11<<3 | 2
	commandKey  = 7 // the last field of an entry
	entryEnd    = 0x7f
)

// encodeParts encodes a batch as its own Marshal does, but for the long commands of entries: these are parts by
// themselves, where they lie. Each entry goes to every follower, and copying it for each is most of what sending costs.
func encodeParts(b *pb.MessageBatch) ([][]byte, error) {
	long := false
	for i := range b.Requests {
		long = long || hasLong(&b.Requests[i])
	}
	if !long {
		payload, err := b.Marshal()
		return [][]byte{payload}, err
	}
	w := partsWriter{}
	for i := range b.Requests {
		if err := w.message(&b.Requests[i]); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
	}
	rest := *b
	rest.Requests = nil
	if err := w.marshal(&rest); err != nil {
		return nil, err
	}
	return append(w.parts, w.b), nil
}

func hasLong(m *pb.Message) bool {
	for i := range m.Entries {
		if len(m.Entries[i].Cmd) >= partFrom {
			return true
		}
	}
	return false
}

// partsWriter gathers parts: those before b are done.
type partsWriter struct {
	parts [][]byte
	b     []byte
}

func (w *partsWriter) marshal(m interface {
	Size() int
	MarshalTo([]byte) (int, error)
}) error {
	n := m.Size()
	at := len(w.b)
	w.b = append(w.b, make([]byte, n)...)
	n, err := m.MarshalTo(w.b[at:])
	w.b = w.b[:at+n]
	return err
}

func (w *partsWriter) head(key byte, size int) {
	w.b = binary.AppendUvarint(append(w.b, key), uint64(size))
}

// message writes the entries behind the other fields: a decoder takes fields in any order.
func (w *partsWriter) message(m *pb.Message) error {
	w.head(requestsKey, m.Size())
	rest := *m
	rest.Entries = nil
	if err := w.marshal(&rest); err != nil {
		return err
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		w.head(entriesKey, e.Size())
		if len(e.Cmd) < partFrom {
			if err := w.marshal(e); err != nil {
				return err
			}
			continue
		}
		without := *e
		without.Cmd = nil
		if err := w.marshal(&without); err != nil {
			return err
		}
		w.b = w.b[:len(w.b)-1] // the end, which follows the command
		w.head(commandKey, len(e.Cmd))
		w.parts = append(w.parts, w.b, e.Cmd)
		w.b = []byte{entryEnd}
	}
	return nil
}
