// Command lines is a job in Go that knows nothing but its addresses: it tells how long the lines of its
// data are. It shows how a program reaches data: by the functions of module dmalloc.
//
//	GOOS=wasip1 GOARCH=wasm go build -o lines.wasm ./job/testdata/lines
//
// Its arguments come on standard input, its answer goes to standard output, both in JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"unsafe"
)

//go:wasmimport dmalloc addresses
func addresses() int32

//go:wasmimport dmalloc size
func size(i int32) int64

//go:wasmimport dmalloc read
func read(i int32, offset int64, p unsafe.Pointer, n int32) int32

//go:wasmimport dmalloc write
func write(i int32, offset int64, p unsafe.Pointer, n int32) int32

func main() {
	args := struct {
		Least int  `json:"least"` // lines that are shorter do not count
		Store bool `json:"store"` // write the answer to the last address, a register
	}{}
	if err := json.NewDecoder(os.Stdin).Decode(&args); err != nil {
		fmt.Fprintln(os.Stderr, "arguments:", err)
		os.Exit(2)
	}
	n := addresses()
	if args.Store {
		n--
	}
	lengths := make(map[int]int)
	for i := range n {
		for _, length := range lines(i) {
			if length >= args.Least {
				lengths[length]++
			}
		}
	}
	answer, err := json.Marshal(lengths)
	if err != nil {
		panic(err)
	}
	if args.Store {
		if code := write(n, 0, unsafe.Pointer(&answer[0]), int32(len(answer))); code < 0 {
			fmt.Fprintln(os.Stderr, "write: code", code)
			os.Exit(1)
		}
	}
	os.Stdout.Write(answer)
}

// lines are the lengths of an address's lines.
func lines(i int32) (lengths []int) {
	buf, length := make([]byte, 64<<10), 0
	for offset := int64(0); offset < size(i); {
		got := read(i, offset, unsafe.Pointer(&buf[0]), int32(len(buf)))
		if got < 0 {
			fmt.Fprintf(os.Stderr, "read of address %d: code %d\n", i, got)
			os.Exit(1)
		}
		if got == 0 {
			break
		}
		for _, c := range buf[:got] {
			if c == '\n' {
				lengths, length = append(lengths, length), 0
			} else {
				length++
			}
		}
		offset += int64(got)
	}
	if length > 0 {
		lengths = append(lengths, length)
	}
	return lengths
}
