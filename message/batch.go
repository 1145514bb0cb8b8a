package message

import (
	"encoding/binary"
	"math"
)

const (
	MaxBatch    = 4 << 20 // bytes of a Raft entry, well below Dragonboat's in-memory log limit
	MaxMessages = 8192    // messages of a Raft entry
)

// Batch is what one Raft entry carries: messages that were waiting together, in the order of their arrival.
type Batch struct {
	Origin   uint64 // random number of the proposer's run
	Number   uint64 // how-manieth batch of that run
	Term     uint64 // in which the proposer believed to lead
	Node     NodeID // that proposed
	Elapsed  uint64 // milliseconds since the same leader's previous batch
	Messages []*Message
}

// AppendHead encodes everything but the messages; AppendMessage follows count times.
func (b *Batch) AppendHead(buf []byte, count int) []byte {
	buf = append(buf, Version)
	for _, v := range []uint64{b.Origin, b.Number, b.Term, wireNode(b.Node), b.Elapsed, uint64(count)} {
		buf = binary.AppendUvarint(buf, v)
	}
	return buf
}

// AppendMessage encodes a message of a batch. Its length stands before it, so all but its data, of which there may be
// much, is encoded in scratch first, which is handed back to be used for the next one.
func AppendMessage(buf, scratch []byte, m *Message) (_, _ []byte, err error) {
	scratch, at, err := m.AppendAround(scratch[:0])
	if err != nil {
		return buf, scratch, err
	}
	buf = binary.AppendUvarint(buf, uint64(len(scratch)+len(m.Data)))
	buf = append(append(buf, scratch[:at]...), m.Data...)
	return append(buf, scratch[at:]...), scratch, nil
}

// Append encodes the whole batch behind buf.
func (b *Batch) Append(buf []byte) ([]byte, error) {
	buf = b.AppendHead(buf, len(b.Messages))
	var scratch []byte
	for _, m := range b.Messages {
		var err error
		if buf, scratch, err = AppendMessage(buf, scratch, m); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// DecodeBatch reads a batch that fills b. Data of its messages points into b.
func DecodeBatch(b []byte) (*Batch, error) {
	if len(b) == 0 || b[0] != Version {
		return nil, malformed("no batch of version %d", Version)
	}
	r := reader{b: b[1:]}
	batch := &Batch{Origin: r.uvarint(), Number: r.uvarint(), Term: r.uvarint()}
	node := r.uvarint()
	if node > MaxNodes {
		r.fail("node %d is over %d", node, MaxNodes)
	}
	batch.Node = NodeID(node) - 1
	batch.Elapsed = r.uvarint()
	if batch.Elapsed > math.MaxUint32 {
		r.fail("%d ms elapsed", batch.Elapsed)
	}
	count := r.uvarint()
	if count > MaxMessages || count*7 > uint64(len(r.b)) {
		r.fail("%d messages in %d bytes", count, len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	all := make([]Message, count)
	batch.Messages = make([]*Message, count)
	for i := range all {
		encoded := r.take(r.length(MaxMessage, "message"))
		if r.err != nil {
			return nil, r.err
		}
		if err := all[i].decode(encoded); err != nil {
			return nil, err
		}
		batch.Messages[i] = &all[i]
	}
	if len(r.b) > 0 {
		return nil, malformed("%d bytes follow the batch", len(r.b))
	}
	return batch, nil
}
