package fault

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
)

// Kind is what a fault does.
type Kind uint8

const (
	Partition Kind = iota + 1
	OneWay
	Slow
	Drop
	DiskFull
	DiskSlow
	Clock

	kindEnd
)

var kinds = [...]string{Partition: "partition", OneWay: "one-way", Slow: "slow", Drop: "drop",
	DiskFull: "disk full", DiskSlow: "disk slow", Clock: "clock"}

func (k Kind) String() string {
	if k > 0 && k < kindEnd {
		return kinds[k]
	}
	return fmt.Sprintf("kind_%d", uint8(k))
}

const (
	MaxDelay = time.Minute    // of a frame or a sync, also by several faults together
	MaxClock = 24 * time.Hour // that a clock is wrong by, also by several faults together
)

// Fault is one thing that is wrong until it is healed. Which fields count depends on the kind.
type Fault struct {
	ID     uint64 // within its Set; 0 outside
	Kind   Kind
	Groups [][]message.NodeID // Partition: two or more, disjoint. OneWay: the first cannot reach the second
	Node   message.NodeID     // whose disk or clock it is; one end of Slow and Drop
	Other  message.NodeID     // the other end of Slow and Drop
	By     time.Duration      // Slow, DiskSlow, Clock
	Loss   float64            // Drop: percent, above 0
	Until  time.Time          // when it heals by itself; zero: never
}

// String is the fault as Parse reads it.
func (f Fault) String() string {
	switch f.Kind {
	case Partition:
		return "partition " + groupWords(f.Groups, "|")
	case OneWay:
		return "partition " + groupWords(f.Groups, ">")
	case Slow:
		return fmt.Sprintf("slow %s %s %s", f.Node, f.Other, f.By)
	case Drop:
		return fmt.Sprintf("drop %s %s %s%%", f.Node, f.Other, strconv.FormatFloat(f.Loss, 'f', -1, 64))
	case DiskFull:
		return fmt.Sprintf("disk full %s", f.Node)
	case DiskSlow:
		return fmt.Sprintf("disk slow %s %s", f.Node, f.By)
	case Clock:
		if f.By >= 0 {
			return fmt.Sprintf("clock %s +%s", f.Node, f.By)
		}
		return fmt.Sprintf("clock %s %s", f.Node, f.By)
	}
	return f.Kind.String()
}

func groupWords(groups [][]message.NodeID, between string) string {
	words := make([]string, len(groups))
	for i, g := range groups {
		ids := make([]string, len(g))
		for j, n := range g {
			ids[j] = n.String()
		}
		words[i] = strings.Join(ids, ",")
	}
	return strings.Join(words, between)
}

func (f Fault) clone() Fault {
	f.Groups = slices.Clone(f.Groups)
	for i := range f.Groups {
		f.Groups[i] = slices.Clone(f.Groups[i])
	}
	return f
}

// kept is a fault in JSON: the words say everything, the kind is there for readers.
type kept struct {
	ID    uint64    `json:"id"`
	Kind  string    `json:"kind"`
	Fault string    `json:"fault"`
	Until time.Time `json:"until,omitzero"`
}

func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(kept{f.ID, f.Kind.String(), f.String(), f.Until})
}

// UnmarshalJSON takes what MarshalJSON made, and refuses what Parse would refuse.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	parsed, err := Parse(strings.Fields(k.Fault), message.MaxNodes)
	if err != nil {
		return err
	}
	parsed.ID, parsed.Until = k.ID, k.Until
	*f = parsed
	return nil
}
