package job

import "fmt"

// parser reads the binary format of WebAssembly. After the first error it reads zeros and stays at the
// end, so that callers may look at err once, after a loop whose length they have bounded.
type parser struct {
	b   []byte
	at  int
	err error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("at byte %d: "+format, append([]any{p.at}, args...)...)
	}
	p.at = len(p.b)
}

func (p *parser) left() int { return len(p.b) - p.at }

func (p *parser) byte() byte {
	if p.at >= len(p.b) {
		p.fail("it ends too early")
		return 0
	}
	p.at++
	return p.b[p.at-1]
}

// take is the next n bytes, shared with the module.
func (p *parser) take(n uint32) []byte {
	if uint64(n) > uint64(p.left()) {
		p.fail("%d bytes are announced where %d are left", n, p.left())
		return nil
	}
	p.at += int(n)
	return p.b[p.at-int(n) : p.at]
}

// u32 reads an unsigned LEB128 number.
func (p *parser) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := p.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	p.fail("a number does not fit in 32 bits")
	return 0
}

// skipLEB passes a number of at most most bytes, whatever its sign.
func (p *parser) skipLEB(most int) {
	for range most {
		if p.byte() < 0x80 {
			return
		}
	}
	p.fail("a number is too long")
}

// count reads the length of a vector whose elements have at least size bytes each, and refuses what the
// rest cannot hold or what is over most: nobody may allocate by an announced length alone.
func (p *parser) count(what string, size, most int) int {
	n := p.u32()
	switch {
	case p.err != nil:
		return 0
	case uint64(n)*uint64(size) > uint64(p.left()):
		p.fail("%d %s are announced where %d bytes are left", n, what, p.left())
		return 0
	case uint64(n) > uint64(most):
		p.fail("it has %d %s; at most %d are allowed", n, what, most)
		return 0
	}
	return int(n)
}

// name reads a string of at most most bytes.
func (p *parser) name(most int) string {
	return string(p.take(uint32(p.count("bytes of a name", 1, most))))
}

// appendU32 writes what u32 reads.
func appendU32(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// appendS64 writes a signed number, as constants have it.
func appendS64(b []byte, v int64) []byte {
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}
