package node

import (
	"bytes"
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
		m.within(u, step.outside, func(n uint64) { limits = append(limits, n) })
		if len(limits) != int(min(step.told, 1)) || step.told > 0 && limits[0] != step.told {
			t.Errorf("%s: the collector was told %d, want %d", step.name, limits, step.told)
		}
		if c.budget != step.budget || c.held > c.budget {
			t.Errorf("%s: the cache may keep %d, want %d", step.name, c.budget, step.budget)
		}
	}
	(&memory{}).within(message.MemoryUse{}, 1, nil) // nobody to tell
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
