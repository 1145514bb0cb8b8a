package company

import (
	"testing"

	"dmalloc/message"
)

// One small allocation in each page holds them all: the budget counts pages, so that what exists stays within it.
func TestSmallAllocationsHoldPages(t *testing.T) {
	const pages, small = 16, 64
	d := &driver{Company: New(Config{ID: 1, Capacity: pages * message.PageSize})}
	var all []message.Addr
	for range pages * message.PageSize / small {
		r := d.do(malloc(small))
		if r.Code != message.Done {
			t.Fatal(r)
		}
		data := make([]byte, small)
		data[0] = 1
		d.do(write(r.Address, data))
		all = append(all, r.Address)
	}
	for _, a := range all {
		if a%message.PageSize != 0 {
			d.do(free(a))
		}
	}
	s := d.Status()
	if s.Used != pages*small || s.Resident != pages*message.PageSize || s.Held != s.Resident || s.Room != message.PageSize-small {
		t.Fatalf("%+v", s)
	}
	if r := d.do(malloc(message.PageSize)); r.Code != message.OutOfMemory || r.Value != s.Room {
		t.Errorf("a page: %+v", r)
	}
	if r := d.do(malloc(s.Room)); r.Code != message.Done || d.Status().Resident > s.Capacity {
		t.Errorf("what there is room for: %+v", r)
	}
	d.do(free(all[len(all)-message.PageSize/small]))
	if r := d.do(malloc(message.PageSize)); r.Code != message.Done {
		t.Errorf("after a page came free: %+v", r)
	}
	if r := d.do(message.New(message.CAPACITY)); r.Value != pages*message.PageSize {
		t.Errorf("the capacity fell to %d below what is held", r.Value)
	}
	if err := d.Verify(); err != nil {
		t.Error(err)
	}
}

// A home takes addresses for all of its allocation, and pages for its first block.
func TestHomesHoldTheirFirstBlock(t *testing.T) {
	d := &driver{Company: New(Config{ID: 1, Capacity: 4 * message.PageSize})}
	r := d.do(msg(message.COMMIT, func(m *message.Message) {
		m.Txn.Seq, m.Size, m.Value = 1, 100*message.PageSize, 3*message.PageSize
		m.Blocks = []message.Block{{Size: 97 * message.PageSize, Company: 2, Behind: message.CompanyID(2).Base() + message.PageSize}}
	}))
	if s := d.Status(); r.Code != message.Done || s.Held != 3*message.PageSize || s.Room != message.PageSize {
		t.Fatalf("%+v %+v", r, s)
	}
	if err := d.Verify(); err != nil {
		t.Error(err)
	}
}
