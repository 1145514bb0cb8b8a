package faultfs

import (
	"errors"
	"io"
	"os"
	"sync"
	"unsafe"

	"github.com/lni/vfs"
	"golang.org/x/sys/unix"
)

// A log's bytes are written once and hardly ever read, so the page cache is the wrong place for many of them: taking a
// fresh page for each 4 KiB and copying costs several times the CPU of handing the memory to the disk, and the disk
// gets its work late. So what is appended to such a file in bulk goes to the disk directly:
//
//	offset   …  tail ┊ whole sectors of one large write ┊ tail  …
//	      page cache │   O_DIRECT, from bulkBuffer      │ page cache
//
// The tail of before is written again with the sectors behind it: its own copy may not be on the disk yet.
//
// Direct or not makes no difference to who reads the file or syncs it: the kernel keeps both ways coherent, and what
// is written either way is on the disk for certain after a sync, and only then. Nor may it make one to a power failure,
// after which a log can end early but must have no hole: what an unsynced write left in the page cache is synced
// before anything behind it is written directly.
const (
	sector     = 4096     // what direct writes are aligned to, in the file and in memory; no disk asks for more
	logBlock   = 32 << 10 // Dragonboat's log writes a record as pieces that end at multiples of this, and the rest
	bulkBuffer = 2 << 20  // bytes that are gathered for one write
	bulkFrom   = 64 << 10 // fewer are left to the page cache: a short write is no faster directly
)

// bulkBuffers are for the logs that are being appended to; one is in use only between two pieces of a record.
var bulkBuffers = sync.Pool{New: func() any { b := aligned(bulkBuffer + sector); return &b }}

// aligned is memory that begins at a multiple of sector.
func aligned(n int) []byte {
	b := make([]byte, n+sector)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (sector - 1))
	return b[skip : skip+n : skip+n]
}

// realFile is an *os.File.
type realFile interface {
	vfs.File
	Fd() uintptr
}

// bulkFile is a file that is only appended to. It gathers the pieces of a record while more of it must be coming, and
// writes what is large around the page cache. Once it is used otherwise it leaves everything to the page cache.
type bulkFile struct {
	file   realFile
	closed func()

	mu       sync.Mutex   // guards what follows: a sync may run beside an append
	off      int64        // where the gathered bytes belong, or the next ones
	last     [sector]byte // what the file has of the sector that off is in
	cached   int64        // where what is only in the page cache begins; off and beyond: nothing is
	buffer   *[]byte      // nil: nothing is gathered
	from, to int          // of the buffer that are gathered, from being off modulo sector; the file's last is before them
	indirect bool         // it is no log, its file system does not do it, or the disk wants more than we align to
	failed   error        // what was appended is not all in the file, whoever was told: nothing is appended or synced any more
}

// Write appends. A piece that ends with a block of the log is followed by more, or by a sync; anything else ends a
// record, and goes to the file with all before it.
func (f *bulkFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(p) {
		if f.buffer == nil {
			if rest := p[n:]; f.indirect || len(rest) < bulkFrom && (f.off+int64(len(rest)))%logBlock != 0 { // a short record, as most are
				if err := f.through(rest); err != nil {
					return n, err
				}
				return len(p), nil
			}
			f.buffer = bulkBuffers.Get().(*[]byte)
			f.from = int(f.off % sector)
			f.to = f.from
			copy(*f.buffer, f.last[:f.from])
		}
		m := copy((*f.buffer)[f.to:], p[n:])
		f.to += m
		n += m
		if f.to == len(*f.buffer) {
			if err := f.flush(); err != nil {
				return n, err
			}
		}
	}
	if f.buffer != nil && (f.off+int64(f.to-f.from))%logBlock != 0 {
		return n, f.flush()
	}
	return n, nil
}

// through appends by way of the page cache.
func (f *bulkFile) through(p []byte) error {
	if f.failed != nil {
		return f.failed
	}
	_, err := f.file.WriteAt(p, f.off)
	f.failed = err
	f.cached = min(f.cached, f.off)
	f.passed(p)
	return err
}

// passed notes that p was appended.
func (f *bulkFile) passed(p []byte) {
	in := int(f.off % sector)
	f.off += int64(len(p))
	if now := int(f.off % sector); len(p) >= now {
		copy(f.last[:now], p[len(p)-now:])
	} else {
		copy(f.last[in:], p)
	}
}

// flush writes what is gathered.
func (f *bulkFile) flush() error {
	if f.buffer == nil || f.failed != nil {
		return f.failed
	}
	buffer, p := f.buffer, (*f.buffer)[f.from:f.to]
	f.buffer = nil
	defer bulkBuffers.Put(buffer)
	if whole := f.to - f.to%sector; len(p) >= bulkFrom && !f.indirect {
		wrote, err := f.direct((*buffer)[:whole])
		if err != nil {
			f.failed = err
			return err
		}
		if wrote {
			f.passed(p[:whole-f.from])
			f.cached = f.off
			p = p[whole-f.from:]
		}
	}
	if len(p) == 0 {
		return nil
	}
	return f.through(p)
}

// direct writes whole sectors from the beginning of that one on which the file ends, if that can be done.
func (f *bulkFile) direct(p []byte) (bool, error) {
	at := f.off - f.off%sector
	if f.cached < at {
		if err := f.file.Sync(); err != nil {
			return false, err
		}
		f.cached = f.off
	}
	if !f.setDirect(true) {
		return false, nil
	}
	_, err := f.file.WriteAt(p, at)
	f.setDirect(false)
	if errors.Is(err, unix.EINVAL) { // not with this alignment
		f.indirect = true
		return false, nil
	}
	return err == nil, err
}

// setDirect turns O_DIRECT on or off, and says whether that was done.
func (f *bulkFile) setDirect(on bool) bool {
	flags, err := unix.FcntlInt(f.file.Fd(), unix.F_GETFL, 0)
	if err == nil {
		if flags &^= unix.O_DIRECT; on {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(f.file.Fd(), unix.F_SETFL, flags)
	}
	f.indirect = f.indirect || err != nil
	return err == nil
}

// settle writes what is gathered, before something looks at the file in another way, and says where it ends.
func (f *bulkFile) settle() (end int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.flush()
	return f.off, err
}

// otherwise settles a file that is used as a log is not.
func (f *bulkFile) otherwise() error {
	_, err := f.settle()
	f.mu.Lock()
	f.indirect = true
	f.mu.Unlock()
	return err
}

func (f *bulkFile) Sync() error {
	end, err := f.settle()
	if err == nil {
		err = f.file.Sync()
	}
	if err == nil {
		f.mu.Lock()
		f.cached = max(f.cached, end) // what came meanwhile may not be there
		f.mu.Unlock()
	}
	return err
}

func (f *bulkFile) Close() error {
	f.closed()
	_, err := f.settle()
	return errors.Join(err, f.file.Close())
}

func (f *bulkFile) Stat() (os.FileInfo, error) {
	if _, err := f.settle(); err != nil {
		return nil, err
	}
	return f.file.Stat()
}

func (f *bulkFile) ReadAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock() // a direct write beside it would want it aligned
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, at)
}

func (f *bulkFile) Read(p []byte) (int, error) {
	if err := f.otherwise(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.file.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *bulkFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.otherwise(); err != nil {
		return 0, err
	}
	return f.file.WriteAt(p, at)
}

// Seek tells where the file ends, as who writes a log asks once; elsewhere it is no log any more.
func (f *bulkFile) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		end, err := f.settle()
		if err != nil || offset == 0 {
			return end, err
		}
		offset, whence = offset+end, io.SeekStart
	}
	if err := f.otherwise(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.file.Seek(offset, whence)
	if err == nil {
		f.off = at
	}
	return at, err
}

var _ vfs.File = (*bulkFile)(nil)
