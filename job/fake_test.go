package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"dmalloc/message"
)

// store is Data in memory. It answers from a copy of what it has, and can be made to fail.
type store struct {
	mu    sync.Mutex
	cells map[message.JobAddress][]byte
	fail  error
	step  int // most bytes that one ReadAt answers, all if 0
}

func newStore(cells map[message.JobAddress]string) *store {
	s := &store{cells: make(map[message.JobAddress][]byte)}
	for _, a := range slices.Collect(maps.Keys(cells)) {
		s.cells[a] = []byte(cells[a])
	}
	return s
}

func reg(n uint64) message.JobAddress { return message.JobAddress{Number: n} }
func heap(n uint64) message.JobAddress {
	return message.JobAddress{Heap: true, Number: message.HeapBase + n}
}

func (s *store) get(a message.JobAddress) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	b, ok := s.cells[a]
	if !ok && a.Heap {
		return nil, message.Errorf(message.NotAllocated, "nothing is allocated there")
	} else if !ok {
		return nil, message.Errorf(message.NotWritten, "nothing was written to it")
	}
	return b, nil
}

func (s *store) Size(_ context.Context, a message.JobAddress) (uint64, error) {
	b, err := s.get(a)
	return uint64(len(b)), err
}

func (s *store) ReadAt(_ context.Context, p []byte, a message.JobAddress, offset uint64) (int, error) {
	b, err := s.get(a)
	if err != nil {
		return 0, err
	}
	if offset >= uint64(len(b)) {
		return 0, io.EOF
	}
	if s.step > 0 && len(p) > s.step {
		p = p[:s.step]
	}
	return copy(p, b[offset:]), nil
}

func (s *store) WriteAt(_ context.Context, p []byte, a message.JobAddress, offset uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.Heap {
		s.cells[a] = p // it may keep it
		return nil
	}
	if offset+uint64(len(p)) > uint64(len(s.cells[a])) {
		return message.Errorf(message.OutOfBounds, "outside of the block")
	}
	copy(s.cells[a][offset:], p)
	return nil
}

func request(name, args string, addresses ...message.JobAddress) message.JobRequest {
	return message.JobRequest{Job: name, Args: json.RawMessage(args), Addresses: addresses}
}

// bring is the Module that a node would fetch.
func bring(module []byte) Module {
	return func(context.Context) (string, []byte, error) {
		sum := sha256.Sum256(module)
		return hex.EncodeToString(sum[:]), module, nil
	}
}

func newRunner(t testing.TB, c Config) *Runner {
	r := New(c)
	t.Cleanup(r.Close)
	return r
}

// failed checks an error's class and that its text has each word.
func failed(t *testing.T, err error, code message.Code, words ...string) {
	t.Helper()
	if message.CodeOf(err) != code || err == nil {
		t.Fatalf("code %v instead of %v: %v", message.CodeOf(err), code, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
	if n := len(err.Error()); n > message.MaxText {
		t.Errorf("an error of %d bytes", n)
	}
}
