package faultfs

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/lni/vfs"
)

// A log is only appended to, synced every few appends, and hardly ever read. What a sync costs is what it has to write
// besides the bytes: the file's new size and that blocks which were only reserved are used now, through the file system's
// journal. So while appends are small, they go to sectors that are part of the file and were written before, with
// room (Options.Room). Such a sync is one write around the page cache that is durable when it returns:
//
//	offset   …  written ┊ gathered  ┊ room …        ┊ reserved, not in the file
//	            ────────┊▇▇▇▇▇▇▇▇▇▇▇┊▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒┊
//	              └──────────┴─────────┘ whole sectors, written with the next sync: the written bytes in the first
//	                                     sector are written again as they are, what is left of the last is room
//
// When the room is used up, the write that ends behind it brings more, in proportion to what the log has: a log of which little becomes
// costs little. Large appends bring none, for they would be written twice.
//
// Who reads the file itself, after a kill or a power failure, finds room behind the log's end; after a power failure in the middle
// of a sync also sectors of room within what that sync was to write, and nothing else that is not as it was appended.
// Who reads it through the file system does not see the room, and Close takes it out of the file.
const (
	sector = 4096 // what direct writes are aligned to, in the file and in memory; no disk asks for more

	ownBuffer    = 2 * sector // bytes a log has for itself: it may stay gathered for long
	middleBuffer = 128 << 10  // bytes that are lent to an append until it is synced
	largeBuffer  = 2 << 20    // bytes of one write at most

	leastRoom = 16 << 10  // bytes that a log gets at first
	mostRoom  = 1 << 20   // and at most, when it has as many
	roomUpTo  = 128 << 10 // bytes of a write that brings more room
)

var (
	middleBuffers = sync.Pool{New: func() any { b := aligned(middleBuffer); return &b }}
	largeBuffers  = sync.Pool{New: func() any { b := aligned(largeBuffer); return &b }}
)

// logFile is an open log. One goroutine appends; a sync, or a reader, may come beside it.
type logFile struct {
	disk   logDisk
	room   []byte // what room looks like, mostRoom of it
	closed func()

	mu       sync.Mutex
	base     int64  // where buffer belongs: the sector that written is in
	buffer   []byte // what was appended from base on; its capacity is whole sectors, and it begins like one
	own      []byte
	lent     *[]byte // buffer, when it is not own
	written  int64   // what was appended up to here is in the file; base+len(buffer) is the end of what was appended
	filled   int64   // written around the page cache up to here, and so how long the file is; 0: nothing yet
	unsynced bool    // the file has something that no sync has seen
	cached   bool    // by way of the page cache: the file system or the disk does not do otherwise
	plain    bool    // it was used as a log is not, or closed, and is an ordinary file now
	gone     bool    // closed
	failed   error   // what was appended is not all in the file, whoever was told: nothing is appended or synced any more
}

func newLogFile(disk logDisk, room []byte) *logFile {
	own := aligned(ownBuffer)
	return &logFile{disk: disk, room: room, own: own, buffer: own[:0], closed: func() {},
		unsynced: true, // that there is a file
		cached:   disk.SetDirect(true) != nil}
}

func (f *logFile) end() int64 { return f.base + int64(len(f.buffer)) }

// Write gathers what is appended, until a sync or until it is too much.
func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plain {
		return f.disk.Write(p)
	}
	if f.failed != nil {
		return 0, f.failed
	}
	for n := 0; n < len(p); {
		if free := cap(f.buffer) - len(f.buffer); free < len(p)-n && !f.borrow(len(f.buffer)+len(p)-n) && free == 0 {
			if err := f.put(false); err != nil {
				return n, err
			}
		}
		m := min(len(p)-n, cap(f.buffer)-len(f.buffer))
		f.buffer = append(f.buffer, p[n:n+m]...)
		n += m
	}
	return len(p), nil
}

// borrow takes a larger buffer, of n bytes if there are such, and says whether it did.
func (f *logFile) borrow(n int) bool {
	from, pool := cap(f.buffer), &largeBuffers
	if n <= middleBuffer {
		pool = &middleBuffers
	}
	if from == largeBuffer || from == middleBuffer && pool == &middleBuffers {
		return false
	}
	lent := pool.Get().(*[]byte)
	f.buffer = append((*lent)[:0], f.buffer...)
	f.giveBack()
	f.lent = lent
	return true
}

// giveBack ends the use of a lent buffer. Another log may write into it at once: what it had must have been copied.
func (f *logFile) giveBack() {
	if f.lent == nil {
		return
	}
	if cap(*f.lent) == middleBuffer {
		middleBuffers.Put(f.lent)
	} else {
		largeBuffers.Put(f.lent)
	}
	f.lent = nil
}

// put writes what is gathered, and makes that durable if asked to.
func (f *logFile) put(sync bool) error {
	if f.failed != nil {
		return f.failed
	}
	if f.end() > f.written {
		if !f.cached {
			f.failed = f.direct(sync)
		}
		if f.cached && f.failed == nil { // direct may have found that it must be
			_, f.failed = f.disk.WriteAt(f.buffer[f.written-f.base:], f.written)
			f.unsynced = true
		}
		if f.failed != nil {
			return f.failed
		}
		f.keepTail()
	}
	if sync && f.unsynced {
		f.failed = f.disk.Datasync()
		f.unsynced = f.failed != nil
	}
	return f.failed
}

// direct writes the sectors of what is gathered around the page cache, and more room if it is used up.
func (f *logFile) direct(sync bool) error {
	n := len(f.buffer)
	whole := f.buffer[:(n+sector-1)/sector*sector]
	copy(whole[n:], f.room[n%sector:])
	to := f.base + int64(len(whole))
	var more []byte
	if to > f.filled && len(whole) <= roomUpTo {
		more = f.room[:min(max(to, leastRoom), mostRoom)]
	}
	err := f.disk.WriteDirect(whole, more, f.base, sync)
	if len(more) > 0 && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) { // what is appended may fit without
		more = nil
		err = f.disk.WriteDirect(whole, nil, f.base, sync)
	}
	switch {
	case errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported): // not with this alignment, not in this system
		return f.throughCache()
	case err != nil:
		return err
	}
	f.filled = max(f.filled, to+int64(len(more)))
	f.unsynced = f.unsynced || !sync
	return nil
}

// throughCache leaves the rest of the log to the page cache, and takes the room out of the file.
func (f *logFile) throughCache() error {
	f.cached, f.unsynced = true, true
	err := f.disk.SetDirect(false)
	if err == nil && f.filled > 0 {
		err = f.disk.Truncate(f.written)
		f.filled = 0
	}
	return err
}

// keepTail leaves in the buffer what the next write of the last sector begins with.
func (f *logFile) keepTail() {
	f.written = f.end()
	from := len(f.buffer) - len(f.buffer)%sector
	f.buffer = append(f.own[:0], f.buffer[from:]...) // to the left, if it is the same memory
	f.base += int64(from)
	f.giveBack()
}

// Sync makes durable what was appended before. What is appended meanwhile waits.
func (f *logFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plain {
		return f.disk.Sync()
	}
	return f.put(true)
}

// settle writes what is gathered, before somebody looks at the file, and says where the log ends, if there may be room
// behind it. It is synced as well: a power failure then finds only one unfinished write.
func (f *logFile) settle() (end int64, limited bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plain {
		return 0, false, nil
	}
	err = f.put(true)
	return f.end(), true, err
}

// otherwise makes an ordinary file of a log that is used as a log is not.
func (f *logFile) otherwise() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plain {
		return nil
	}
	if err := f.put(true); err != nil {
		return err
	}
	err := f.throughCache()
	if err == nil {
		_, err = f.disk.Seek(f.written, io.SeekStart)
	}
	f.failed, f.plain = err, err == nil
	return err
}

// Close takes the room out of the file. That need not be durable: who finds room knows what it is.
func (f *logFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if !f.plain {
		if err = f.put(false); err == nil && f.filled > f.written {
			err = f.disk.Truncate(f.written)
		}
		f.giveBack() // after a failure
		f.plain = true
	}
	f.gone = true
	f.closed() // whoever opens it by name from here on finds no room
	return errors.Join(err, f.disk.Close())
}

// durable is Sync for who does not know whether the log is still open.
func (f *logFile) durable() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.gone:
		return nil
	case f.plain:
		return f.disk.Sync()
	}
	return f.put(true)
}

// Stat tells the size without the room.
func (f *logFile) Stat() (os.FileInfo, error) {
	end, limited, err := f.settle()
	if err != nil {
		return nil, err
	}
	info, err := f.disk.Stat()
	if err == nil && limited {
		info = sized{info, end}
	}
	return info, err
}

func (f *logFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.otherwise(); err != nil {
		return 0, err
	}
	return f.disk.ReadAt(p, at)
}

func (f *logFile) Read(p []byte) (int, error) {
	if err := f.otherwise(); err != nil {
		return 0, err
	}
	return f.disk.Read(p)
}

func (f *logFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.otherwise(); err != nil {
		return 0, err
	}
	return f.disk.WriteAt(p, at)
}

// Seek tells where the log ends, as who writes one asks once; elsewhere it is no log any more.
func (f *logFile) Seek(offset int64, whence int) (int64, error) {
	if end, isLog := f.tell(); isLog && offset == 0 && whence == io.SeekCurrent {
		return end, nil
	}
	if err := f.otherwise(); err != nil {
		return 0, err
	}
	return f.disk.Seek(offset, whence)
}

func (f *logFile) tell() (end int64, isLog bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.end(), !f.plain
}

var _ vfs.File = (*logFile)(nil)
