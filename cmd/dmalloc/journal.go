package main

import (
	"bytes"
	"sync"
)

// journalBytes is how much of a node's log is kept for those who ask later.
const journalBytes = 256 << 10

// journal keeps the last lines that were written to it.
type journal struct {
	mu   sync.Mutex // guards what follows
	kept []byte     // whole lines
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kept = append(j.kept, p...)
	if over := len(j.kept) - journalBytes; over > 0 {
		// A line that is longer than all that is kept goes as a whole.
		_, rest, _ := bytes.Cut(j.kept[over-1:], []byte("\n"))
		j.kept = append(make([]byte, 0, 2*journalBytes), rest...)
	}
	return len(p), nil
}

// Last is what is kept.
func (j *journal) Last() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.kept)
}
