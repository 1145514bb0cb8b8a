package repl

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// A table of allocations asks for the leases once, and is there without them too.
func TestTableAndLeases(t *testing.T) {
	for _, tt := range []struct {
		name      string
		leases    error
		says, not string
	}{
		{"all are known", nil, "25 allocations, 25 bytes", "leases"},
		{"a company is down", message.Errorf(message.Unavailable, "company 2 has no majority"), "; leases are not all shown: company 2 has no majority", ""},
		{"in time there are none", context.DeadlineExceeded, "could not be had in time", ""},
		{"nodes know none", message.Errorf(message.Unsupported, "node 0 does not answer LEASES"), "25 allocations, 25 bytes", "LEASES"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			for range 25 {
				f.allocs[f.next] = make([]byte, 1)
				f.next += message.PageSize
			}
			f.noLeases = tt.leases
			status, out, err := runOn(t, f, Options{Commands: []string{"t"}})
			if status != ExitOK || strings.Count(out, "\n") != 26 || !strings.Contains(err, tt.says) || tt.not != "" && strings.Contains(err, tt.not) || f.askLeases != 1 {
				t.Errorf("status %d, out %q, err %q, %d questions", status, out, err, f.askLeases)
			}
		})
	}
}

// Those leases that could be had are shown beside the error.
func TestSomeLeases(t *testing.T) {
	f := newFake()
	f.leases = []message.Lease{{Address: 0x500000001000, Size: 4096, Mode: "w", Token: 17, Holder: 1, LeftMS: 1500}}
	f.noLeases = message.Errorf(message.Unavailable, "company 2 has no majority")
	status, out, err := runOn(t, f, Options{Commands: []string{"leases"}})
	if status != ExitFailed || !strings.Contains(out, "0x500000001000  4096  w        17       1     1500") || !strings.Contains(err, "these are not all: company 2 has no majority") {
		t.Errorf("status %d, out %q, err %q", status, out, err)
	}
	_, out, _ = runOn(t, f, Options{Commands: []string{"leases"}, Output: "json"})
	var v struct {
		OK     bool
		Error  struct{ Code string }
		Leases []message.Lease
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.OK || v.Error.Code != "unavailable" || len(v.Leases) != 1 || v.Leases[0].LeftMS != 1500 {
		t.Errorf("%s: %v", out, err)
	}
}

// What stands in the way is said with the code that scripts look for.
func TestLeasedBySomebodyElse(t *testing.T) {
	f := newFake()
	f.allocs[0x500000001000] = make([]byte, 10)
	f.leases = []message.Lease{{Address: 0x500000001000, Size: 4096, Mode: "w", Token: 17, Holder: 1}}
	_, out, _ := runOn(t, f, Options{Commands: []string{"lease 0x500000001000 r; release 0x500000001000"}, Output: "json"})
	if !strings.Contains(out, `"code":"leased"`) || !strings.Contains(out, `"code":"fenced"`) {
		t.Error(out)
	}
}

// Leases are found by what they cover, as if all were looked at.
func TestLeasesOfAnAllocation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		page := func(name string, least, most int) message.Addr {
			return message.Addr(rapid.IntRange(least, most).Draw(t, name)) * message.PageSize
		}
		var all []message.Lease
		for i := range rapid.IntRange(0, 12).Draw(t, "leases") {
			all = append(all, message.Lease{Address: message.HeapBase + page("at", 0, 20), Size: uint64(page("size", 1, 6)), Mode: "r", Token: uint64(i + 1)})
		}
		x := message.Allocation{}
		for range rapid.IntRange(0, 3).Draw(t, "blocks") {
			a := message.HeapBase + page("block", 1, 20) + message.Addr(rapid.IntRange(0, 4095).Draw(t, "into"))
			x.Blocks = append(x.Blocks, message.Block{Address: a, Behind: a, Size: uint64(rapid.IntRange(1, 20000).Draw(t, "bytes"))})
		}
		var want []uint64
		for _, b := range x.Blocks {
			for _, l := range newLeased(all).all {
				if l.Address < b.Behind+message.Addr(b.Size) && b.Behind < l.Address+message.Addr(l.Size) {
					want = append(want, l.Token)
				}
			}
		}
		var got []uint64
		for _, l := range newLeased(all).of(x) {
			got = append(got, l.Token)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestLeasesEnd(t *testing.T) {
	f := newFake()
	f.hang = true
	for _, line := range []string{"lease 0x500000001000 w", "release 0x500000001000", "leases", "sync", "sync 0x500000001000"} {
		if status, out, err := runOn(t, f, Options{Commands: []string{line}, Timeout: 10 * time.Millisecond}); status != ExitFailed {
			t.Errorf("%s: status %d, out %q, err %q", line, status, out, err)
		}
	}
}
