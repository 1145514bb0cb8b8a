package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	syncs     = 50
	syncBytes = 4096
)

// MeasureDisk writes to a directory as a node would. One that is not there yet is judged by the nearest one
// above it, where it would be made. What was written is gone afterwards (E4).
func MeasureDisk(dir string) *Disk {
	d := &Disk{Dir: dir}
	if dir == "" {
		d.Dir, d.Temporary = os.TempDir(), true
	}
	at, err := existing(d.Dir)
	if err == nil {
		var s syscall.Statfs_t
		if syscall.Statfs(at, &s) == nil {
			d.Free, d.Total = s.Bavail*uint64(s.Bsize), s.Blocks*uint64(s.Bsize)
		}
		d.Syncs, err = measureSyncs(at)
	}
	if err != nil {
		d.Err = short(err)
	}
	return d
}

// existing is the directory itself, or the nearest one above that is there.
func existing(dir string) (string, error) {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is no directory", at)
		case err == nil:
			return at, nil
		case !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at):
			return "", err
		}
	}
}

func measureSyncs(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".dmalloc-doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, syncBytes)
	for range syncs {
		begin := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

// MeasureClock watches the clock while f runs, and for some readings besides.
func MeasureClock(f func()) *Clock {
	c := &Clock{}
	begin := time.Now()
	f()
	last := time.Now()
	for range 10_000 {
		now := time.Now()
		if now.Before(last) {
			c.Backwards++
		}
		last = now
	}
	c.Drift = last.Round(0).Sub(begin.Round(0)) - last.Sub(begin) // Round strips the monotonic reading
	return c
}

// MeasureLimits asks the system.
func MeasureLimits() *Limits {
	l := &Limits{Cores: runtime.NumCPU(), Memory: availableMemory("/proc/meminfo")}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		l.Files = files.Cur
	}
	return l
}

// availableMemory reads MemAvailable, 0 where the system does not say.
func availableMemory(file string) uint64 {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// MeasurePorts tries to listen at consecutive ports from the one of address on, one a node.
func MeasurePorts(address string, nodes int) []Port {
	host, text, err := net.SplitHostPort(address)
	first, perr := strconv.Atoi(text)
	if err != nil || perr != nil {
		return []Port{{address, "it is not HOST:PORT"}}
	}
	var all []Port
	for i := range nodes {
		p := Port{Address: net.JoinHostPort(host, strconv.Itoa(first+i))}
		if first+i > 65535 {
			p.Err = "ports end at 65535"
		} else if l, err := net.Listen("tcp", p.Address); err != nil {
			p.Err = short(err)
		} else {
			_ = l.Close()
		}
		all = append(all, p)
	}
	return all
}

// MeasureTools looks for programs that show pictures.
func MeasureTools() []Tool {
	all := []Tool{{Name: "graphviz", For: "turn pictures into SVG or PNG (dot)"}, {Name: "xdot", For: "watch pictures that --graph keeps current"}}
	for i, program := range []string{"dot", "xdot"} {
		_, err := exec.LookPath(program)
		all[i].Found = err == nil
	}
	return all
}

// short is an error without what the finding says already.
func short(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}
