package message

import (
	"errors"
	"fmt"
	"net/http"
)

// Code classes an outcome. Numbers cross the wire and never change their meaning: append only.
type Code uint8

const (
	Done Code = iota // success
	InvalidArgument
	NotAllocated
	AlreadyFree
	OutOfMemory
	OutOfBounds
	NoSuchNode
	AlreadyDead
	AlreadyAlive
	Unavailable // no majority now
	Timeout
	Unsupported
	NotLeader  // go to Final, or ask another owner
	Stale      // the sender's directory is older than Epoch: fetch it again
	Retry      // the outcome is unknown here: send the same seq again
	TooOld     // the seq lies below the client's own low
	Elsewhere  // the address is backed by the Blocks in the answer
	Leased     // a foreign lease forbids it
	Busy       // a bounded queue was full, nothing was done
	Internal   // a defect of dmalloc
	Corrupt    // kept files were altered
	Canceled   // the caller gave up
	Aborted    // the transaction was aborted before
	Forbidden  // the caller may not do this
	NotWritten // nothing was written to the register, or nothing of it is here
	NoSuchJob  // no module of jobs has this name
	JobFailed  // the job itself failed, and nothing else did
	Broken     // a check has found that a promise was not kept
	Fenced     // the lease or the term under which it was asked is over

	codeEnd
)

var codes = [...]struct {
	word   string
	status int
}{
	Done:            {"ok", http.StatusOK},
	InvalidArgument: {"invalid_argument", http.StatusBadRequest},
	NotAllocated:    {"not_allocated", http.StatusNotFound},
	AlreadyFree:     {"already_free", http.StatusConflict},
	OutOfMemory:     {"out_of_memory", http.StatusInsufficientStorage},
	OutOfBounds:     {"out_of_bounds", http.StatusBadRequest},
	NoSuchNode:      {"no_such_node", http.StatusNotFound},
	AlreadyDead:     {"already_dead", http.StatusConflict},
	AlreadyAlive:    {"already_alive", http.StatusConflict},
	Unavailable:     {"unavailable", http.StatusServiceUnavailable},
	Timeout:         {"timeout", http.StatusGatewayTimeout},
	Unsupported:     {"unsupported", http.StatusNotImplemented},
	NotLeader:       {"not_leader", http.StatusServiceUnavailable},
	Stale:           {"stale", http.StatusServiceUnavailable},
	Retry:           {"retry", http.StatusServiceUnavailable},
	TooOld:          {"too_old", http.StatusConflict},
	Elsewhere:       {"elsewhere", http.StatusServiceUnavailable},
	Leased:          {"leased", http.StatusConflict},
	Busy:            {"busy", http.StatusServiceUnavailable},
	Internal:        {"internal", http.StatusInternalServerError},
	Corrupt:         {"corrupt", http.StatusInternalServerError},
	Canceled:        {"canceled", 499},
	Aborted:         {"aborted", http.StatusConflict},
	Forbidden:       {"forbidden", http.StatusForbidden},
	NotWritten:      {"not_written", http.StatusNotFound},
	NoSuchJob:       {"no_such_job", http.StatusNotFound},
	JobFailed:       {"job_failed", http.StatusUnprocessableEntity},
	Broken:          {"broken", http.StatusInternalServerError},
	Fenced:          {"fenced", http.StatusConflict},
}

// String is the code's word, as JSON answers carry it.
func (c Code) String() string {
	if c < codeEnd {
		return codes[c].word
	}
	return fmt.Sprintf("code_%d", uint8(c))
}

// HTTPStatus is the status that an HTTP answer with this code has.
func (c Code) HTTPStatus() int {
	if c < codeEnd {
		return codes[c].status
	}
	return http.StatusInternalServerError
}

// Valid says whether the code has a meaning in this version.
func (c Code) Valid() bool { return c < codeEnd }

// Codes lists every code, for tables in documents and tests.
func Codes() []Code {
	all := make([]Code, codeEnd)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// ParseCode finds the code of a word.
func ParseCode(word string) (Code, bool) {
	for c := range codes {
		if codes[c].word == word {
			return Code(c), true
		}
	}
	return 0, false
}

// Error is a refusal or failure with its class. It crosses the wire as Status and Text.
type Error struct {
	Op   string // what was being done, as "block.Free"; may be empty
	Code Code
	Text string // names what was asked, what is true and what to do next
	Err  error  // the cause, where there is one; does not cross the wire
}

func (e *Error) Error() string {
	s := e.Text
	if s == "" {
		s = e.Code.String()
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) ask for the class alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Op == "" && t.Text == ""
}

// Errorf makes an Error of a class.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Text: fmt.Sprintf(format, args...)}
}

// CodeOf is the class of an error: Done for nil, Internal for one that has none.
func CodeOf(err error) Code {
	if err == nil {
		return Done
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
