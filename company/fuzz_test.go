package company

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"dmalloc/message"
)

// payload takes the frames apart; reframe puts altered bytes into frames with right sums, so that what is
// behind the checksum is tried, too.
func payload(b []byte) (p []byte) {
	for len(b) >= 8 {
		n := int(binary.LittleEndian.Uint32(b))
		if n > len(b)-8 {
			break
		}
		p, b = append(p, b[4:4+n]...), b[8+n:]
	}
	return p
}

func frames(p []byte) (b []byte) {
	for {
		n := min(len(p), maxFrame)
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		b = append(b, p[:n]...)
		p = p[n:]
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(unsummed(b), castagnoli))
		if n == 0 {
			return b
		}
	}
}

// unsummed drops the sums of the frames before the last, whose own is not yet there.
func unsummed(b []byte) (p []byte) {
	for len(b) > 0 {
		n := 4 + int(binary.LittleEndian.Uint32(b))
		p = append(p, b[:n]...)
		b = b[min(n+4, len(b)):]
	}
	return p
}

func reframe(b []byte) []byte { return frames(payload(b)) }

func FuzzLoad(f *testing.F) {
	cfg := Config{ID: 1, Capacity: testCapacity}
	d := &driver{Company: New(cfg)}
	f.Add(payload(save(f, d.Company)))
	for i := range uint64(3) {
		m := malloc(10 + i*5000)
		m.Client[0], m.Seq = 1, i
		d.do(write(d.do(m).Address, []byte("data")))
	}
	txn := message.Txn{Seq: 1}
	d.do(msg(message.RESERVE, func(m *message.Message) { m.Txn, m.Size, m.Value = txn, 100, 2 }))
	d.do(msg(message.ABORT, func(m *message.Message) { m.Txn.Seq = 2 }))
	d.do(msg(message.COMMIT, func(m *message.Message) {
		m.Txn.Seq, m.Size, m.Value, m.Client[0], m.Seq = 3, 5000, 4096, 1, 4
		m.Blocks = []message.Block{{Size: 904, Company: 2, Behind: 16}}
	}))
	f.Add(payload(save(f, d.Company)))
	for node := range message.NodeID(2) {
		d.do(leaseOf(node, message.HeapBase+message.PageSize, 0))
	}
	f.Add(payload(save(f, d.Company)))
	number := d.do(runOf(3, 7, 100, 40)).Token
	d.do(claimOf(3, 7, number, 5, 20))
	d.do(msg(message.SETTLE, func(m *message.Message) { m.Final, m.Value = 4, 9 }))
	f.Add(payload(save(f, d.Company)))
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, err := Load(bytes.NewReader(p), cfg); err == nil && len(p) == 0 {
			t.Fatal("nothing was loaded")
		}
		b := frames(p)
		c, err := Load(bytes.NewReader(b), cfg)
		if err != nil {
			if message.CodeOf(err) != message.Corrupt {
				t.Fatal(err)
			}
			return
		}
		if err := c.Verify(); err != nil {
			t.Fatal(err)
		}
		again := save(t, c)
		if p[len(magic)] == beforeLeases { // is saved as what it has become
			next, err := Load(bytes.NewReader(again), cfg)
			if err != nil || next.String() != c.String() {
				t.Fatalf("one of version %d is not loaded again: %v", beforeLeases, err)
			}
		} else if !bytes.Equal(again, b) {
			t.Fatalf("%d bytes were loaded, %d saved", len(b), len(again))
		}
	})
}
