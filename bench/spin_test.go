package bench

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestSpin(t *testing.T) {
	var calls atomic.Int64
	bad := errors.New("bad")
	row, err := Spin(t.Context(), "spin", 3, 10, 0, 50*time.Millisecond, func(_, turn int) error {
		calls.Add(1)
		if turn%2 == 1 {
			return bad
		}
		return nil
	})
	if err != bad || row.Count+row.Errors != int(calls.Load()) || row.Errors == 0 || row.Operation != "spin" || row.PerSecond != float64(row.Count)/0.05 {
		t.Errorf("%+v %v of %d", row, err, calls.Load())
	}
}
