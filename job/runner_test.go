package job

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"dmalloc/message"
)

// gate is Data whose Size waits until it is opened.
type gate struct {
	*store
	entered chan struct{}
	open    chan struct{}
}

func newGate() *gate {
	return &gate{newStore(map[message.JobAddress]string{reg(1): "1"}), make(chan struct{}, 100), make(chan struct{})}
}

func (g *gate) Size(ctx context.Context, a message.JobAddress) (uint64, error) {
	g.entered <- struct{}{}
	select {
	case <-g.open:
		return g.store.Size(ctx, a)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Jobs: 2, Queue: 3})
		defer r.Close()
		g := newGate()
		results := make(chan error, 5)
		for range 5 {
			go func() {
				_, _, err := r.Run(t.Context(), request("sum", "", reg(1)), nil, g)
				results <- err
			}()
		}
		synctest.Wait()
		if n := r.Running(); n != 2 {
			t.Errorf("%d run instead of 2", n)
		}
		_, _, err := r.Run(t.Context(), request("sum", "", reg(1)), nil, g)
		failed(t, err, message.Busy, "2 jobs run here and 3 wait")
		close(g.open)
		for range 5 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if _, _, err := r.Run(t.Context(), request("sum", "", reg(1)), nil, g); err != nil || r.Running() != 0 {
			t.Errorf("%v; %d run", err, r.Running())
		}
	})
}

// Whoever gives up while waiting leaves the queue.
func TestQueueLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Jobs: 1, Queue: 1})
		defer r.Close()
		g := newGate()
		var done sync.WaitGroup
		run := func(ctx context.Context, code message.Code) {
			done.Go(func() {
				if _, _, err := r.Run(ctx, request("sum", "", reg(1)), nil, g); message.CodeOf(err) != code {
					t.Errorf("%v instead of %v", err, code)
				}
			})
			synctest.Wait()
		}
		run(t.Context(), message.Done)
		ctx, cancel := context.WithCancel(t.Context())
		run(ctx, message.Canceled)
		cancel()
		synctest.Wait()
		run(t.Context(), message.Done)
		close(g.open)
		done.Wait()
	})
}

// The time of a built-in is bounded as a module's is.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close()
		_, _, err := r.Run(t.Context(), request("sum", "", reg(1)), nil, newGate())
		failed(t, err, message.JobFailed, "longer than the 5s")
	})
}

// Close ends what runs and what waits, and waits for both.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	r := New(Config{Jobs: 2, Time: MaxTime})
	endless := bring(asm{bodies: [][]byte{cat(loop, again, end)}}.bytes())
	var done sync.WaitGroup
	for i := range 4 {
		done.Go(func() {
			module := endless
			if i == 0 {
				module = nil
			}
			_, _, err := r.Run(context.Background(), request("sum", "", reg(1)), module, newGate())
			if code := message.CodeOf(err); code != message.Unavailable {
				t.Errorf("%v", err)
			}
		})
	}
	for r.Running() < 2 {
		runtime.Gosched()
	}
	r.Close()
	done.Wait()
	r.Close()
	_, _, err := r.Run(context.Background(), request("sum", ""), nil, nil)
	failed(t, err, message.Unavailable, "stopping")
	settle(t, before)
}

func TestRequestsRefused(t *testing.T) {
	r := newRunner(t, Config{})
	_, _, err := r.Run(t.Context(), request("sum", "", make([]message.JobAddress, message.MaxJobAddresses+1)...), nil, nil)
	failed(t, err, message.InvalidArgument, "1025")
	_, _, err = r.Run(t.Context(), request("sum", `"`+strings.Repeat("x", message.MaxJobArgs)+`"`), nil, nil)
	failed(t, err, message.InvalidArgument, "64KiB")
	wrong := func(context.Context) (string, []byte, error) { return "0000", asm{bodies: [][]byte{nil}}.bytes(), nil }
	_, _, err = r.Run(t.Context(), request("x", ""), wrong, nil)
	failed(t, err, message.Corrupt, "0000")
	none := func(context.Context) (string, []byte, error) {
		return "", nil, message.Errorf(message.NoSuchJob, "no module x; put it first")
	}
	_, _, err = r.Run(t.Context(), request("x", ""), none, nil)
	failed(t, err, message.NoSuchJob, "put it first")
}

// Refusals of data keep their class through a built-in.
func TestDataFails(t *testing.T) {
	s := newStore(nil)
	s.fail = message.Errorf(message.Unavailable, "no majority")
	_, _, err := newRunner(t, Config{}).Run(t.Context(), request("count", "", reg(1)), nil, s)
	failed(t, err, message.Unavailable, "register 1: no majority")
}

// What a module left in its memory and globals, the next run of it does not see.
func TestRunsAreAlone(t *testing.T) {
	// Answers the byte at 0, after adding 1 to it.
	code := cat(con32(0), con32(0), []byte{0x2d, 0, 0}, con32(1), []byte{0x6a, 0x3a, 0, 0}, answer(0, 1))
	module := bring(asm{bodies: [][]byte{code}, data: "4"}.bytes())
	r := newRunner(t, Config{})
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for range 20 {
				if result, _, err := r.Run(t.Context(), request("x", ""), module, nil); err != nil || string(result) != "5" {
					t.Errorf("%s, %v", result, err)
				}
			}
		})
	}
	done.Wait()
}

// The memory of a hundred jobs of 64 MiB is not there when they have ended, well or badly.
func TestMemoryGoes(t *testing.T) {
	size := func() (pages int) {
		b, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip("the size of a process is not told here")
		}
		fmt.Sscan(string(b), &pages)
		return pages * os.Getpagesize()
	}
	r := newRunner(t, Config{})
	good, bad := bring(asm{pages: 1024, bodies: [][]byte{fill}}.bytes()), bring(asm{pages: 1024, bodies: [][]byte{unreachable}}.bytes())
	before := size()
	for i := range 100 {
		module := good
		if i%10 > 0 {
			module = bad
		}
		if _, _, err := r.Run(t.Context(), request("x", ""), module, nil); (err != nil) != (i%10 > 0) {
			t.Fatal(err)
		}
	}
	if grown := size() - before; grown > 20*DefaultMemory {
		t.Errorf("the process has grown by %d MiB", grown>>20)
	}
}

// More modules than the cache keeps: the one that was used least recently goes, all still run.
func TestCache(t *testing.T) {
	r := newRunner(t, Config{})
	module := func(i int) Module {
		return bring(asm{bodies: [][]byte{answer(0, 2)}, data: fmt.Sprint(10 + i)}.bytes())
	}
	run := func(i int) {
		if result, _, err := r.Run(t.Context(), request("x", ""), module(i), nil); err != nil || string(result) != fmt.Sprint(10+i) {
			t.Fatalf("%s, %v", result, err)
		}
	}
	has := func(i int) bool {
		hash, _, _ := module(i)(t.Context())
		r.modules.mu.Lock()
		defer r.modules.mu.Unlock()
		return r.modules.entries[hash] != nil
	}
	for i := range maxCached {
		run(i)
	}
	run(0)
	run(maxCached)
	if n := len(r.modules.entries); n != maxCached {
		t.Errorf("%d are kept", n)
	}
	if has(1) || !has(0) || !has(2) || !has(maxCached) {
		t.Error("the wrong one went")
	}
	run(1)
}

// A program in Go reaches its data, answers by standard output, and can write.
func TestProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a program")
	}
	module := goModule(t, "lines")
	if err := Check(module); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("12345\n", 50_000)
	s := newStore(map[message.JobAddress]string{reg(1): "a\nbb\ncc", heap(4096): big, reg(3): ""})
	r := newRunner(t, Config{Time: MaxTime})
	result, read, err := r.Run(t.Context(), request("lines", `{"least":2,"store":true}`, reg(1), heap(4096), reg(3)), bring(module), s)
	var lengths map[string]int
	if err != nil || json.Unmarshal(result, &lengths) != nil || len(lengths) != 2 || lengths["2"] != 2 || lengths["5"] != 50_000 {
		t.Fatalf("%s, %v", result, err)
	}
	if got := string(s.cells[reg(3)]); got != string(result) {
		t.Errorf("it wrote %q", got)
	}
	if read[0] != 7 || read[1] != uint64(len(big)) || read[2] != 0 {
		t.Errorf("it read %v", read)
	}
	_, _, err = r.Run(t.Context(), request("lines", `[]`, reg(1)), bring(module), s)
	failed(t, err, message.JobFailed, "exit code 2", "it said: arguments: json")
}

// WASI without any language's library: exit codes, standard output, and what it says of errors.
func TestWASI(t *testing.T) {
	wasi := func(name string, typ int) []byte {
		return cat(str("wasi_snapshot_preview1"), str(name), []byte{0}, u(uint32(typ)))
	}
	imports := [][]byte{wasi("fd_write", 1), wasi("proc_exit", 2)}
	types := [][]byte{typ([]byte{i32, i32, i32, i32}, []byte{i32}), typ([]byte{i32}, nil)}
	print := func(fd int32) []byte { // the vector at 0 says: 5 bytes from 8
		return cat(con32(fd), con32(0), con32(1), con32(100), callf(0), drop)
	}
	exit := func(code int32) []byte { return cat(con32(code), callf(1)) }
	data := "\x08\x00\x00\x00\x05\x00\x00\x00hello"
	r := newRunner(t, Config{})
	large := cat(con32(4), con32(message.MaxJobResult+1), []byte{0x36, 2, 0}, print(1)) // of the same vector
	for _, c := range []struct {
		name string
		code []byte
		want string
		says []string
	}{
		{"too large, and an end", large, "", []string{"512KiB"}},
		{"text", print(1), `"hello"`, nil},
		{"nothing", nil, `null`, nil},
		{"exit with 0", cat(print(1), exit(0), unreachable), `"hello"`, nil},
		{"exit with 3", cat(print(2), exit(3)), "", []string{"exit code 3", "it said: hello"}},
		{"without end", cat(loop, print(1), again, end), "", []string{"512KiB"}},
		{"complaints without end", cat(loop, print(2), con32(1), []byte{0x0d, 0}, end), "", []string{"longer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := asm{entry: "_start", bodies: [][]byte{c.code}, imports: imports, types: types, data: data, pages: 16}.bytes()
			runner := r
			if c.name == "complaints without end" {
				runner = newRunner(t, Config{Time: 1e8})
			}
			result, _, err := runner.Run(t.Context(), request("x", ""), bring(m), nil)
			if c.says != nil {
				failed(t, err, message.JobFailed, c.says...)
			} else if err != nil || string(result) != c.want {
				t.Errorf("%s, %v", result, err)
			}
		})
	}
}
