package transport

import (
	"fmt"

	"dmalloc/message"
)

// LinkError says why a request has no answer. It unwraps to a *message.Error with its Code.
type LinkError struct {
	To   message.NodeID
	Code message.Code // Unavailable, Busy, Timeout, Canceled, InvalidArgument
	Sent bool         // the request may have reached the node; false: certainly not
	Text string
	Err  error // the cause, where there is one
}

func (e *LinkError) Error() string {
	known := "nothing was sent"
	if e.Sent {
		known = "whether it arrived is not known"
	}
	text := e.Text
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return fmt.Sprintf("node %s: %s; %s", e.To, text, known)
}

// MaybeSent says whether the request may have reached the node.
func (e *LinkError) MaybeSent() bool { return e.Sent }

func (e *LinkError) Unwrap() []error {
	errs := []error{&message.Error{Code: e.Code, Text: e.Text}}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

func unsent(to message.NodeID, code message.Code, format string, args ...any) *LinkError {
	return &LinkError{To: to, Code: code, Text: fmt.Sprintf(format, args...)}
}
