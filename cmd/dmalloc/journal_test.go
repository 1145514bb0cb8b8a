package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// The journal keeps whole lines, the last ones, within its bound.
func TestJournal(t *testing.T) {
	j := &journal{}
	for i := range 20_000 {
		fmt.Fprintf(j, "line %d of a log that is long\n", i)
		if len(j.kept) > journalBytes {
			t.Fatalf("after line %d it holds %d bytes", i, len(j.kept))
		}
	}
	kept := string(j.Last())
	if !strings.HasPrefix(kept, "line ") || !strings.HasSuffix(kept, "line 19999 of a log that is long\n") || len(kept) < journalBytes-100 {
		t.Errorf("%d bytes from %.40q on", len(kept), kept)
	}
	first := &journal{}
	_, _ = first.Write([]byte("one\n"))
	if got := string(first.Last()); got != "one\n" {
		t.Errorf("%q", got)
	}
	if _, _ = first.Write(bytes.Repeat([]byte("x"), 2*journalBytes)); len(first.kept) > journalBytes {
		t.Errorf("a line that is too long left %d bytes", len(first.kept))
	}
}
