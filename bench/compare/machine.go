package compare

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Machine is what was measured on.
type Machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory uint64  `json:"memory_bytes"`
	Kernel string  `json:"kernel"`
	Files  string  `json:"file_system"`
	Sync   float64 `json:"fsync_p50_us"` // of 4 KiB that were appended
	Go     string  `json:"go"`
	Others float64 `json:"others"` // part of the processors' time that was in use just before
}

const (
	syncs = 200 // that the median is of
	watch = time.Second
	quiet = 0.15 // part of the processors' time, up to which a machine has nothing else to do
)

// Busy says that others use the machine, "" if they do not: what is measured then is as much about them.
func (m *Machine) Busy() string {
	if m.Others <= quiet {
		return ""
	}
	return fmt.Sprintf("others used %.0f %% of the processors in the second before: these numbers are noise", 100*m.Others)
}

func (m *Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %.0f GiB of memory, %s, %s, fsync p50 %.0f µs", m.CPU, m.Cores, float64(m.Memory)/(1<<30), m.Kernel, m.Files, m.Sync)
}

// Rows begins a page's table of what was measured on.
func (m *Machine) Rows(w io.Writer) {
	fmt.Fprintf(w, "| machine | %s, %d cores, %.0f GiB of memory |\n| --- | --- |\n", m.CPU, m.Cores, float64(m.Memory)/(1<<30))
	fmt.Fprintf(w, "| system | %s, files on %s |\n| disk | fsync of 4 KiB takes %.0f µs at the median |\n", m.Kernel, m.Files, m.Sync)
}

// Look looks at the machine, and writes into dir to see how long a sync takes.
func Look(dir string) (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: runtime.GOARCH, Kernel: runtime.GOOS}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			m.CPU = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib := uint64(0)
		_, _ = fmt.Sscanf(string(b), "MemTotal: %d kB", &kib)
		m.Memory = kib << 10
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(b))
	}
	m.Others = inUse(watch)
	m.Files = fileSystem(dir)
	var err error
	m.Sync, err = syncTime(dir)
	return m, err
}

// inUse watches for a while what part of all processors' time is used, 0 where the system does not tell.
func inUse(during time.Duration) float64 {
	idle, all := processorTime()
	time.Sleep(during)
	idleThen, allThen := processorTime()
	if allThen <= all || idleThen < idle {
		return 0
	}
	return 1 - float64(idleThen-idle)/float64(allThen-all)
}

// processorTime is ticks as they are now, zeros where the system does not tell.
func processorTime() (idle, all uint64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	return ticks(string(b))
}

// ticks reads how long all processors have had nothing to do, and how long they have been there: proc_stat(5).
func ticks(stat string) (idle, all uint64) {
	line, _, _ := strings.Cut(stat, "\n")
	var t [8]uint64 // user, nice, system, idle, waiting for the disk, interrupts, those put off, taken by the host
	n, _ := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7])
	for _, v := range t[:n] {
		all += v
	}
	return t[3] + t[4], all
}

func syncTime(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "dmalloc-sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []float64
	p := make([]byte, 4096)
	for range syncs {
		if _, err := f.Write(p); err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/1e3)
	}
	slices.Sort(took)
	return Median(took), nil
}
