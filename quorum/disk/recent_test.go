package disk

import (
	"bytes"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// A small value is read from its file once. What is shown is that of the newest tag, and the caller's own.
func TestRecent(t *testing.T) {
	m := newMemory()
	s := must(t, m, Options{})
	var reads atomic.Int64
	m.read = func(path string, _ []byte) {
		if filepath.Ext(path) == ".reg" {
			reads.Add(1)
		}
	}
	get := func(n uint64, want string, files int64) {
		t.Helper()
		reads.Store(0)
		got, ok, err := s.Get(reg(n), MaxValue)
		if err != nil || !ok || string(got.Value) != want {
			t.Fatalf("%+v, %v, %v; not %q", got, ok, err, want)
		}
		clear(got.Value)
		if reads.Load() != files {
			t.Errorf("%d reads of files, not %d", reads.Load(), files)
		}
	}
	large := string(bytes.Repeat([]byte("x"), recentMost+1))
	for n, value := range []string{"one", large} {
		if err := put(t, s, reg(uint64(n)), tag(1), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	get(0, "one", 1)
	get(0, "one", 0)
	get(1, large, 1)
	get(1, large, 1)
	if st := s.Stats(); st.RecentBytes != rememberedBytes+3 {
		t.Errorf("%d bytes remembered", st.RecentBytes)
	}
	if err := put(t, s, reg(0), tag(2), []byte("other")); err != nil {
		t.Fatal(err)
	}
	get(0, "other", 1)
	get(0, "other", 0)
	if st := s.Stats(); st.RecentBytes != rememberedBytes+5 {
		t.Errorf("%d bytes remembered after another value", st.RecentBytes)
	}
	s.recent.put(entry{id: reg(0), tag: tag(3)}, []byte("ahead")) // by a read that was slow, of what is not there any more
	get(0, "other", 1)
}
