package message

import (
	"errors"
	"fmt"
	"testing"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]uint64{"100": 100, "4k": 4096, "4K": 4096, "1MiB": 1 << 20, "1mb": 1 << 20, "2GiB": 2 << 30, "1T": 1 << 40, "7b": 7, "0": 0,
		"18446744073709551615": 1<<64 - 1} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "1e30", "x", "1.5k", "4kk", "4i", "0x10", "18446744073709551616", "16777216T", " 1", "1ib", "9999999999999999999999"} {
		if got, err := ParseSize(in); CodeOf(err) != InvalidArgument {
			t.Errorf("ParseSize(%q) = %d, %v; want invalid_argument", in, got, err)
		}
	}
	for n, want := range map[uint64]string{0: "0", 100: "100", 4096: "4KiB", 1 << 20: "1MiB", 3 << 30: "3GiB", 4097: "4097"} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %s; want %s", n, got, want)
		}
	}
}

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]Addr{"0x500000001000": HeapBase + PageSize, "0X5": 5, "87960930226176": HeapBase + PageSize, "0": 0} {
		if got, err := ParseAddr(in); err != nil || got != want {
			t.Errorf("ParseAddr(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0x", "-1", "abc", "0xg", "1_000", "+1", "0x1_0", "0x10000000000000000"} {
		if _, err := ParseAddr(in); CodeOf(err) != InvalidArgument {
			t.Errorf("ParseAddr(%q): %v; want invalid_argument", in, err)
		}
	}
}

func TestWindows(t *testing.T) {
	if c, ok := Addr(HeapBase).Company(); !ok || c != 1 {
		t.Errorf("first window belongs to %v, %v", c, ok)
	}
	if CompanyID(1).Limit() != 0x501000000000 {
		t.Errorf("limit of company 1 is %v", CompanyID(1).Limit())
	}
	if _, ok := Addr(HeapBase - 1).Company(); ok {
		t.Error("below the heap lies a window")
	}
	if _, ok := CompanyID(MaxCompany).Limit().Company(); ok {
		t.Error("above the heap lies a window")
	}
}

func TestTablesAreFull(t *testing.T) {
	words := map[string]bool{}
	for c := Done; c < codeEnd; c++ {
		if words[c.String()] || codes[c].word == "" || codes[c].status == 0 {
			t.Errorf("code %d has no row of its own", c)
		}
		words[c.String()] = true
	}
	for o := NONE; o < opEnd; o++ {
		if opNames[o] == "" {
			t.Errorf("op %d has no name", o)
		}
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("while testing: %w", Errorf(AlreadyFree, "%v is already free", Addr(HeapBase)))
	if CodeOf(err) != AlreadyFree || !errors.Is(err, &Error{Code: AlreadyFree}) || errors.Is(err, &Error{Code: Timeout}) {
		t.Errorf("class of %v is %v", err, CodeOf(err))
	}
	if CodeOf(errors.New("x")) != Internal || CodeOf(nil) != Done {
		t.Error("errors without a class")
	}
}
