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

// usual is about what a message takes in a batch besides its data.
const usual = 64

// AppendMessage encodes a message of a batch behind buf. Its length stands before it: room is left for one that is as long
// as is usual, and what was encoded behind it is moved where that was wrong.
func AppendMessage(buf []byte, m *Message) ([]byte, error) {
	at := len(buf)
	room := uvarintLen(uint64(len(m.Data) + usual))
	var length [binary.MaxVarintLen64]byte
	buf, err := m.Append(append(buf, length[:room]...))
	if err != nil {
		return buf[:at], err
	}
	n := binary.PutUvarint(length[:], uint64(len(buf)-at-room))
	if n > room {
		buf = append(buf, length[:n-room]...)
	}
	if n != room {
		end := len(buf)
		copy(buf[at+n:], buf[at+room:])
		buf = buf[:end-max(0, room-n)]
	}
	copy(buf[at:], length[:n])
	return buf, nil
}

// Append encodes the whole batch behind buf.
func (b *Batch) Append(buf []byte) ([]byte, error) {
	buf = b.AppendHead(buf, len(b.Messages))
	for _, m := range b.Messages {
		var err error
		if buf, err = AppendMessage(buf, m); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// DecodeBatch reads a batch that fills b. Data of its messages points into b.
func DecodeBatch(b []byte) (*Batch, error) { return new(BatchReader).Read(b) }

// BatchReader reads one batch after the other into the same memory. Its zero value is ready.
type BatchReader struct {
	batch    Batch
	messages []Message
}

// mostKept is how many messages a BatchReader keeps the memory of.
const mostKept = 1024

// Read is DecodeBatch. What it returns is the reader's: it holds until Read or Done is called.
func (d *BatchReader) Read(b []byte) (*Batch, error) {
	d.Done()
	if len(b) == 0 || b[0] != Version {
		return nil, malformed("no batch of version %d", Version)
	}
	r := reader{b: b[1:]}
	d.batch = Batch{Origin: r.uvarint(), Number: r.uvarint(), Term: r.uvarint(), Messages: d.batch.Messages[:0]}
	node := r.uvarint()
	if node > MaxNodes {
		r.fail("node %d is over %d", node, MaxNodes)
	}
	d.batch.Node = NodeID(node) - 1
	d.batch.Elapsed = r.uvarint()
	if d.batch.Elapsed > math.MaxUint32 {
		r.fail("%d ms elapsed", d.batch.Elapsed)
	}
	count := r.uvarint()
	if count > MaxMessages || count*7 > uint64(len(r.b)) {
		r.fail("%d messages in %d bytes", count, len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	d.make(int(count))
	for i := range d.messages {
		encoded := r.take(r.length(MaxMessage, "message"))
		if r.err != nil {
			return nil, r.err
		}
		if err := d.messages[i].decode(encoded); err != nil {
			return nil, err
		}
	}
	if len(r.b) > 0 {
		return nil, malformed("%d bytes follow the batch", len(r.b))
	}
	return &d.batch, nil
}

// make has so many messages in the batch. Where there are more than ever before, the next batches may have as many.
func (d *BatchReader) make(count int) {
	if count > cap(d.messages) {
		d.messages = make([]Message, count)
		d.batch.Messages = make([]*Message, 0, count)
	}
	d.messages = d.messages[:count]
	for i := range d.messages {
		d.batch.Messages = append(d.batch.Messages, &d.messages[i])
	}
}

// Done lets go of what was read, and of the bytes that it points into.
func (d *BatchReader) Done() {
	if cap(d.messages) > mostKept {
		*d = BatchReader{}
		return
	}
	clear(d.messages)
	d.messages = d.messages[:0]
}
