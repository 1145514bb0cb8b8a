package job

import (
	"encoding/binary"
	"testing"

	"dmalloc/message"
)

// The functions of module dmalloc, one after the other, as a module sees them.
func TestFunctions(t *testing.T) {
	s := newStore(map[message.JobAddress]string{reg(7): "seven", heap(4096): "0123456789"})
	at := func(f int, args ...[]byte) []byte { return cat(cat(args...), callf(f)) }
	for _, c := range []struct {
		name  string
		code  []byte // leaves a number on the stack
		long  bool   // of 64 bits
		want  int64
		check func() bool
	}{
		{"addresses", at(fAddresses), false, 5, nil},
		{"kind of a register", at(fKind, con32(0)), false, 0, nil},
		{"kind of a block", at(fKind, con32(1)), false, 1, nil},
		{"kind of a foreign index", at(fKind, con32(5)), false, -5, nil},
		{"kind of a negative index", at(fKind, con32(-1)), false, -5, nil},
		{"address of a register", at(fAddress, con32(0)), true, 7, nil},
		{"address of a block", at(fAddress, con32(1)), true, message.HeapBase + 4096, nil},
		{"address of a foreign index", at(fAddress, con32(9)), true, -5, nil},
		{"size", at(fSize, con32(1)), true, 10, nil},
		{"size of what was never written", at(fSize, con32(2)), true, -1, nil},
		{"size of what is not allocated", at(fSize, con32(3)), true, -1, nil},
		{"size of a foreign index", at(fSize, con32(5)), true, -5, nil},
		{"read", at(fRead, con32(1), con64(8), con32(100), con32(50)), false, 2, nil},
		{"read of nothing", at(fRead, con32(1), con64(8), con32(100), con32(0)), false, 0, nil},
		{"read after the end", at(fRead, con32(1), con64(80), con32(100), con32(8)), false, 0, nil},
		{"read before the start", at(fRead, con32(1), con64(-1), con32(100), con32(8)), false, -5, nil},
		{"read of what was never written", at(fRead, con32(2), con64(0), con32(100), con32(8)), false, -int64(message.NotWritten), nil},
		{"read of a foreign index", at(fRead, con32(77), con64(0), con32(100), con32(8)), false, -5, nil},
		{"write of a register", at(fWrite, con32(0), con64(0), con32(0), con32(3)), false, 3, func() bool { return string(s.cells[reg(7)]) == "abc" }},
		{"write within a register", at(fWrite, con32(0), con64(1), con32(0), con32(3)), false, -5, nil},
		{"write within a block", at(fWrite, con32(1), con64(7), con32(0), con32(3)), false, 3, func() bool { return string(s.cells[heap(4096)]) == "0123456abc" }},
		{"write over a block's end", at(fWrite, con32(1), con64(8), con32(0), con32(3)), false, -5, nil},
		{"write of a foreign index", at(fWrite, con32(5), con64(0), con32(0), con32(3)), false, -5, nil},
		{"args_size", at(fArgsSize), false, 7, nil},
		{"args_read", at(fArgsRead, con32(100)), false, 7, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			put := store32
			if c.long {
				put = store64
			}
			code := cat(put(16, c.code), con32(4), con64(0), con32(16), con32(8), callf(fWrite), drop)
			r := newRunner(t, Config{})
			result, _, err := r.Run(t.Context(), request("f", `{"a":1}`, reg(7), heap(4096), reg(8), heap(0), reg(9)), bring(asm{bodies: [][]byte{code}, data: "abc"}.bytes()), s)
			if err != nil {
				t.Fatal(err)
			}
			if string(result) != "null" {
				t.Errorf("a module that answers nothing answered %s", result)
			}
			got := int64(binary.LittleEndian.Uint64(s.cells[reg(9)]))
			if !c.long {
				got = int64(int32(got))
			}
			if got != c.want {
				t.Errorf("%d instead of %d", got, c.want)
			}
			if c.check != nil && !c.check() {
				t.Errorf("the data is %q", s.cells)
			}
		})
	}
}
