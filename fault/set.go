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

// MaxFaults bounds a Set. Beyond it Add says Busy.
const MaxFaults = 256

// Set holds the faults of a cluster in the order of their beginning. The zero value has none.
type Set struct {
	last   uint64 // id given last; never smaller than any in faults
	faults []Fault
}

// Add begins a fault and returns it with its id.
func (s *Set) Add(f Fault) (Fault, error) {
	if len(s.faults) >= MaxFaults {
		return Fault{}, message.Errorf(message.Busy, "%d faults last already and no more are kept: `heal` some before %s", MaxFaults, f)
	}
	s.last++
	f = f.clone()
	f.ID = s.last
	s.faults = append(s.faults, f)
	return f.clone(), nil
}

// List is a copy of the faults in the order of their beginning.
func (s Set) List() []Fault {
	all := make([]Fault, len(s.faults))
	for i, f := range s.faults {
		all[i] = f.clone()
	}
	return all
}

// Heal ends the faults that are chosen and returns them.
func (s *Set) Heal(c Choice) []Fault {
	return s.end(c.matches)
}

// Expire ends the faults whose time is over and returns them.
func (s *Set) Expire(now time.Time) []Fault {
	return s.end(func(f Fault) bool { return !f.Until.IsZero() && !f.Until.After(now) })
}

// Next is when Expire has something to do, and false if no fault ends by itself.
func (s Set) Next() (first time.Time, ok bool) {
	for _, f := range s.faults {
		if !f.Until.IsZero() && (!ok || f.Until.Before(first)) {
			first, ok = f.Until, true
		}
	}
	return first, ok
}

func (s *Set) end(match func(Fault) bool) (ended []Fault) {
	var left []Fault
	for _, f := range s.faults {
		if match(f) {
			ended = append(ended, f)
		} else {
			left = append(left, f)
		}
	}
	s.faults = left
	return ended
}

// Choice is what to heal. The zero value is everything.
type Choice struct {
	ID    uint64 // this one; 0: any
	Kinds []Kind // of these kinds; none: any
}

func (c Choice) matches(f Fault) bool {
	return (c.ID == 0 || f.ID == c.ID) && (len(c.Kinds) == 0 || slices.Contains(c.Kinds, f.Kind))
}

// chosen are the words after heal. Both directions of partition go by one word, for one command makes both.
var chosen = []struct {
	words string
	kinds []Kind
}{
	{"partition", []Kind{Partition, OneWay}},
	{"slow", []Kind{Slow}},
	{"drop", []Kind{Drop}},
	{"disk", []Kind{DiskFull, DiskSlow}},
	{"disk full", []Kind{DiskFull}},
	{"disk slow", []Kind{DiskSlow}},
	{"clock", []Kind{Clock}},
}

// ParseChoice reads what to heal: nothing for everything, the number of a fault, or a kind.
func ParseChoice(words []string) (Choice, error) {
	joined := strings.Join(words, " ")
	if joined == "" {
		return Choice{}, nil
	}
	var known []string
	for _, c := range chosen {
		if c.words == joined {
			return Choice{Kinds: slices.Clone(c.kinds)}, nil
		}
		known = append(known, c.words)
	}
	if id, err := strconv.ParseUint(joined, 10, 64); err == nil && id > 0 {
		return Choice{ID: id}, nil
	}
	return Choice{}, message.Errorf(message.InvalidArgument,
		"%s cannot be healed: use the number of a fault, as `faults` lists them, or one of %s, or nothing for all", message.Quote(joined), strings.Join(known, ", "))
}

// keptSet is a Set in JSON.
type keptSet struct {
	Last   uint64  `json:"last"`
	Faults []Fault `json:"faults"`
}

func (s Set) MarshalJSON() ([]byte, error) {
	return json.Marshal(keptSet{s.last, s.List()})
}

// UnmarshalJSON takes what MarshalJSON made. What an older file could not have held is refused.
func (s *Set) UnmarshalJSON(b []byte) error {
	var k keptSet
	if err := json.Unmarshal(b, &k); err != nil {
		return fmt.Errorf("read the kept faults: %w", err)
	}
	if len(k.Faults) > MaxFaults {
		return message.Errorf(message.InvalidArgument, "read the kept faults: %d are more than %d", len(k.Faults), MaxFaults)
	}
	before := uint64(0)
	for _, f := range k.Faults {
		if f.ID <= before || f.ID > k.Last {
			return message.Errorf(message.InvalidArgument, "read the kept faults: number %d of %s is not between %d and %d", f.ID, f, before+1, k.Last)
		}
		before = f.ID
	}
	s.last, s.faults = k.Last, k.Faults
	return nil
}
