package job

// The engine cannot stop a module by itself where it matters, and while a module runs without a pause Go's
// garbage collector, and with it the whole node, waits for it. So each module gets its pauses written into
// its code, at the head of each loop and each function:
//
//	fuel -= weight of the function; if fuel < 0 { pause() }
//
// and a pause before each instruction that works on as many bytes as it is told. Fuel is a global and pause
// a function, both behind the module's own, so that no number in it changes:
//
//	pause() { fuel = tank; memory.grow(tick) }
//
// memory.grow is the one way to Go that needs no import: it asks memory.Reallocate, which stops the job
// if its context has ended. The engine can do a similar thing (WithCloseOnContextDone), but leaves for Go
// at each turn of each loop, 28 ns instead of 1 where it was measured, and looks at loops alone: with
// f() { g(); g() }, g() { h(); h() }, … 40 deep, a module would run for a day.
const (
	tank = 20_000 // fuel between two pauses: some hundred microseconds
	tick = 40_000 // pages that a pause asks for: more than a job ever has, with them fewer than 65536
)

// weigh is the fuel that a part of a function takes, of which nobody knows which parts run: a unit for
// each 32 bytes of its code, which take about 10 ns.
func weigh(body []byte) int64 { return 1 + int64(len(body))/32 }

// check is the code of a check; stack and locals are after it what they were before.
func (s *scan) check(weight int64) []byte {
	g := appendU32(nil, s.fuel)
	c := append([]byte{0x23}, g...)                  // global.get fuel
	c = appendS64(append(c, 0x41), weight)           // i32.const weight
	c = append(append(c, 0x6b, 0x24), g...)          // i32.sub, global.set fuel
	c = append(append(c, 0x23), g...)                // global.get fuel
	c = append(c, 0x41, 0, 0x48, 0x04, 0x40)         // i32.const 0, i32.lt_s, if
	return append(append(c, s.pauseCall()...), 0x0b) // end
}

func (s *scan) pauseCall() []byte { return appendU32([]byte{0x10}, s.pause) }

// pauseBody is the function pause, as the code section has it.
func (s *scan) pauseBody() []byte {
	b := appendS64([]byte{0, 0x41}, tank)  // no locals, i32.const tank
	b = appendU32(append(b, 0x24), s.fuel) // global.set fuel
	b = appendS64(append(b, 0x41), tick)   // i32.const tick
	b = append(b, 0x40, 0, 0x1a, 0x0b)     // memory.grow, drop, end
	return append(appendU32(nil, uint32(len(b))), b...)
}

// smallLeaf is how long a body may be, in bytes, to go without a check if it calls nothing and has neither
// loops nor bulk instructions: its caller is checked, and it ends by itself.
const smallLeaf = 128

// function copies a function of the code section, with its checks.
func (s *scan) function(out []byte, body []byte) []byte {
	p := &parser{b: body}
	locals := uint64(0)
	for range p.count("groups of locals", 2, maxLocals) {
		locals += uint64(p.u32())
		p.byte()
	}
	if locals > maxLocals {
		p.fail("a function has %d locals; at most %d are allowed", locals, maxLocals)
	}
	if s.locals += locals; s.locals > maxAllLocals {
		p.fail("its functions have more than %d locals", maxAllLocals)
	}
	head := p.at
	cuts, calls, blocks := instructions(p, s.fuel)
	s.effort += blocks * blocks
	if p.err != nil {
		s.p.fail("function %d: %v", s.bodies, p.err)
		return out
	}
	if !calls && len(cuts) == 0 && len(body) <= smallLeaf {
		return append(appendU32(out, uint32(len(body))), body...)
	}
	check, pause := s.check(weigh(body)), s.pauseCall()
	size := len(body) + len(check)
	for _, c := range cuts {
		size += len(c.code(check, pause))
	}
	out = appendU32(out, uint32(size))
	out = append(append(out, body[:head]...), check...)
	for _, c := range cuts {
		out = append(append(out, body[head:c.at]...), c.code(check, pause)...)
		head = c.at
	}
	return append(out, body[head:]...)
}

// place is a place in a body where code is put in: a pause before a bulk instruction, or a check.
type place struct {
	at   int
	bulk bool
}

func (c place) code(check, pause []byte) []byte {
	if c.bulk {
		return pause
	}
	return check
}

// instructions reads a function's code to its end: where checks belong, whether it calls, and about how
// many pieces without branches it consists of. It may set no global from fuel on: it has none there, and a
// module that filled its own tank would never pause.
func instructions(p *parser, fuel uint32) (cuts []place, calls bool, blocks uint64) {
	depth := 1
	for depth > 0 && p.err == nil {
		at := p.at
		op := p.byte()
		blocks += branches(op)
		switch op {
		case 0x02, 0x03, 0x04: // block, loop, if
			if depth++; depth > maxDepth {
				p.fail("blocks are nested more than %d deep", maxDepth)
			}
		case 0x0b: // end
			depth--
		case 0x10, 0x11: // call, call_indirect
			calls = true
		case 0x24: // global.set
			if q := (parser{b: p.b, at: p.at}); q.u32() >= fuel {
				p.fail("it sets a global that it does not have")
			}
		case 0xfc:
			if bulk(p.b[p.at:]) {
				cuts = append(cuts, place{at, true})
			}
		}
		immediates(p, op)
		if op == 0x03 {
			cuts = append(cuts, place{p.at, false})
		}
	}
	if p.left() > 0 {
		p.fail("%d bytes follow the end of its code", p.left())
	}
	return cuts, calls, blocks
}

// branches is how many pieces an instruction adds, as the compiler's time has it.
func branches(op byte) uint64 {
	switch op {
	case 0x02: // block
		return 1
	case 0x04, 0x0d, 0x0e: // if, br_if, br_table
		return 2
	case 0x03: // loop, and the check in it
		return 5
	}
	return 0
}

// bulk says whether what follows 0xfc works on as many bytes or elements as its operands say.
func bulk(b []byte) bool {
	q := parser{b: b}
	sub := q.u32()
	return sub >= 8 && sub != 9 && sub != 13 && sub != 16
}

// immediates passes what follows an opcode. What is not known is refused: a check could be lost in it.
func immediates(p *parser, op byte) {
	switch {
	case op == 0x00, op == 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1:
	case op >= 0x02 && op <= 0x04: // type of a block
		p.skipLEB(5)
	case op == 0x0c, op == 0x0d, op == 0x10, op >= 0x20 && op <= 0x26, op == 0xd2: // an index
		p.u32()
	case op == 0x0e: // br_table
		for range p.count("labels", 1, len(p.b)) {
			p.u32()
		}
		p.u32()
	case op == 0x11: // call_indirect
		p.u32()
		p.u32()
	case op == 0x1c: // select of a type
		p.take(uint32(p.count("types", 1, 1)))
	case op >= 0x28 && op <= 0x3e: // loads and stores
		p.u32()
		p.u32()
	case op == 0x3f, op == 0x40, op == 0xd0:
		p.byte()
	case op == 0x41:
		p.skipLEB(5)
	case op == 0x42:
		p.skipLEB(10)
	case op == 0x43:
		p.take(4)
	case op == 0x44:
		p.take(8)
	case op >= 0x45 && op <= 0xc4: // arithmetic
	case op == 0xfc:
		bulkImmediates(p)
	case op == 0xfd:
		vectorImmediates(p)
	default:
		p.fail("instruction %#02x is not known here", op)
	}
}

func bulkImmediates(p *parser) {
	switch sub := p.u32(); sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // conversions that saturate
	case 8, 10, 12, 14: // memory.init, memory.copy, table.init, table.copy
		p.u32()
		p.u32()
	case 9, 11, 13, 15, 16, 17: // data.drop, memory.fill, elem.drop, table.grow, table.size, table.fill
		p.u32()
	default:
		p.fail("instruction 0xfc %d is not known here", sub)
	}
}

func vectorImmediates(p *parser) {
	switch sub := p.u32(); {
	case sub <= 11, sub == 92, sub == 93: // loads and stores
		p.u32()
		p.u32()
	case sub == 12, sub == 13: // a constant, a shuffle
		p.take(16)
	case sub >= 21 && sub <= 34: // a lane
		p.byte()
	case sub >= 84 && sub <= 91: // a load or store of a lane
		p.u32()
		p.u32()
		p.byte()
	case sub > 255:
		p.fail("instruction 0xfd %d is not known here", sub)
	}
}
