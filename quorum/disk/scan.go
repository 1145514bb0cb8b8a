package disk

import (
	"bytes"
	"fmt"
	"hash/crc32"
)

// window reads a file forwards, a lot at a time.
type window struct {
	file  file
	size  int64
	buf   []byte
	start int64 // offset of buf in the file
}

// at is n bytes of the file, fewer at its end. They are valid until the next call.
func (w *window) at(offset int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-offset))
	if n <= 0 {
		return nil, nil
	}
	if from := offset - w.start; from >= 0 && from+int64(n) <= int64(len(w.buf)) {
		return w.buf[from : from+int64(n)], nil
	}
	want := int(min(int64(max(n, scanBuffer)), w.size-offset))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.buf, w.start = w.buf[:want], offset
	if _, err := w.file.ReadAt(w.buf, offset); err != nil {
		w.buf = w.buf[:0]
		return nil, err
	}
	return w.buf[:n], nil
}

// found is a record that a scan met.
type found struct {
	record
	offset int64
}

// scan reads all groups of a segment whose header was read, and judges its end: known is what the manifest
// says, exact whether it is all there is. It sets the seal. torn says how a torn end looks, if there is one.
func (s *segment) scan(w *window, known seal, exact bool, each func(found)) (torn string, err error) {
	reached := s.seal == known
	for s.End < w.size && !s.marked {
		flaw, err := s.next(w, each)
		switch {
		case err != nil:
			return "", unreadable(s.path, s.End, err)
		case flaw != nil:
			return s.judge(w, flaw, reached && !exact)
		}
		reached = reached || s.seal == known
	}
	switch {
	case !reached:
		return "", damagef(s.path, s.End, "the file ends, though it went at least to offset %d with other groups: it is an older copy, or was cut", known.End)
	case exact && (s.seal != known || s.marked):
		return "", damagef(s.path, known.End, "the file goes on, though it was full")
	case s.marked:
		return s.judge(w, nil, true)
	}
	return "", nil
}

// next takes the group at the end in. The flaw is why there is none.
func (s *segment) next(w *window, each func(found)) (flaw, err error) {
	b, err := w.at(s.End, groupHeader)
	if err != nil {
		return nil, err
	}
	g, flaw := parseGroup(b, s.nonce, s.End)
	switch {
	case flaw != nil:
		return flaw, nil
	case g.seq != s.Seq+1 || g.prev != s.Sum:
		return nil, damagef(s.path, s.End, "there is group %d, and not the one that follows group %d", g.seq, s.Seq)
	}
	s.manifest = max(s.manifest, g.manifest)
	switch {
	case g.mark():
		s.marked = true
		return nil, nil
	case g.length > maxBody:
		return errLarge, nil
	}
	body, err := w.at(s.End+groupHeader, int(g.length))
	if err != nil {
		return nil, err
	}
	if len(body) < int(g.length) {
		return errGroupShort, nil
	}
	if crc32.Checksum(body, castagnoli) != g.body {
		return errGroupBody, nil
	}
	begin := s.End + groupHeader
	s.seal = seal{End: begin + int64(g.length), Seq: g.seq, Sum: g.sum}
	if err := g.records(body, func(r record, at int) { each(found{r, begin + int64(at)}) }); err != nil {
		return nil, damagef(s.path, begin, "%v, although the group's checksum is right", err)
	}
	return nil, nil
}

// judge tells a torn end from damage (D3): flaw is what is wrong at the end, nil for a mark. An end that may
// be torn lies behind all that the manifest knows.
func (s *segment) judge(w *window, flaw error, mayBeTorn bool) (string, error) {
	later, err := s.laterGroup(w)
	switch {
	case err != nil:
		return "", unreadable(s.path, s.End, err)
	case flaw == nil && later < 0:
		return "", nil
	case flaw == nil:
		flaw = errNoGroup
	}
	switch {
	case later >= 0:
		return "", damagef(s.path, s.End, "%v, and at offset %d a later group begins", flaw, later)
	case !mayBeTorn:
		return "", damagef(s.path, s.End, "%v, and it was synced", flaw)
	}
	return fmt.Sprintf("%v, and nothing follows", flaw), nil
}

// laterGroup looks behind the end for the header of a group that was begun after the one at the end was
// synced. It returns where that is, -1 if nowhere.
func (s *segment) laterGroup(w *window) (int64, error) {
	for offset := s.End; offset < w.size; {
		b, err := w.at(offset, scanBuffer)
		if err != nil {
			return -1, err
		}
		for at := 0; ; at++ {
			next := bytes.Index(b[at:], []byte(groupMagic))
			if next < 0 {
				break
			}
			at += next
			g, flaw := parseGroup(b[at:], s.nonce, offset+int64(at))
			if flaw == nil && g.seq > s.Seq+1 {
				return offset + int64(at), nil
			}
		}
		if len(b) < scanBuffer {
			break
		}
		offset += int64(len(b)) - groupHeader + 1 // a header may lie across
	}
	return -1, nil
}
