package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const (
	MaxJobAddresses = 1024     // addresses that one job is given
	MaxJobModule    = 16 << 20 // bytes of a module
	MaxJobName      = 64       // bytes of a module's name
	MaxJobResult    = 512 << 10
	MaxJobArgs      = 64 << 10
)

// JobRequest asks for work where its data is.
type JobRequest struct {
	Job       string          `json:"job"` // a built-in, or the name of a module
	Addresses []JobAddress    `json:"addresses"`
	Args      json.RawMessage `json:"args,omitempty"` // any JSON; the job knows what it means
}

// JobResult is what a job answered, and what it cost.
type JobResult struct {
	Job         string          `json:"job"`
	Node        NodeID          `json:"node"`         // where it ran
	Result      json.RawMessage `json:"result"`       // any JSON
	LocalBytes  uint64          `json:"local_bytes"`  // bytes it read of what its node holds
	RemoteBytes uint64          `json:"remote_bytes"` // bytes it read of what only others hold
	Holds       map[NodeID]int  `json:"holds"`        // how many of the addresses each node holds
	Millis      float64         `json:"job_ms"`       // from its start to its end
}

// JobAddress is a register or a heap address. In text and JSON a number in the heap's windows is a heap
// address and any other a register; "reg:N" and "heap:A" say which. Numbers over 2^53 are written as
// strings in JSON.
type JobAddress struct {
	Heap   bool
	Number uint64
}

// ParseJobAddress reads 1, 0x500000001000, reg:1 or heap:0x500000001000.
func ParseJobAddress(s string) (JobAddress, error) {
	word, rest, named := strings.Cut(s, ":")
	if !named {
		rest = s
	} else if word != "reg" && word != "heap" {
		return JobAddress{}, Errorf(InvalidArgument, "%s is not the address of a job: use a number, reg:N or heap:A", Quote(s))
	}
	a, err := ParseAddr(rest)
	if err != nil {
		return JobAddress{}, err
	}
	_, inHeap := a.Company()
	if named {
		if word == "heap" && !inHeap {
			return JobAddress{}, Errorf(InvalidArgument, "%s lies outside of the heap, which begins at %s", Quote(s), Addr(HeapBase))
		}
		inHeap = word == "heap"
	}
	return JobAddress{Heap: inHeap, Number: uint64(a)}, nil
}

// String is the shortest form that ParseJobAddress reads as the same.
func (a JobAddress) String() string {
	_, inHeap := Addr(a.Number).Company()
	switch {
	case a.Heap:
		return Addr(a.Number).String()
	case inHeap:
		return fmt.Sprintf("reg:%d", a.Number)
	}
	return strconv.FormatUint(a.Number, 10)
}

// Register is the register that it names, if it is one.
func (a JobAddress) Register() RegisterID { return RegisterID{Address: a.Number} }

// MarshalJSON writes a number where it is exact for everybody, else a string.
func (a JobAddress) MarshalJSON() ([]byte, error) {
	if s := a.String(); !a.Heap && a.Number < 1<<53 && !strings.Contains(s, ":") {
		return []byte(s), nil
	}
	return json.Marshal(a.String())
}

// UnmarshalJSON reads a number or a string.
func (a *JobAddress) UnmarshalJSON(b []byte) (err error) {
	s := string(bytes.TrimSpace(b))
	if strings.HasPrefix(s, `"`) {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	*a, err = ParseJobAddress(s)
	return err
}

// CheckJobName says why a name is none for a module, nil if it is one.
func CheckJobName(name string) error {
	ok := name != "" && len(name) <= MaxJobName
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return Errorf(InvalidArgument, "%s is not a name for a job: use up to %d letters, digits, - _ and . after the first", Quote(name), MaxJobName)
	}
	return nil
}
