package job

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

// fill is a bulk instruction over all of 1024 pages.
var fill = cat(con32(0), con32(1), con32(1024*wasmPage-1), []byte{0xfc, 11, 0})

// Each of these fails alone, with a reason, and soon after its time.
func hostile() []struct {
	name   string
	module asm
	code   message.Code
	says   string
} {
	grow := cat(con32(1), []byte{0x40, 0})
	return []struct {
		name   string
		module asm
		code   message.Code
		says   string
	}{
		{"trap", asm{bodies: [][]byte{unreachable}}, message.JobFailed, "unreachable"},
		{"division by zero", asm{bodies: [][]byte{cat(con32(1), con32(0), []byte{0x6d}, drop)}}, message.JobFailed, "divide by zero"},
		{"outside of memory", asm{bodies: [][]byte{cat(con32(-1), []byte{0x28, 2, 0}, drop)}}, message.JobFailed, "out of bounds"},
		{"endless loop", asm{bodies: [][]byte{cat(loop, again, end)}}, message.JobFailed, "longer than"},
		{"endless calls without a loop", asm{bodies: calls(40)}, message.JobFailed, "longer than"},
		{"endless fills without a loop", asm{pages: 1024, bodies: fills(20, 4)}, message.JobFailed, "longer than"},
		{"start function that loops", asm{bodies: [][]byte{nil, cat(loop, again, end)}, start: own + 1}, message.JobFailed, "longer than"},
		{"endless memory.grow", asm{bodies: [][]byte{cat(loop, grow, con32(-1), []byte{0x47, 0x0d, 0}, end, unreachable)}}, message.JobFailed, "more memory than the 64MiB"},
		{"endless table.grow", asm{tables: vec([]byte{0x70, 0, 0}), bodies: [][]byte{
			cat(loop, []byte{0xd0, 0x70}, con32(100_000), []byte{0xfc, 15, 0}, con32(-1), []byte{0x47, 0x0d, 0}, end, unreachable)}}, message.JobFailed, "unreachable"},
		{"read to outside of memory", asm{bodies: [][]byte{cat(con32(0), con64(0), con32(65530), con32(100), callf(fRead), drop)}}, message.JobFailed, "100 bytes at 65530"},
		{"read of a huge length", asm{bodies: [][]byte{cat(con32(0), con64(0), con32(0), con32(-1), callf(fRead), drop)}}, message.JobFailed, "4294967295 bytes"},
		{"write from outside of memory", asm{bodies: [][]byte{cat(con32(0), con64(0), con32(-8), con32(100), callf(fWrite), drop)}}, message.JobFailed, "outside"},
		{"arguments to outside of memory", asm{bodies: [][]byte{cat(con32(65535), callf(fArgsRead), drop)}}, message.JobFailed, "args_read"},
		{"result from outside of memory", asm{bodies: [][]byte{answer(65530, 100)}}, message.JobFailed, "result"},
		{"too large a result", asm{pages: 16, bodies: [][]byte{answer(0, message.MaxJobResult+1)}}, message.JobFailed, "512KiB"},
		{"too large a result in JSON", asm{pages: 16, bodies: [][]byte{answer(0, message.MaxJobResult/2)}}, message.JobFailed, "512KiB"},
		{"result of a negative length", asm{bodies: [][]byte{answer(0, -1)}}, message.JobFailed, "512KiB"},
	}
}

// calls is a row of functions of which each calls the next one twice: 2^n calls.
func calls(n int) (bodies [][]byte) {
	for i := range n {
		bodies = append(bodies, cat(callf(own+i+1), callf(own+i+1)))
	}
	return append(bodies, nil)
}

// fills is as many functions, of which the last has a row of bulk instructions.
func fills(depth, row int) [][]byte {
	bodies := calls(depth)
	for range row {
		bodies[depth] = cat(bodies[depth], fill)
	}
	return bodies
}

func TestHostile(t *testing.T) {
	r, short := newRunner(t, Config{Time: MaxTime}), newRunner(t, Config{Time: 100 * time.Millisecond})
	before := runtime.NumGoroutine()
	for _, c := range hostile() {
		t.Run(c.name, func(t *testing.T) {
			r := r
			if c.says == "longer than" {
				r = short
			}
			_, _, err := r.Run(t.Context(), request("bad", "{}", reg(1)), bring(c.module.bytes()), newStore(map[message.JobAddress]string{reg(1): "x"}))
			failed(t, err, c.code, "job bad: ", c.says)
			if r.Running() != 0 {
				t.Errorf("%d jobs run", r.Running())
			}
		})
	}
	// A good one still runs, and nothing of the others does.
	good := asm{bodies: [][]byte{answer(0, 2)}, data: "42"}.bytes()
	if result, _, err := r.Run(t.Context(), request("good", ""), bring(good), nil); err != nil || string(result) != "42" {
		t.Errorf("%s, %v", result, err)
	}
	settle(t, before)
}

// Recursion without end reaches the stack's end before the job's.
func TestRecursion(t *testing.T) {
	r := newRunner(t, Config{Time: MaxTime})
	_, _, err := r.Run(t.Context(), request("bad", ""), bring(asm{bodies: [][]byte{callf(own)}}.bytes()), nil)
	failed(t, err, message.JobFailed, "stack overflow")
}

// A table keeps its own maximum.
func TestTableMaximum(t *testing.T) {
	grow := cat([]byte{0xd0, 0x70}, con32(6), []byte{0xfc, 15, 0}, con32(-1), []byte{0x46, 0x04, 0x40}, answer(0, 1), end)
	m := asm{tables: vec([]byte{0x70, 1, 0, 5}), bodies: [][]byte{grow}, data: "1"}.bytes()
	if result, _, err := newRunner(t, Config{}).Run(t.Context(), request("x", ""), bring(m), nil); err != nil || string(result) != "1" {
		t.Errorf("%s, %v", result, err)
	}
}

// What would keep the compiler busy for minutes is interpreted. Functions with as many branches as
// those of real programs are compiled.
func TestCostly(t *testing.T) {
	branch := cat(con32(0), []byte{0x04, 0x40, 0x01}, end)
	for n, costly := range map[int]bool{1000: false, 100_000: true} {
		m := asm{bodies: [][]byte{[]byte(strings.Repeat(string(branch), n))}}.bytes()
		ready, err := prepare(m, DefaultMemory)
		if err != nil || ready.costly != costly {
			t.Fatalf("%d branches: %v", n, err)
		}
		if _, _, err := newRunner(t, Config{}).Run(t.Context(), request("x", ""), bring(m), nil); err != nil {
			t.Errorf("%d branches: %v", n, err)
		}
	}
}

// settle waits until no more goroutines are there than before: those of the engine that watch a context
// end by themselves.
func settle(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines instead of %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}

// The asker's own end of patience is told apart from the job's time.
func TestAskerGivesUp(t *testing.T) {
	r := newRunner(t, Config{})
	module := bring(asm{bodies: [][]byte{cat(loop, again, end)}}.bytes())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := r.Run(ctx, request("bad", ""), module, nil)
	failed(t, err, message.Timeout)
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, _, err = r.Run(ctx, request("bad", ""), module, nil)
	failed(t, err, message.Canceled)
}

func TestCheck(t *testing.T) {
	nop := [][]byte{nil}
	imp := func(module, name string, kind byte, rest ...byte) [][]byte {
		return [][]byte{cat(str(module), str(name), []byte{kind}, rest)}
	}
	long := func(n int) []byte { return []byte(strings.Repeat("\x01", n)) }
	for _, c := range []struct {
		name   string
		module []byte
		says   string // empty if it is good
	}{
		{"good", asm{bodies: nop}.bytes(), ""},
		{"good, with _start", asm{entry: "_start", bodies: nop}.bytes(), ""},
		{"good, with a large maximum", asm{bodies: nop, most: 65536}.bytes(), ""},
		{"good, names that are none", asm{bodies: nop, custom: section(0, cat(str("name"), []byte{1, 255, 255}))}.bytes(), ""},
		{"good, names", asm{bodies: nop, custom: section(0, cat(str("name"), section(1, vec(cat(u(own), str("mine"))))))}.bytes(), ""},
		{"empty", nil, "does not begin"},
		{"text", []byte("#!/bin/sh\n"), "does not begin"},
		{"too large", make([]byte, message.MaxJobModule+1), "at most 16777216"},
		{"cut", asm{bodies: nop}.bytes()[:40], "bytes are announced"},
		{"no entry", asm{entry: "main", bodies: nop}.bytes(), "neither"},
		{"unknown module", asm{bodies: nop, imports: imp("env", "abort", 0, 0)}.bytes(), `"env"."abort"`},
		{"unknown function", asm{bodies: nop, imports: imp("dmalloc", "format", 0, 0)}.bytes(), `"format"`},
		{"another signature", asm{bodies: nop, imports: imp("dmalloc", "kind", 0, 0)}.bytes(), "(i32) -> (i32)"},
		{"a memory", asm{nothing: true, bodies: nop, imports: imp("env", "memory", 2, 0, 1)}.bytes(), "no function"},
		{"no memory", asm{nothing: true, bodies: nop}.bytes(), "has no memory"},
		{"too much memory", asm{bodies: nop, pages: 1025}.bytes(), "64MiB"},
		{"too much memory of all", asm{bodies: nop, pages: 1 << 31}.bytes(), "64MiB"},
		{"too large tables", asm{bodies: nop, tables: vec([]byte{0x70, 0, 0x80, 0x80, 0x41})}.bytes(), "1048576"},
		{"too many locals", asm{bodies: nop, locals: [][]byte{cat(u(1), u(50_000), []byte{0x7f})}}.bytes(), "locals"},
		{"a global that it does not have", asm{bodies: [][]byte{cat(con32(1<<30), []byte{0x24, 0})}}.bytes(), "global"},
		{"a type error", asm{bodies: [][]byte{con32(1)}}.bytes(), "cannot be run"},
		{"a stack that is empty", asm{bodies: [][]byte{drop}}.bytes(), "cannot be run"},
		{"an unknown instruction", asm{bodies: [][]byte{{0xff}}}.bytes(), "0xff"},
		{"a tail call", asm{bodies: [][]byte{{0x12, 0}}}.bytes(), "0x12"},
		{"a section twice", cat(asm{bodies: nop}.bytes(), section(10, u(0))), "not where it should be"},
		{"an unknown section", cat(asm{bodies: nop}.bytes(), section(77, u(0))), "section 77"},
		{"many types", cat([]byte("\x00asm\x01\x00\x00\x00"), section(1, u(1<<31))), "announced"},
		{"too deep", asm{bodies: [][]byte{cat([]byte(strings.Repeat("\x02\x40", maxDepth+1)), []byte(strings.Repeat("\x0b", maxDepth+1)))}}.bytes(), "deep"},
		{"a long function", asm{bodies: [][]byte{long(maxBody)}}.bytes(), "at most 1048576"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Check(c.module)
			if c.says != "" {
				failed(t, err, message.InvalidArgument, c.says)
				_, _, err := newRunner(t, Config{}).Run(t.Context(), request("x", ""), bring(c.module), nil)
				failed(t, err, message.InvalidArgument, c.says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A module's name of its functions is in the trace of a trap.
func TestTraceHasNames(t *testing.T) {
	names := section(0, cat(str("name"), section(1, vec(cat(u(own+1), str("divide"))))))
	m := asm{bodies: [][]byte{callf(own + 1), unreachable}, custom: names}.bytes()
	_, _, err := newRunner(t, Config{}).Run(t.Context(), request("x", ""), bring(m), nil)
	failed(t, err, message.JobFailed, "divide")
}

func FuzzCheck(f *testing.F) {
	for _, c := range hostile() {
		f.Add(c.module.bytes())
	}
	f.Add(asm{bodies: [][]byte{nil}, tables: vec([]byte{0x70, 0, 3}), data: "abc", locals: [][]byte{cat(u(1), u(5), []byte{0x7f})}}.bytes())
	f.Fuzz(func(t *testing.T, module []byte) {
		if err := Check(module); err != nil && message.CodeOf(err) != message.InvalidArgument {
			t.Fatalf("%v", err)
		}
	})
}
