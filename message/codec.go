package message

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// Version of the wire format.
const Version = 1

// MaxMessage bounds the encoding of a message: its data and all its other fields at their largest.
const MaxMessage = MaxData + MaxText + MaxBlocks*4*binary.MaxVarintLen64 + MaxPath*binary.MaxVarintLen32 + 512

// FormatError says why bytes are not a message or a batch.
type FormatError struct{ Why string }

func (e *FormatError) Error() string { return "message format: " + e.Why }

func malformed(format string, args ...any) error { return &FormatError{fmt.Sprintf(format, args...)} }

// field is a bit of the bitmap, in the order of the specification.
type field uint32

const (
	fFlags field = 1 << iota
	fClient
	fSeq
	fLow
	fSource
	fTarget
	fFinal
	fAddress
	fSize
	fValue
	fData
	fCompany
	fEpoch
	fTerm
	fIndex
	fTxn
	fBlocks
	fStatus
	fText
	fPath
	fToken
	fLength

	fEnd
)

// wireNode maps NoNode to 0, so that a client costs nothing.
func wireNode(n NodeID) uint64 { return uint64(n + 1) }

// Append encodes the message behind b. It refuses what Decode would refuse: bounds are the sender's duty too.
func (m *Message) Append(b []byte) ([]byte, error) {
	b, _, err := m.append(b, true)
	return b, err
}

// AppendAround is Append without the bytes of Data, which belong at position at of what it returns. Who writes them from
// where they lie saves a copy.
func (m *Message) AppendAround(b []byte) (_ []byte, at int, err error) { return m.append(b, false) }

func (m *Message) append(b []byte, data bool) (_ []byte, at int, err error) {
	if !m.Op.Valid() || !m.Status.Valid() || m.Flags >= flagsEnd {
		return b, 0, malformed("unknown op %d, status %d or flags %d", m.Op, m.Status, m.Flags)
	}
	if len(m.Data) > MaxData || len(m.Text) > MaxText || len(m.Blocks) > MaxBlocks || len(m.Path) > MaxPath {
		return b, 0, malformed("%d bytes of data, %d of text, %d blocks, %d hops: over the limit", len(m.Data), len(m.Text), len(m.Blocks), len(m.Path))
	}
	if !utf8.ValidString(m.Text) {
		return b, 0, malformed("text is not UTF-8")
	}
	b = append(b, Version, byte(m.Op), 0, 0, 0, 0)
	head := len(b) - 4
	var have field
	num := func(f field, v uint64) {
		if v != 0 {
			have |= f
			b = binary.AppendUvarint(b, v)
		}
	}
	num(fFlags, uint64(m.Flags))
	if m.Client != (ClientID{}) {
		have |= fClient
		b = append(b, m.Client[:]...)
	}
	num(fSeq, m.Seq)
	num(fLow, m.Low)
	num(fSource, wireNode(m.Source))
	num(fTarget, wireNode(m.Target))
	num(fFinal, wireNode(m.Final))
	num(fAddress, uint64(m.Address))
	num(fSize, m.Size)
	num(fValue, m.Value)
	if len(m.Data) > 0 {
		have |= fData
		b = binary.AppendUvarint(b, uint64(len(m.Data)))
		at = len(b)
		if data {
			b = append(b, m.Data...)
		}
	}
	num(fCompany, uint64(m.Company))
	num(fEpoch, m.Epoch)
	num(fTerm, m.Term)
	num(fIndex, m.Index)
	if !m.Txn.IsZero() {
		have |= fTxn
		b = append(b, m.Txn.Client[:]...)
		b = binary.AppendUvarint(b, m.Txn.Seq)
	}
	if len(m.Blocks) > 0 {
		have |= fBlocks
		b = binary.AppendUvarint(b, uint64(len(m.Blocks)))
		for i := range m.Blocks {
			k := &m.Blocks[i]
			b = binary.AppendUvarint(b, uint64(k.Address))
			b = binary.AppendUvarint(b, k.Size)
			b = binary.AppendUvarint(b, uint64(k.Company))
			b = binary.AppendUvarint(b, uint64(k.Behind))
		}
	}
	num(fStatus, uint64(m.Status))
	if len(m.Text) > 0 {
		have |= fText
		b = binary.AppendUvarint(b, uint64(len(m.Text)))
		b = append(b, m.Text...)
	}
	if len(m.Path) > 0 {
		have |= fPath
		b = binary.AppendUvarint(b, uint64(len(m.Path)))
		for _, n := range m.Path {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	num(fToken, m.Token)
	num(fLength, m.Length)
	binary.LittleEndian.PutUint32(b[head:], uint32(have))
	return b, at, nil
}

// Decode reads one message that fills b. The message's Data points into b.
func Decode(b []byte) (*Message, error) {
	m := new(Message)
	if err := DecodeTo(m, b); err != nil {
		return nil, err
	}
	return m, nil
}

// DecodeTo is Decode for who has the memory. Where it fails, what is in m means nothing.
func DecodeTo(m *Message, b []byte) error { return m.decode(b) }

// HasData says whether the message that fills b would point into it.
func HasData(b []byte) bool {
	return len(b) >= 6 && field(binary.LittleEndian.Uint32(b[2:]))&fData != 0
}

func (m *Message) decode(b []byte) error {
	if len(b) < 6 {
		return malformed("%d bytes are no message", len(b))
	}
	if b[0] != Version {
		return malformed("version %d, this program speaks %d", b[0], Version)
	}
	*m = Message{Op: Op(b[1]), Source: NoNode, Target: NoNode, Final: NoNode}
	if !m.Op.Valid() {
		return malformed("unknown operation %d", b[1])
	}
	have := field(binary.LittleEndian.Uint32(b[2:]))
	if have >= fEnd {
		return malformed("unknown fields %#x", uint32(have))
	}
	r := reader{b: b[6:]}
	num := func(f field, most uint64, name string) uint64 {
		if have&f == 0 {
			return 0
		}
		v := r.uvarint()
		if v == 0 {
			r.fail("%s is present and zero", name)
		}
		if v > most {
			r.fail("%s %d is over %d", name, v, most)
		}
		return v
	}
	m.Flags = Flags(num(fFlags, uint64(flagsEnd-1), "flags"))
	if have&fClient != 0 {
		copy(m.Client[:], r.take(len(m.Client)))
		if m.Client == (ClientID{}) {
			r.fail("client is present and zero")
		}
	}
	m.Seq = num(fSeq, math.MaxUint64, "seq")
	m.Low = num(fLow, math.MaxUint64, "low")
	m.Source = NodeID(num(fSource, MaxNodes, "source")) - 1
	m.Target = NodeID(num(fTarget, MaxNodes, "target")) - 1
	m.Final = NodeID(num(fFinal, MaxNodes, "final")) - 1
	m.Address = Addr(num(fAddress, math.MaxUint64, "address"))
	m.Size = num(fSize, math.MaxUint64, "size")
	m.Value = num(fValue, math.MaxUint64, "value")
	if have&fData != 0 {
		m.Data = r.take(r.length(MaxData, "data"))
	}
	m.Company = CompanyID(num(fCompany, MaxCompany, "company"))
	m.Epoch = num(fEpoch, math.MaxUint64, "epoch")
	m.Term = num(fTerm, math.MaxUint64, "term")
	m.Index = num(fIndex, math.MaxUint64, "index")
	if have&fTxn != 0 {
		copy(m.Txn.Client[:], r.take(len(m.Txn.Client)))
		m.Txn.Seq = r.uvarint()
		if m.Txn.IsZero() {
			r.fail("txn is present and zero")
		}
	}
	if have&fBlocks != 0 {
		n := r.length(MaxBlocks, "blocks")
		if n*4 > len(r.b) {
			r.fail("%d blocks in %d bytes", n, len(r.b))
			n = 0
		}
		m.Blocks = make([]Block, n)
		for i := range m.Blocks {
			k := &m.Blocks[i]
			k.Address, k.Size = Addr(r.uvarint()), r.uvarint()
			company := r.uvarint()
			if company > MaxCompany {
				r.fail("company %d is over %d", company, MaxCompany)
			}
			k.Company, k.Behind = CompanyID(company), Addr(r.uvarint())
		}
	}
	m.Status = Code(num(fStatus, uint64(codeEnd-1), "status"))
	if have&fText != 0 {
		text := r.take(r.length(MaxText, "text"))
		if !utf8.Valid(text) {
			r.fail("text is not UTF-8")
		}
		m.Text = string(text)
	}
	if have&fPath != 0 {
		n := r.length(MaxPath, "path")
		if n > len(r.b) {
			r.fail("%d hops in %d bytes", n, len(r.b))
			n = 0
		}
		m.Path = make([]NodeID, n)
		for i := range m.Path {
			hop := r.uvarint()
			if hop >= MaxNodes {
				r.fail("hop %d is no node", hop)
			}
			m.Path[i] = NodeID(hop)
		}
	}
	m.Token = num(fToken, math.MaxUint64, "token")
	m.Length = num(fLength, math.MaxUint64, "length")
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes follow the message", len(r.b))
	}
	return r.err
}

// reader takes fields off a slice and remembers the first thing that was wrong.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = malformed(format, args...)
	}
}

// uvarint takes a varint of minimal length.
func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	if len(r.b) > 0 && r.b[0] < 0x80 { // as most are
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("a number is cut or too long")
		return 0
	}
	if n != uvarintLen(v) {
		r.fail("a number is longer than it need be")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// uvarintLen is how many bytes a varint takes at least.
func uvarintLen(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }

// length takes the length of something that follows and is not empty.
func (r *reader) length(most uint64, name string) int {
	n := r.uvarint()
	if r.err != nil {
		return 0
	}
	if n == 0 || n > most {
		r.fail("length of %s is %d, not in 1..%d", name, n, most)
		return 0
	}
	return int(n)
}

// take takes n bytes without copying them.
func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.b) {
		r.fail("%d bytes wanted, %d left", n, len(r.b))
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}
