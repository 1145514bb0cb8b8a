package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"dmalloc/message"
)

const (
	clusterFile = "cluster.json"
	lockFile    = "lock"
)

// kept is cluster.json: what a directory knows of the cluster in it.
type kept struct {
	Settings message.Settings `json:"settings"`
	Hosts    []string         `json:"hosts"` // of the nodes, by id: their files are there
	// Formed says that every node has been ready once, so that each must have files from now on.
	Formed       bool     `json:"formed"`
	Incarnations []uint64 `json:"incarnations"` // of the nodes, by id
	// Lost nodes have a new incarnation that the directory may not know yet.
	Lost []message.NodeID `json:"lost,omitempty"`
	// Added are the nodes that came later, in the order of their coming. Settings.Nodes, Hosts and Incarnations
	// are those of the beginning for ever: all nodes compute the first directory from them.
	Added   []added          `json:"added,omitempty"`
	Leaving []message.NodeID `json:"leaving,omitempty"` // are being drained, and then let go
	Gone    []message.NodeID `json:"gone,omitempty"`    // have left for good
}

// added is a node that came after the beginning.
type added struct {
	ID          message.NodeID `json:"id"` // message.NoNode until the directory has given it one
	Host        string         `json:"host"`
	Key         uint64         `json:"key"` // by which the directory knows a repeated request for admission
	Incarnation uint64         `json:"incarnation"`
	Formed      bool           `json:"formed"` // it has been ready once, and must have files from now on
}

// late finds a node that came later, nil if there is none.
func (k *kept) late(id message.NodeID) *added {
	for i := range k.Added {
		if k.Added[i].ID == id {
			return &k.Added[i]
		}
	}
	return nil
}

// incarnation is where a node's incarnation stands.
func (k *kept) incarnation(id message.NodeID) *uint64 {
	if a := k.late(id); a != nil {
		return &a.Incarnation
	}
	return &k.Incarnations[id]
}

// formed says whether a node must have files.
func (k *kept) formed(id message.NodeID) bool {
	if a := k.late(id); a != nil {
		return a.Formed
	}
	return k.Formed
}

// ids are the nodes that there are, in order.
func (k *kept) ids() []message.NodeID {
	var ids []message.NodeID
	for i := range k.Hosts {
		if id := message.NodeID(i); !slices.Contains(k.Gone, id) {
			ids = append(ids, id)
		}
	}
	for _, a := range k.Added {
		if a.ID != message.NoNode {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// host is where a node's files are.
func (k *kept) host(id message.NodeID) string {
	if a := k.late(id); a != nil {
		return a.Host
	}
	return k.Hosts[id]
}

// check refuses what no launcher writes.
func (k *kept) check() error {
	n := k.Settings.Nodes
	if n < 1 || n > message.MaxNodes || len(k.Hosts) != n || len(k.Incarnations) != n {
		return fmt.Errorf("%d nodes, %d hosts, %d incarnations", n, len(k.Hosts), len(k.Incarnations))
	}
	for i, a := range k.Added {
		if a.ID != message.NoNode && (int64(a.ID) < int64(n) || a.ID >= message.MaxNodes || k.late(a.ID) != &k.Added[i]) {
			return fmt.Errorf("node %s was not added", a.ID)
		}
	}
	ids := k.ids()
	for _, id := range slices.Concat(k.Lost, k.Leaving) {
		if !slices.Contains(ids, id) {
			return fmt.Errorf("there is no node %s", id)
		}
	}
	if len(ids) == 0 {
		return errors.New("all nodes have left")
	}
	return nil
}

// store is the kept directory, locked; or nothing, for a temporary cluster.
type store struct {
	dir  string // absolute; empty: temporary
	lock *flock.Flock
}

// openStore locks a directory, which it makes, and reads what it holds: nil if nothing.
func openStore(dir string) (*store, *kept, error) {
	if dir == "" {
		return &store{}, nil, nil
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o700)
	}
	if err != nil {
		return nil, nil, message.Errorf(message.InvalidArgument, "the data directory %s cannot be used: %v; give a directory that can be written", dir, err)
	}
	s := &store{dir: abs, lock: flock.New(filepath.Join(abs, lockFile))}
	ok, err := s.lock.TryLock()
	if err != nil {
		return nil, nil, message.Errorf(message.InvalidArgument, "the data directory %s cannot be locked: %v; give a directory that can be written", dir, err)
	}
	if !ok {
		return nil, nil, message.Errorf(message.InvalidArgument, "%s is in use by the launcher with process id %s; leave that one, or give another directory", dir, s.holder())
	}
	found, err := s.read()
	if err == nil {
		// Into the very file that is locked: a new one would have no lock.
		err = os.WriteFile(s.lock.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, found, nil
}

// holder is the process id that the lock's holder wrote.
func (s *store) holder() string {
	b, err := os.ReadFile(s.lock.Path())
	pid, bad := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || bad != nil {
		return "unknown"
	}
	return strconv.Itoa(pid)
}

// read gives nil for a directory that is empty but for locks.
func (s *store) read() (*kept, error) {
	path := filepath.Join(s.dir, clusterFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.empty()
	}
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "%s cannot be read: %v", path, err)
	}
	var version struct {
		Settings struct{ Version int }
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, damaged(path, err)
	}
	if v := version.Settings.Version; v != DataVersion && v != beforeRuns {
		return nil, message.Errorf(message.InvalidArgument, "%s is of version %d, and this program keeps versions %d and %d; use the program that made it, or give another directory", s.dir, v, beforeRuns, DataVersion)
	}
	var k kept
	if err := strictJSON(b, &k); err != nil {
		return nil, damaged(path, err)
	}
	if err := k.check(); err != nil {
		return nil, damaged(path, err)
	}
	return &k, nil
}

func damaged(path string, err error) error {
	return message.Errorf(message.Corrupt, "%s is damaged (%v); bring it back from a copy, or give another directory", path, err)
}

// empty refuses a directory that holds something else than a cluster.
func (s *store) empty() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return message.Errorf(message.InvalidArgument, "the data directory %s cannot be read: %v", s.dir, err)
	}
	for _, e := range entries {
		name := e.Name()
		if name == lockFile || name == clusterFile+".tmp" || strings.HasPrefix(name, "warden-") && strings.HasSuffix(name, ".lock") {
			continue
		}
		if e.IsDir() && strings.HasPrefix(name, "node-") {
			if err := os.Remove(filepath.Join(s.dir, name)); err == nil {
				continue // of a start that came to nothing
			}
			return message.Errorf(message.Corrupt, "%s holds %s but no %s, without which the nodes' files cannot be used; bring it back from a copy, or give another directory", s.dir, name, clusterFile)
		}
		return message.Errorf(message.InvalidArgument, "%s holds %s and no cluster; give a new or empty directory", s.dir, message.Quote(name))
	}
	return nil
}

// save replaces cluster.json at once and durably.
func (s *store) save(k *kept) error {
	if s.dir == "" {
		return nil
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", clusterFile, err)
	}
	path := filepath.Join(s.dir, clusterFile)
	if err := ReplaceFile(path, append(b, '\n')); err != nil {
		return message.Errorf(message.InvalidArgument, "%s cannot be written: %v; give a directory that can be written", path, err)
	}
	return nil
}

// ReplaceFile replaces a file at once and durably.
func ReplaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	// Some file systems cannot sync a directory: the rename is then as durable as they make it.
	if err = d.Sync(); errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// forget takes back the creation of a cluster that never ran.
func (s *store) forget() {
	if s.dir != "" {
		_ = os.Remove(filepath.Join(s.dir, clusterFile))
	}
}

func (s *store) close() {
	if s.lock != nil {
		_ = s.lock.Unlock()
	}
}

// Kept gives the settings of the cluster in a directory, and false where it holds none.
func Kept(dir string) (message.Settings, bool, error) {
	if _, err := os.Stat(filepath.Join(dir, clusterFile)); errors.Is(err, fs.ErrNotExist) {
		return message.Settings{}, false, nil
	}
	k, err := (&store{dir: dir}).read()
	if err != nil || k == nil {
		return message.Settings{}, false, err
	}
	return k.Settings, true, nil
}
