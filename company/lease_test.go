package company

import (
	"bytes"
	"os"
	"testing"

	"dmalloc/message"
)

// leaseOf asks for a lease on the rest of the block from a on.
func leaseOf(node message.NodeID, a message.Addr, flags message.Flags) *message.Message {
	return msg(message.LEASE, func(m *message.Message) {
		m.Address, m.Final, m.Value, m.Flags, m.Length = a, node, 1, flags, 1000
	})
}

// A snapshot of before there were leases is still read, and is kept as one of now.
func TestLoadsVersion1(t *testing.T) {
	kept, err := os.ReadFile("testdata/version1.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/version1.text")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{ID: 1, Capacity: testCapacity}
	c, err := Load(bytes.NewReader(kept), cfg)
	if err != nil || c.String() != string(want) {
		t.Fatalf("%v\n%s", err, c)
	}
	again, err := Load(bytes.NewReader(save(t, c)), cfg)
	if err != nil || again.String() != c.String() {
		t.Fatal("it is not kept as it is", err)
	}
}

// Two owners with different leases have different sums.
func TestLeasesAreSummed(t *testing.T) {
	sums := map[string]bool{}
	for _, flags := range []message.Flags{0, message.Exclusive, message.Exclusive | message.WriteBack} {
		d := &driver{Company: newTest(1)}
		if r := d.do(leaseOf(1, d.do(malloc(100)).Address, flags)); r.Code != message.Done {
			t.Fatal(r)
		}
		sums[sumsOf(d.Company, 0).State] = true
	}
	if len(sums) != 3 {
		t.Errorf("3 states have %d sums", len(sums))
	}
}
