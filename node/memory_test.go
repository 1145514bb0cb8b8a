package node

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"dmalloc/message"
)

type cached struct{ held, budget uint64 }

func (c *cached) Held() uint64       { return c.held }
func (c *cached) SetBudget(n uint64) { c.budget = n; c.held = min(c.held, n) }

// The cache gives way to what cannot be given up, and the collector to what it does not see.
func TestStaysWithin(t *testing.T) {
	const mib = 1 << 20
	c := &cached{held: 64 * mib}
	m := memory{cached: c}
	var limits []uint64
	var last uint64
	for _, step := range []struct {
		name           string
		pages, outside uint64
		told, budget   uint64
	}{
		{"at the start", 0, 24 * mib, 296 * mib, 64 * mib},
		{"nothing new", 0, 24 * mib, 0, 64 * mib},
		{"a little more", 0, 24*mib + 5, 0, 64 * mib},
		{"a full heap", 64 * mib, 24 * mib, 0, 64 * mib},
		{"tables", 64 * mib, 50 * mib, 270 * mib, 64 * mib},
		{"more than there may be", 200 * mib, 24 * mib, 296 * mib, 24 * mib},
		{"far more", 2000 * mib, 24 * mib, 0, 0},
		{"all well again", 0, 24 * mib, 0, 64 * mib},
	} {
		limits = nil
		u := message.MemoryUse{Pages: step.pages, Cache: c.held}.WithLimits(64*mib, 64*mib)
		m.within(u, step.outside, func(n uint64, _ int) {
			if n != last { // else it is told of the growth
				limits, last = append(limits, n), n
			}
		})
		if len(limits) != int(min(step.told, 1)) || step.told > 0 && limits[0] != step.told {
			t.Errorf("%s: the collector was told %d, want %d", step.name, limits, step.told)
		}
		if c.budget != step.budget || c.held > c.budget {
			t.Errorf("%s: the cache may keep %d, want %d", step.name, c.budget, step.budget)
		}
	}
	(&memory{}).within(message.MemoryUse{}, 1, nil) // nobody to tell
}

// Pages do not let garbage grow, tables do: it is them that the collector has to go through.
func TestGrowth(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		pages, cache, tables uint64
		want                 int
	}{
		{0, 0, 0, 100}, {64 * mib, 0, 0, 100}, {128 * mib, 0, 0, 65}, {512 * mib, 0, 0, 20}, {256 * mib, 256 * mib, 0, 20}, {1 << 30, 0, 0, 10},
		{1 << 40, 0, 0, 5}, {512 * mib, 0, 1 << 30, 70}, {0, 0, 1 << 40, 100},
	} {
		u := message.MemoryUse{Pages: c.pages, Cache: c.cache, Tables: c.tables}
		if got := growthOf(u); got != c.want {
			t.Errorf("%+v: %d %%, want %d", c, got, c.want)
		}
	}
	m, told := memory{}, []int{}
	for _, pages := range []uint64{0, 1 * mib, 512 * mib, 513 * mib, 0} {
		m.within(message.MemoryUse{Pages: pages}, 0, func(_ uint64, percent int) { told = append(told, percent) })
	}
	if !slices.Equal(told, []int{100, 20, 100}) {
		t.Errorf("the collector was told %d", told)
	}
}

func TestMemoryMetrics(t *testing.T) {
	var b bytes.Buffer
	writeMemory(&b, message.MemoryUse{Pages: 3, Log: 4}.WithLimits(10, 20).WithResident(9))
	for _, line := range []string{`dmalloc_memory_bytes{part="pages"} 3`, `dmalloc_memory_bytes{part="log"} 4`, `dmalloc_memory_bytes{part="other"} 2`,
		"dmalloc_memory_resident_bytes 9", "dmalloc_memory_limit_bytes 201326622"} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("%s is not in\n%s", line, &b)
		}
	}
}
