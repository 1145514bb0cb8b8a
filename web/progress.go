package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"dmalloc/message"
)

// progress is how many bytes must pass within Limits.Stall, in either direction.
const progress = 64 << 10

// upload reads a body as long as it makes progress (W2).
type upload struct {
	from    io.Reader
	control *http.ResponseController
	stall   time.Duration
	since   int // bytes since the deadline was set
	started bool
	ended   bool
}

// resume starts the deadline anew, after the body had to wait for the heap.
func (u *upload) resume() { u.started = false }

func (u *upload) Read(p []byte) (int, error) {
	if u.ended {
		return 0, io.EOF
	}
	if !u.started || u.since >= progress {
		u.started, u.since = true, 0
		_ = u.control.SetReadDeadline(time.Now().Add(u.stall)) // a test's recorder has no deadlines
	}
	n, err := u.from.Read(p)
	u.since += n
	if err == io.EOF {
		// net/http now watches for the client hanging up; that must not time out while the handler works.
		u.ended = true
		_ = u.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// bodyError says what went wrong while a body was read.
func bodyError(err error) error {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(over.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{http.StatusRequestTimeout, message.Timeout.String(), "the body came too slowly or stopped; what was not yet written is not written; send it again"}
	}
	return message.Errorf(message.InvalidArgument, "the body could not be read to its end: %v", err)
}

func tooLarge(limit int64) error {
	return &failure{http.StatusRequestEntityTooLarge, "too_large", "the body is over " + message.FormatSize(uint64(limit)) + ", the most that this request takes; send less at once"}
}

// answer is a ResponseWriter that remembers what was sent and gives up on a reader that takes nothing (W2).
type answer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	status  int // 0 until the header is sent
}

func newAnswer(w http.ResponseWriter, stall time.Duration) *answer {
	a := &answer{w: w, control: http.NewResponseController(w), stall: stall}
	a.extend() // also for "100 Continue", under a deadline that the connection's last request has left
	return a
}

// extend gives twice the time: before an answer, net/http waits for the rest of a body that nobody read.
func (a *answer) extend() { _ = a.control.SetWriteDeadline(time.Now().Add(2 * a.stall)) }

func (a *answer) Header() http.Header { return a.w.Header() }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		a.extend()
		a.w.WriteHeader(status)
	}
}

func (a *answer) Write(p []byte) (n int, err error) {
	a.WriteHeader(http.StatusOK)
	for len(p) > 0 && err == nil {
		var k int
		a.extend()
		k, err = a.w.Write(p[:min(len(p), progress)])
		n, p = n+k, p[k:]
	}
	return n, err
}

// Unwrap lets an http.ResponseController find the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.w }
