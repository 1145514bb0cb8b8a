package job

import (
	"bytes"
	"unicode/utf8"

	"dmalloc/message"
)

// What a module may have. The engine allocates by what a module announces and compiles all of it before
// anything can stop it, so whatever makes that expensive has its bound here.
const (
	maxTypes     = 16 << 10
	maxImports   = 1 << 10
	maxFunctions = 100_000
	maxTables    = 16
	maxElements  = 1 << 20 // of all tables together, and of all segments
	maxGlobals   = 64 << 10
	maxExports   = 64 << 10
	maxSegments  = 128 << 10 // Go's linker makes up to 100,000
	maxParams    = 1000
	maxLocals    = 20_000      // of a function
	maxAllLocals = 2_000_000   // of all functions
	maxBody      = 1 << 20     // bytes of a function
	maxDepth     = 10_000      // blocks within blocks
	maxEffort    = 500_000_000 // of the compiler, some 6 s; cmd/vet, 14 MB, has 150,000,000
	maxNames     = 1 << 20     // bytes of names that are kept for traces
)

// scan reads a module as it came and writes the one that is compiled: with pauses (see body.go), tables
// that cannot grow without end, and no custom section but the names of functions.
type scan struct {
	p               parser // of the section that is read
	out             []byte
	memory          uint64 // bytes that a job may have
	locals          uint64
	effort          uint64 // sum of the squares of functions' pieces: what the time of the compiler grows with
	bodies          int
	inits           int // elements of segments
	names           []byte
	memories        int // that it has
	types, imported int
	functions       int    // of its own
	fuel, pause     uint32 // numbers of what body.go adds
}

// prepared is a module as it is given to the engine.
type prepared struct {
	code   []byte
	memory bool // it has one
	costly bool // the compiler would take too long: the interpreter runs it
}

// prepare judges a module's shape and returns what is to be compiled. Types, and whether the parts fit
// each other, are the engine's to judge.
func prepare(module []byte, memory uint64) (*prepared, error) {
	if len(module) > message.MaxJobModule {
		return nil, refuse("it has %d bytes; at most %d are allowed", len(module), message.MaxJobModule)
	}
	magic := []byte("\x00asm\x01\x00\x00\x00")
	if !bytes.HasPrefix(module, magic) {
		return nil, refuse("it does not begin as a WebAssembly module (version 1) does")
	}
	s := &scan{memory: memory, out: make([]byte, 0, len(module)+len(module)/16)}
	s.out = append(s.out, magic...)
	last := 0
	for p := (parser{b: module, at: len(magic)}); p.left() > 0; {
		id := p.byte()
		content := p.take(p.u32())
		if p.err != nil {
			return nil, refuse("%v", p.err)
		}
		if id != 0 {
			place := sectionPlace(id)
			if place == 0 || place <= last {
				return nil, refuse("section %d is unknown, or not where it should be", id)
			}
			s.missing(last, place)
			last = place
		}
		if err := s.section(id, content); err != nil {
			return nil, refuse("section %d: %v", id, err)
		}
	}
	if s.bodies == 0 {
		return nil, refuse("it has no code")
	}
	s.emit(0, s.names)
	return &prepared{code: s.out, memory: s.memories > 0, costly: s.effort > maxEffort}, nil
}

func refuse(format string, args ...any) error {
	return message.Errorf(message.InvalidArgument, "the module cannot be run: "+format, args...)
}

// sectionPlace is a section's place in the order that the format demands; 12, the number of data
// segments, stands before the code. 0 is none.
func sectionPlace(id byte) int {
	return bytes.IndexByte([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11}, id)
}

func (s *scan) emit(id byte, content []byte) {
	if id != 0 || len(content) > 0 {
		s.out = append(appendU32(append(s.out, id), uint32(len(content))), content...)
	}
}

// missing writes the sections that the added code needs and the module does not have.
func (s *scan) missing(last, next int) {
	if last < 5 && next > 5 {
		s.emit(5, []byte{1, 0, 0})
	}
	if last < 6 && next > 6 {
		s.emit(6, s.addFuel(0, nil))
	}
}

// section reads one section and writes it as it shall be.
func (s *scan) section(id byte, content []byte) error {
	s.p = parser{b: content}
	switch id {
	case 0:
		s.custom()
		return nil // whatever is wrong with it: nothing needs it but a reader of traces
	case 1:
		content = s.typeSection()
	case 2:
		s.importSection()
	case 3:
		content = s.functionSection()
	case 4:
		content = s.tableSection()
	case 5:
		content = s.memorySection()
	case 6:
		content = s.globalSection()
	case 7:
		for range s.p.count("exports", 3, maxExports) {
			s.p.name(message.MaxText)
			s.p.byte()
			s.p.u32()
		}
	case 8, 12:
		s.p.u32()
	case 9:
		s.elements()
	case 10:
		content = s.code()
	case 11:
		s.segments()
	}
	if s.p.left() > 0 {
		s.p.fail("%d bytes follow its end", s.p.left())
	}
	s.emit(id, content)
	return s.p.err
}

// more is a vector that the parser has just read, from behind its count on, with one item more.
func (s *scan) more(n, from int, item ...byte) []byte {
	return append(append(appendU32(make([]byte, 0, len(s.p.b)+len(item)+8), uint32(n+1)), s.p.b[from:s.p.at]...), item...)
}

func (s *scan) typeSection() []byte {
	s.types = s.p.count("types", 3, maxTypes)
	from := s.p.at
	for range s.types {
		if kind := s.p.byte(); kind != 0x60 {
			s.p.fail("a type begins with %#02x instead of 0x60", kind)
		}
		s.p.take(uint32(s.p.count("parameters", 1, maxParams)))
		s.p.take(uint32(s.p.count("results", 1, maxParams)))
	}
	return s.more(s.types, from, 0x60, 0, 0)
}

func (s *scan) importSection() {
	s.imported = s.p.count("imports", 4, maxImports)
	for range s.imported {
		module, name := s.p.name(message.MaxText), s.p.name(message.MaxText)
		if kind := s.p.byte(); kind != 0 && s.p.err == nil {
			s.p.fail("it imports %s.%s, which is no function; only functions can be imported", message.Quote(module), message.Quote(name))
		}
		s.p.u32()
	}
}

func (s *scan) functionSection() []byte {
	s.functions = s.p.count("functions", 1, maxFunctions)
	s.pause = uint32(s.imported + s.functions)
	from := s.p.at
	for range s.functions {
		s.p.u32()
	}
	return s.more(s.functions, from, appendU32(nil, uint32(s.types))...)
}

// tableSection is written anew: a table gets a maximum, for an element costs the node 8 bytes.
func (s *scan) tableSection() []byte {
	n := s.p.count("tables", 3, maxTables)
	out := appendU32(nil, uint32(n))
	var total uint64
	for range n {
		kind, limits := s.p.byte(), s.p.byte()
		least, most := s.p.u32(), uint32(maxElements/n)
		if limits == 1 {
			most = min(most, s.p.u32())
		} else if limits != 0 {
			s.p.fail("limits of a table begin with %#02x", limits)
		}
		total += uint64(least)
		out = append(out, kind, 1)
		out = appendU32(appendU32(out, least), max(least, most))
	}
	if total > maxElements {
		s.p.fail("its tables have %d elements; at most %d are allowed", total, maxElements)
	}
	return out
}

// memorySection is written anew, without the maximum: a job's limit is below what pauses ask for, and a
// module's own maximum could be above it or keep pauses from being heard.
func (s *scan) memorySection() []byte {
	if s.memories = s.p.count("memories", 2, 1); s.memories == 0 {
		return []byte{1, 0, 0}
	}
	limits := s.p.byte()
	least := s.p.u32()
	if limits == 1 {
		s.p.u32()
	} else if limits != 0 {
		s.p.fail("limits of a memory begin with %#02x; shared and 64-bit memories are not supported", limits)
	}
	if uint64(least)*wasmPage > s.memory {
		s.p.fail("it begins with %d bytes of memory; a job may have %s", uint64(least)*wasmPage, message.FormatSize(s.memory))
	}
	return appendU32([]byte{1, 0}, least)
}

func (s *scan) globalSection() []byte {
	n := s.p.count("globals", 4, maxGlobals)
	from := s.p.at
	for range n {
		s.p.byte()
		s.p.byte()
		s.constant()
	}
	return s.addFuel(n, s.p.b[from:s.p.at])
}

// addFuel is the section of n globals and the fuel, which is empty: the first check pauses.
func (s *scan) addFuel(n int, globals []byte) []byte {
	s.fuel = uint32(n)
	b := append(appendU32(nil, uint32(n+1)), globals...)
	return append(b, 0x7f, 1, 0x41, 0, 0x0b)
}

// constant passes a constant expression: one instruction and its end.
func (s *scan) constant() {
	op := s.p.byte()
	switch op {
	case 0x41, 0x42, 0x43, 0x44, 0x23, 0xd0, 0xd2, 0xfd:
		immediates(&s.p, op)
	default:
		s.p.fail("instruction %#02x is not allowed in a constant", op)
	}
	if end := s.p.byte(); end != 0x0b {
		s.p.fail("a constant is not one instruction")
	}
}

// elements passes the segments of tables. The lowest three bits of each say what it is made of.
func (s *scan) elements() {
	for range s.p.count("segments", 2, maxSegments) {
		flags := s.p.u32()
		if flags > 7 {
			s.p.fail("segment of kind %d", flags)
		}
		active, explicit, expressions := flags&1 == 0, flags&2 != 0, flags&4 != 0
		if active && explicit {
			s.p.u32() // which table
		}
		if active {
			s.constant()
		}
		if !active || explicit {
			s.p.byte() // type of its elements
		}
		n := s.p.count("elements", 1, maxElements)
		if s.inits += n; s.inits > maxElements {
			s.p.fail("its segments have more than %d elements", maxElements)
		}
		for range n {
			if expressions {
				s.constant()
			} else {
				s.p.u32()
			}
		}
	}
}

func (s *scan) code() []byte {
	n := s.p.count("functions", 3, maxFunctions)
	if n != s.functions {
		s.p.fail("it has the code of %d functions and the types of %d", n, s.functions)
		return nil
	}
	out := appendU32(make([]byte, 0, len(s.p.b)+len(s.p.b)/4), uint32(n+1))
	for ; s.bodies < n && s.p.err == nil; s.bodies++ {
		out = s.function(out, s.p.take(uint32(s.p.count("bytes of a function", 1, maxBody))))
	}
	return append(out, s.pauseBody()...)
}

func (s *scan) segments() {
	for range s.p.count("segments", 2, maxSegments) {
		switch kind := s.p.u32(); kind {
		case 0:
			s.constant()
		case 1:
		case 2:
			s.p.u32()
			s.constant()
		default:
			s.p.fail("segment of kind %d", kind)
		}
		s.p.take(s.p.u32())
	}
}

// custom keeps the names of functions, which traces show. Names that do not parse are dropped.
func (s *scan) custom() {
	if s.p.name(message.MaxText) != "name" || s.names != nil {
		return
	}
	for s.p.left() > 0 {
		id := s.p.byte()
		content := s.p.take(s.p.u32())
		if id != 1 {
			continue
		}
		q := parser{b: content}
		for range q.count("names", 2, maxFunctions) {
			q.u32()
			if !utf8.ValidString(q.name(message.MaxText)) {
				q.fail("a name is not UTF-8")
			}
		}
		if q.err == nil && q.left() == 0 && len(content) <= maxNames {
			s.names = append(appendU32([]byte("\x04name\x01"), uint32(len(content))), content...)
		}
	}
}
