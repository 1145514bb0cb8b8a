package repl

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spoolMemory is what a spool keeps in memory before it goes to a file.
const spoolMemory = 8 << 20

// spool holds an answer whose length nobody knows until its end, such as the JSON of all allocations: the
// line must begin with whether it all went well. Past spoolMemory it lies in a temporary file without a
// name (P6).
type spool struct {
	buf  bytes.Buffer
	file *os.File
}

// Write adds to the spool.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.buf.Len()+len(p) > spoolMemory {
		f, err := os.CreateTemp("", "dmalloc-answer-*")
		if err != nil {
			return 0, fmt.Errorf("keep a long answer: %w", err)
		}
		_ = os.Remove(f.Name()) // it lives as long as it is open, and no longer
		s.file = f
		if _, err := s.file.Write(s.buf.Bytes()); err != nil {
			return 0, fmt.Errorf("keep a long answer: %w", err)
		}
		s.buf = bytes.Buffer{}
	}
	if s.file == nil {
		return s.buf.Write(p)
	}
	n, err := s.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("keep a long answer: %w", err)
	}
	return n, nil
}

// writeTo copies everything to w.
func (s *spool) writeTo(w io.Writer) error {
	if s.file == nil {
		_, err := w.Write(s.buf.Bytes())
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(w, s.file)
	return err
}

// close gives the file back.
func (s *spool) close() {
	if s != nil && s.file != nil {
		_ = s.file.Close()
	}
}
