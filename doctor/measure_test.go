package doctor

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// E4: a directory is as it was after it was measured, and one that is not there is not made.
func TestMeasureDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, filepath.Join(dir, "not", "yet")} {
		if d := MeasureDisk(at); d.Err != "" || d.Total == 0 || len(d.Syncs) != syncs || d.Temporary {
			t.Errorf("%s: %+v", at, d)
		}
	}
	for _, at := range []string{file, filepath.Join(file, "below")} {
		if d := MeasureDisk(at); d.Err == "" {
			t.Errorf("%s can be used: %+v", at, d)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestMeasurePorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if all := MeasurePorts(l.Addr().String(), 1); all[0].Err != "address already in use" {
		t.Errorf("%+v", all)
	}
	if all := MeasurePorts("127.0.0.1:65535", 2); len(all) != 2 || all[1].Err == "" || all[1].Address != "127.0.0.1:"+strconv.Itoa(65536) {
		t.Errorf("%+v", all)
	}
	if all := MeasurePorts("no port", 3); len(all) != 1 || all[0].Err == "" {
		t.Errorf("%+v", all)
	}
}

func TestMeasureOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meminfo")
	if err := os.WriteFile(file, []byte("MemTotal:  9 kB\nMemAvailable:    2048 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := availableMemory(file); got != 2<<20 {
		t.Errorf("%d bytes are available", got)
	}
	if got := availableMemory(file + "x"); got != 0 {
		t.Errorf("%d bytes by a file that is not there", got)
	}
	if l := MeasureLimits(); l.Cores == 0 || l.Files == 0 {
		t.Errorf("%+v", l)
	}
	if c := MeasureClock(func() {}); c.Backwards != 0 {
		t.Errorf("%+v", c)
	}
	if all := MeasureTools(); len(all) != 2 {
		t.Errorf("%+v", all)
	}
}
