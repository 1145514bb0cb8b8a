package repl

import (
	"bytes"
	"errors"
	"testing"
)

// Everything arrives, in order, and each side's failure ends both.
func TestRelay(t *testing.T) {
	for _, size := range []uint64{0, 1, relayed, relayed + 1, 3*relayed + 7} {
		var got uint64
		err := relay(size, func(at uint64, p []byte) error {
			for i := range p {
				p[i] = byte(at>>20) + 1
			}
			return nil
		}, func(at uint64, p []byte) error {
			if at != got || !bytes.Equal(p, bytes.Repeat([]byte{byte(at>>20) + 1}, len(p))) {
				t.Errorf("of %d bytes %d came at %d, not at %d, or others", size, len(p), at, got)
			}
			got += uint64(len(p))
			return nil
		})
		if err != nil || got != size {
			t.Errorf("of %d bytes %d came: %v", size, got, err)
		}
	}
	broken := errors.New("broken")
	for at := range uint64(4) {
		fails := func(now uint64, _ []byte) error {
			if now == at*relayed {
				return broken
			}
			return nil
		}
		drained := uint64(0)
		err := relay(4*relayed, fails, func(uint64, []byte) error { drained++; return nil })
		if !errors.Is(err, broken) || drained != at {
			t.Errorf("part %d could not be read, and %d were written: %v", at, drained, err)
		}
		if err := relay(4*relayed, func(uint64, []byte) error { return nil }, fails); !errors.Is(err, broken) {
			t.Errorf("part %d could not be written: %v", at, err)
		}
	}
}
