package client

import (
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

// Who asks for too much is told where there is room.
func TestFullSaysWhereThereIsRoom(t *testing.T) {
	const page = message.PageSize
	c := newCompanies(0, false)
	h := c.heap(t)
	refused := func(size uint64, want ...string) {
		t.Helper()
		_, err := h.Malloc(t.Context(), size)
		if message.CodeOf(err) != message.OutOfMemory {
			t.Fatalf("%d bytes: %v", size, err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%d bytes: %v; it does not say %q", size, err, w)
			}
		}
	}
	refused(10<<30, "10GiB were asked for", "96KiB are free in all", "the largest free piece is 32KiB in company 1 (nodes 0)", "32KiB in company 2 (nodes 0)", "free something with f", "node add")
	if _, err := h.Malloc(t.Context(), 6*page); err != nil {
		t.Fatal(err)
	}
	refused(20*page, "72KiB are free in all; the largest free piece is 32KiB in company 2 (nodes 0), then 32KiB in company 3 (nodes 0), then 8KiB in company 1")
	if _, err := h.Malloc(t.Context(), 18*page); err != nil {
		t.Fatal(err)
	}
	refused(1, "1 were asked for, and every company is full; free something with f, or add a node with node add")
	other := c.heap(t) // believes that there is room until it asks
	h = other
	refused(page, "every company is full")
	for _, x := range c.all {
		if err := x.Verify(); err != nil {
			t.Error(err)
		}
	}
}

func TestFullNamesWhoWasNotAsked(t *testing.T) {
	all := []space{{1, 1 << 20, []message.NodeID{0, 1, 2}, false}, {2, 1 << 20, []message.NodeID{1, 2, 3}, true}}
	for i := range 6 {
		all = append(all, space{message.CompanyID(3 + i), 4096, []message.NodeID{4}, false})
	}
	err := full(2<<20, all)
	s := err.Error()
	for _, want := range []string{"2MiB were asked for, and no company has as much, nor have all together in whole pages: 1048KiB are free in all; ",
		"the largest free piece is 1MiB in company 1 (nodes 0,1,2), then 4KiB in company 3", "; without a leader and not asked: company 2; ask for less"} {
		if !strings.Contains(s, want) {
			t.Errorf("%s; it does not say %q", s, want)
		}
	}
	if strings.Count(s, " 4KiB") != placesTold-1 {
		t.Error(s)
	}
	h := &Heap{rooms: map[message.CompanyID]room{1: {bytes: 5}, 2: {bytes: 7, avoid: time.Now().Add(time.Hour)}}}
	h.dir.Store(&message.Directory{Companies: make([]message.Company, 3)})
	if s := h.spaces(); len(s) != 2 || s[0].id != 2 || !s[0].away || s[1].away {
		t.Errorf("%+v", s)
	}
}
