package job

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// goModule compiles a program of testdata, once a test.
func goModule(t testing.TB, name string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".wasm")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./testdata/"+name)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spin adds up n numbers in a loop of some instructions.
func spin(n int32) asm {
	body := cat(con32(n), []byte{0x21, 0}, loop,
		[]byte{0x20, 1, 0x20, 0, 0x6a, 0x21, 1}, // sum += i
		[]byte{0x20, 0}, con32(1), []byte{0x6b, 0x22, 0, 0x0d, 0}, end, answer(0, 1))
	return asm{bodies: [][]byte{body}, locals: [][]byte{cat(u(1), u(2), []byte{0x7f})}, data: "1"}
}

// What a job costs by itself: with its module compiled before and not, by both ways to run modules.
func BenchmarkJob(b *testing.B) {
	lines := goModule(b, "lines")
	empty := asm{bodies: [][]byte{nil}}.bytes()
	for _, engine := range []string{"compiler", "interpreter"} {
		config := Config{Time: MaxTime, interpret: engine == "interpreter"}
		for _, m := range []struct {
			name   string
			module []byte
			args   string
		}{{"empty", empty, ""}, {"loop1M", spin(1 << 20).bytes(), ""}, {"go", lines, "{}"}} {
			run := func(b *testing.B, r *Runner) {
				if _, _, err := r.Run(b.Context(), request("x", m.args), bring(m.module), newStore(nil)); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(engine+"/"+m.name+"/cold", func(b *testing.B) {
				b.ReportMetric(float64(len(m.module)), "bytes")
				for b.Loop() {
					r := New(config)
					run(b, r)
					r.Close()
				}
			})
			b.Run(engine+"/"+m.name+"/warm", func(b *testing.B) {
				r := newRunner(b, config)
				run(b, r)
				for b.Loop() {
					run(b, r)
				}
			})
		}
	}
	b.Run("check/go", func(b *testing.B) {
		for b.Loop() {
			if err := Check(lines); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a compiled module takes of memory, for costFactor.
func BenchmarkCompiledMemory(b *testing.B) {
	lines := goModule(b, "lines")
	rss := func() int {
		runtime.GC()
		runtime.GC()
		s, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			b.Skip(err)
		}
		var all, resident int
		fmt.Sscan(string(s), &all, &resident)
		return resident * os.Getpagesize()
	}
	for b.Loop() {
		r := New(Config{})
		before := rss()
		if _, _, err := r.Run(b.Context(), request("x", "{}"), bring(lines), newStore(nil)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(rss()-before)/float64(len(lines)), "bytes/byte")
		r.Close()
	}
}
