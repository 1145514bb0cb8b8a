package faultfs

import (
	"errors"
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
//	offset   …tail │ head ┊ whole sectors of one large write ┊ tail │ …
//	              page cache │   O_DIRECT, from bulkBuffer  │ page cache
//
// Direct or not makes no difference to who reads the file or syncs it: the kernel keeps both ways coherent, and what
// is written either way is on the disk for certain after a sync, and only then.
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

// bulkFile is a file that is only appended to. It gathers the pieces of a record while more of it must be coming, and
// writes what is large around the page cache.
type bulkFile struct {
	file   *os.File
	closed func()

	mu       sync.Mutex // guards what follows: a sync may run beside an append
	off      int64      // where the gathered bytes belong
	buffer   *[]byte    // nil: nothing is gathered
	from, to int        // of the buffer that are gathered. from is off modulo sector, so that both are aligned together
	indirect bool       // the file system does not do it, or the disk wants more than we align to
}

// Write appends. A piece that ends with a block of the log is followed by more, or by a sync; anything else ends a
// record, and goes to the file with all before it.
func (f *bulkFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(p) {
		if f.buffer == nil {
			if rest := p[n:]; f.whole(len(rest)) == 0 && len(rest) < bulkFrom { // the common case: a short record
				m, err := f.file.Write(rest)
				f.off += int64(m)
				return n + m, err
			}
			f.buffer = bulkBuffers.Get().(*[]byte)
			f.from = int(f.off % sector)
			f.to = f.from
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

// whole is 0 unless n more bytes end with a block of the log.
func (f *bulkFile) whole(n int) int64 {
	if (f.off+int64(n))%logBlock != 0 {
		return 0
	}
	return int64(n)
}

// flush writes what is gathered.
func (f *bulkFile) flush() error {
	if f.buffer == nil {
		return nil
	}
	p := (*f.buffer)[f.from:f.to]
	begin := f.off
	f.off += int64(len(p))
	buffer := f.buffer
	f.buffer = nil
	defer bulkBuffers.Put(buffer)
	if f.indirect || len(p) < bulkFrom {
		_, err := f.file.Write(p)
		return err
	}
	head := int(-begin & (sector - 1))
	tail := len(p) - int((begin+int64(len(p)))%sector)
	for _, part := range []struct {
		p      []byte
		direct bool
	}{{p[:head], false}, {p[head:tail], true}, {p[tail:], false}} {
		if len(part.p) == 0 {
			continue
		}
		if err := f.write(part.p, part.direct); err != nil {
			return err
		}
	}
	return nil
}

// write writes at the file's offset, directly if that can be.
func (f *bulkFile) write(p []byte, directly bool) error {
	if directly && f.setDirect(true) {
		n, err := f.file.Write(p)
		f.setDirect(false)
		p = p[n:]
		switch {
		case err == nil && len(p) == 0:
			return nil
		case errors.Is(err, unix.EINVAL): // not with this alignment
			f.indirect = true
		case err != nil:
			return err
		}
	}
	_, err := f.file.Write(p)
	return err
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

// settle writes what is gathered, before something looks at the file in another way.
func (f *bulkFile) settle() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flush()
}

func (f *bulkFile) Sync() error {
	if err := f.settle(); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *bulkFile) Close() error {
	f.closed()
	return errors.Join(f.settle(), f.file.Close())
}

func (f *bulkFile) Stat() (os.FileInfo, error) {
	if err := f.settle(); err != nil {
		return nil, err
	}
	return f.file.Stat()
}

func (f *bulkFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.flush(); err != nil {
		return 0, err
	}
	n, err := f.file.Read(p)
	f.off += int64(n)
	return n, err
}

func (f *bulkFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.settle(); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, at)
}

func (f *bulkFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.settle(); err != nil {
		return 0, err
	}
	return f.file.WriteAt(p, at)
}

func (f *bulkFile) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.flush(); err != nil {
		return 0, err
	}
	at, err := f.file.Seek(offset, whence)
	if err == nil {
		f.off = at
	}
	return at, err
}

var _ vfs.File = (*bulkFile)(nil)
