package disk

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// memory is a file system that knows what is durable. Before each change of it hook is called, which may
// refuse it; a refused write is done by half.
type memory struct {
	mu      sync.Mutex
	names   map[string]*inode // as processes see it
	durable map[string]*inode
	renamed []func(map[string]*inode) // changes of names that are not durable
	hook    func(what, path string) error
	read    func(path string, b []byte) // may spoil what is read
}

type inode struct {
	data    []byte // as processes see it
	durable []byte
	changes []change // that are not durable
}

type change struct {
	offset   int64
	data     []byte
	truncate bool
}

func newMemory() *memory {
	return &memory{names: map[string]*inode{}, durable: map[string]*inode{}}
}

func (c change) apply(b []byte) []byte {
	if c.truncate {
		return append(b[:min(int(c.offset), len(b)):min(int(c.offset), len(b))], make([]byte, max(0, int(c.offset)-len(b)))...)
	}
	if grow := int(c.offset) + len(c.data) - len(b); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[c.offset:], c.data)
	return b
}

// killed is what a killed process leaves: everything that it has written.
func (m *memory) killed() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := newMemory()
	for name, i := range m.names {
		n.names[name] = &inode{data: slices.Clone(i.data), durable: slices.Clone(i.data)}
	}
	n.durable = maps.Clone(n.names)
	return n
}

// crashed is what a power loss leaves: what was synced, any of the changed names, and any sectors of the
// changed bytes.
func (m *memory) crashed(rnd *rand.Rand) *memory {
	const sector = 64 // the smaller, the worse
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	for _, rename := range m.renamed {
		if rnd.IntN(2) == 0 {
			rename(names)
		}
	}
	n := newMemory()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		i := names[name]
		data := slices.Clone(i.durable)
		likely := rnd.IntN(5)
		for _, c := range i.changes {
			if c.truncate {
				if rnd.IntN(4) < likely {
					data = c.apply(data)
				}
				continue
			}
			for at := c.offset; at < c.offset+int64(len(c.data)); {
				end := min((at/sector+1)*sector, c.offset+int64(len(c.data)))
				if rnd.IntN(4) < likely {
					data = change{offset: at, data: c.data[at-c.offset : end-c.offset]}.apply(data)
				}
				at = end
			}
		}
		n.names[name] = &inode{data: data, durable: slices.Clone(data)}
	}
	n.durable = maps.Clone(n.names)
	return n
}

// may asks the hook. The lock is not held, so that the hook can take images.
func (m *memory) may(what, path string) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(what, path)
}

func (m *memory) setHook(hook func(what, path string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

func (m *memory) MakeDir(string) error              { return nil }
func (m *memory) Lock(string) (func() error, error) { return func() error { return nil }, nil }

func (m *memory) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for path := range m.names {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *memory) rename(change func(map[string]*inode)) {
	change(m.names)
	m.renamed = append(m.renamed, change)
}

func (m *memory) Create(path string) (file, error) {
	if err := m.may("create", path); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := &inode{}
	m.rename(func(names map[string]*inode) { names[path] = i })
	return &memoryFile{m: m, i: i, path: path}, nil
}

func (m *memory) Open(path string) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.names[path]
	if i == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &memoryFile{m: m, i: i, path: path}, nil
}

func (m *memory) Rename(from, to string) error {
	if err := m.may("rename", from); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[from] == nil {
		return fs.ErrNotExist
	}
	m.rename(func(names map[string]*inode) {
		if i := names[from]; i != nil {
			names[to] = i
			delete(names, from)
		}
	})
	return nil
}

func (m *memory) Remove(path string) error {
	if err := m.may("remove", path); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[path] == nil {
		return fs.ErrNotExist
	}
	m.rename(func(names map[string]*inode) { delete(names, path) })
	return nil
}

func (m *memory) SyncDir(dir string) error {
	if err := m.may("syncdir", dir); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable, m.renamed = maps.Clone(m.names), nil
	return nil
}

type memoryFile struct {
	m      *memory
	i      *inode
	path   string
	closed bool
}

func (f *memoryFile) ReadAt(b []byte, offset int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	if offset >= int64(len(f.i.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.i.data[offset:])
	if f.m.read != nil {
		f.m.read(f.path, b)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) change(c change) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.i.data = c.apply(f.i.data)
	f.i.changes = append(f.i.changes, c)
}

func (f *memoryFile) WriteAt(b []byte, offset int64) (int, error) {
	err := f.m.may("write", f.path)
	n := len(b)
	if err != nil {
		n /= 2
	}
	f.change(change{offset: offset, data: slices.Clone(b[:n])})
	return n, err
}

func (f *memoryFile) Truncate(size int64) error {
	if err := f.m.may("truncate", f.path); err != nil {
		return err
	}
	f.change(change{offset: size, truncate: true})
	return nil
}

func (f *memoryFile) Sync() error {
	if err := f.m.may("sync", f.path); err != nil {
		return err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.i.durable, f.i.changes = slices.Clone(f.i.data), nil
	return nil
}

func (f *memoryFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.i.data)), nil
}

func (f *memoryFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return errors.New("closed twice")
	}
	f.closed = true
	return nil
}

// edit changes a file as it lies there.
func (m *memory) edit(path string, change func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.names[path]
	i.data = change(slices.Clone(i.data))
	i.durable, i.changes = slices.Clone(i.data), nil
}

// paths are the names of all files.
func (m *memory) paths() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.names))
}

func (m *memory) bytes(path string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.names[path].data)
}
