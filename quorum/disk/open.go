package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"dmalloc/message"
)

// Open reads all files below dir, checks every byte of them, and serves from then on. It makes the directory
// if it is not there. Damage, and files of another identity, are refused with an error of class Corrupt, and
// nothing is changed then; a torn end is cut (D3).
func Open(dir string, id Identity, o Options) (*Store, error) { return open(system{}, dir, id, o) }

func open(l layer, dir string, id Identity, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Disk != nil {
		l = drilled{l, o.Disk}
	}
	if len(id.Cluster) > maxCluster {
		return nil, message.Errorf(message.InvalidArgument, "the cluster's name has %d bytes; at most %d are kept", len(id.Cluster), maxCluster)
	}
	if err := l.MakeDir(dir); err != nil {
		return nil, &message.Error{Op: "disk.Open", Code: message.Unavailable, Text: fmt.Sprintf("cannot make the directory %s of the registers", dir), Err: err}
	}
	unlock, err := l.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, &message.Error{Op: "disk.Open", Code: message.Unavailable, Text: fmt.Sprintf("cannot lock the registers below %s; end the process that has them open", dir), Err: err}
	}
	s := &Store{
		dir: dir, id: id, o: o, layer: l, unlock: unlock,
		index: newIndex(o), queue: newQueue(o.QueueBytes),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), failed: make(chan error, 1),
	}
	if err := s.load(); err != nil {
		_ = s.closeFiles() // the reason to give is why they were not opened
		return nil, err
	}
	s.showKept()
	s.tasks.Add(2)
	go s.write()
	go s.compact()
	return s, nil
}

// load finds out what is there, changes nothing until all of it is known to be right, and then cuts what is
// torn and removes what is left over.
func (s *Store) load() error {
	names, err := s.layer.List(s.dir)
	if err != nil {
		return unreadable(s.dir, 0, err)
	}
	if !slices.Contains(names, manifestName) {
		return s.create1(names)
	}
	if s.manifest, err = s.readManifest(); err != nil {
		return err
	}
	leftover, err := s.leftovers(names)
	if err != nil {
		return err
	}
	var prev seal
	for i, known := range s.manifest.Segments {
		newest := i == len(s.manifest.Segments)-1
		c, err := s.readSegment(known, !newest)
		if err != nil {
			return err
		}
		if i > 0 && s.manifest.Segments[i-1].Number == c.number-1 && c.prev != prev.Sum {
			return damagef(c.path, 0, "the segment does not follow %s", segmentName(c.number-1))
		}
		prev, s.current = c.seal, c
	}
	if s.current.manifest > s.manifest.Serial {
		return damagef(filepath.Join(s.dir, manifestName), 0, "it is an older copy: number %d, and number %d was there", s.manifest.Serial, s.current.manifest)
	}
	return s.tidy(leftover)
}

// create1 makes the files of an empty store, if there is really nothing.
func (s *Store) create1(names []string) error {
	manifest := filepath.Join(s.dir, manifestName)
	if s.o.Known {
		return damagef(manifest, 0, "the file is missing")
	}
	for _, name := range names {
		number, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		begun, err := s.hasGroups(number)
		if err != nil {
			return err
		}
		if begun || number != firstSegment {
			return damagef(manifest, 0, "the file is missing, and %s is there", name)
		}
	}
	c, err := s.create(firstSegment, 0)
	if err == nil {
		s.current, s.index.segments[c.number] = c, c
		err = s.save(manifest1(s.id, s.o.Shards, c))
	}
	if err == nil {
		return nil
	}
	code := message.Unavailable
	if noRoom(err) {
		code = message.OutOfMemory
	}
	return &message.Error{Op: "disk.Open", Code: code, Text: fmt.Sprintf("cannot make the files of the registers below %s; make room there and start again", s.dir), Err: err}
}

func manifest1(id Identity, shards int, c *segment) manifest {
	return manifest{Identity: id, Shards: shards, Segments: []sealed{{c.number, c.seal}}}
}

func (s *Store) readManifest() (manifest, error) {
	path := filepath.Join(s.dir, manifestName)
	f, err := s.layer.Open(path)
	if err != nil {
		return manifest{}, unreadable(path, 0, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Size()
	if err != nil {
		return manifest{}, unreadable(path, 0, err)
	}
	if size > maxManifest {
		return manifest{}, damagef(path, 0, "the manifest is longer than any that is written")
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		return manifest{}, unreadable(path, 0, err)
	}
	m, why := parseManifest(b)
	switch {
	case why != "":
		return m, damagef(path, 0, "%s", why)
	case m.Identity != s.id:
		return m, damagef(path, 0, "the files belong to %s, not to %s", m.Identity, s.id)
	case m.Shards != s.o.Shards:
		return m, damagef(path, 0, "the files were written with %d shards, not %d", m.Shards, s.o.Shards)
	}
	return m, nil
}

// leftovers are the segments that no manifest names: one that was emptied, or one that was never begun.
func (s *Store) leftovers(names []string) (paths []string, err error) {
	newest := s.manifest.newest().Number
	for _, name := range names {
		number, ok := parseSegmentName(name)
		if !ok || slices.ContainsFunc(s.manifest.Segments, func(k sealed) bool { return k.Number == number }) {
			continue
		}
		path := filepath.Join(s.dir, name)
		if number > newest {
			begun, err := s.hasGroups(number)
			if err != nil {
				return nil, err
			}
			if begun || number != newest+1 {
				return nil, damagef(path, 0, "the manifest does not know the segment: the manifest is an older copy")
			}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// hasGroups says whether a segment that no manifest names was begun all the same.
func (s *Store) hasGroups(number uint32) (bool, error) {
	c, w, err := s.openSegment(number)
	if err != nil {
		return false, err
	}
	defer func() { _ = c.file.Close() }() // it was only read
	b, err := w.at(0, segmentFixed+maxCluster)
	if err != nil {
		return false, unreadable(c.path, 0, err)
	}
	if c.parseHeader(b, s.id) != "" {
		return false, nil // its header was not finished, or is damaged: then so is the manifest's file
	}
	each := func(found) {}
	_, err = c.next(w, each)
	var damage *DamageError
	if err != nil && !errors.As(err, &damage) {
		return false, unreadable(c.path, c.End, err)
	}
	later, err := c.laterGroup(w)
	if err != nil {
		return false, unreadable(c.path, c.End, err)
	}
	return damage != nil || c.Seq > 0 || c.marked || later >= 0, nil
}

func (s *Store) openSegment(number uint32) (*segment, *window, error) {
	c := &segment{number: number, path: filepath.Join(s.dir, segmentName(number))}
	f, err := s.layer.Open(c.path)
	if err != nil {
		return nil, nil, unreadable(c.path, 0, err)
	}
	c.file = f
	size, err := f.Size()
	if err != nil {
		_ = f.Close() // it was only read
		return nil, nil, unreadable(c.path, 0, err)
	}
	return c, &window{file: f, size: size}, nil
}

// readSegment opens a segment that the manifest names and takes its records into the index.
func (s *Store) readSegment(known sealed, exact bool) (*segment, error) {
	c, w, err := s.openSegment(known.Number)
	if err != nil {
		return nil, err
	}
	s.index.segments[c.number] = c // closeFiles finds it there
	b, err := w.at(0, segmentFixed+maxCluster)
	if err != nil {
		return nil, unreadable(c.path, 0, err)
	}
	if why := c.parseHeader(b, s.id); why != "" {
		return nil, damagef(c.path, 0, "%s", why)
	}
	var refused error
	torn, err := c.scan(w, known.seal, exact, func(f found) {
		if err := s.admit(c, f); refused == nil {
			refused = err
		}
	})
	switch {
	case err != nil:
		return nil, err
	case refused != nil:
		return nil, refused
	case torn != "":
		s.o.Log.Info("the last write of registers was torn and is cut: nobody was told that it was done", "file", c.path, "offset", c.End, "why", torn)
	}
	return c, nil
}

// admit brings a record into the index, if it counts.
func (s *Store) admit(c *segment, f found) error {
	shard, err := s.index.shardOf(f.id)
	if err != nil {
		return err
	}
	if s.manifest.hidden(shard, c.number) || f.tag.Compare(s.index.tag(f.id)) <= 0 {
		return nil
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	s.index.put(entry{id: f.id, tag: f.tag, number: c.number, offset: uint32(f.offset), size: uint32(len(f.value))}, shard)
	return nil
}

// tidy makes the files as if they had been closed: nothing torn, nothing left over, and a manifest that knows
// how far the newest segment goes.
func (s *Store) tidy(leftover []string) error {
	var err error
	for _, path := range leftover {
		err = errors.Join(err, s.layer.Remove(path))
	}
	if e := s.layer.Remove(filepath.Join(s.dir, newManifest)); !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	c := s.current
	size, e := c.file.Size()
	if err = errors.Join(err, e); err == nil && size > c.End {
		c.marked = true // or torn, which is cut in the same way
		err = c.unmark()
	}
	if err != nil {
		return &message.Error{Op: "disk.Open", Code: message.Unavailable, Text: fmt.Sprintf("cannot cut the torn end of %s; make the files writable and start again", c.path), Err: err}
	}
	c.marked = false
	m := s.manifest.clone()
	m.Segments[len(m.Segments)-1].seal = c.seal
	if err := s.save(m); err != nil {
		// The older one is right as well, unless nobody knows which one is there.
		if noRoom(err) {
			return nil
		}
		return &message.Error{Op: "disk.Open", Code: message.Unavailable, Text: fmt.Sprintf("cannot write %s; make the disk work and start again", filepath.Join(s.dir, manifestName)), Err: err}
	}
	return nil
}
