package certs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmalloc/message"
)

func TestDescribe(t *testing.T) {
	dir := made(t, 3, "heap.example")
	if err := os.Chmod(filepath.Join(dir, "node-1.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "node-2.key")); err != nil {
		t.Fatal(err)
	}
	lines, err := describeAt(dir, monday.AddDate(0, 0, 300))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ca.crt        dmalloc authority ........  until 2040-07-01 (3353 days); its key is here, too: nodes do not need it",
		"launcher.crt  launcher                    until 2031-07-01 (65 days); for localhost, heap.example, 127.0.0.1, ::1",
		"client.crt    client                      until 2031-07-01 (65 days)",
		"node-0.crt    node 0                      until 2031-07-01 (65 days); for localhost, heap.example, 127.0.0.1, ::1",
		"node-1.crt    node 1                      UNUSABLE: DIR/node-1.key is a key that others can read (mode 0644): chmod 600 DIR/node-1.key, and make a new one if somebody may have read it",
		"node-2.crt    node 2                      until 2031-07-01 (65 days); its key is not here",
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	lines[0] = lines[0][:32] + "........" + lines[0][40:]
	for i, l := range lines {
		if l = strings.ReplaceAll(l, dir, "DIR"); l != want[i] {
			t.Errorf("line %d\n%s\nwant\n%s", i, l, want[i])
		}
	}
	lines, err = describeAt(dir, monday.AddDate(2, 0, 0))
	if err != nil || !strings.Contains(lines[3], "UNUSABLE") || !strings.Contains(lines[3], "expired on 2031-07-01") {
		t.Errorf("%v %v", lines, err)
	}
	_, err = Describe(t.TempDir())
	says(t, err, message.InvalidArgument, "ca.crt is missing", "certs.Describe")
}
