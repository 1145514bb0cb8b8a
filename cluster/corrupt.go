package cluster

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"dmalloc/client"
	"dmalloc/message"
)

const flips = 8 // bits that are flipped by one order, or all that there are

// corrupt flips bits in the files of a node without a process.
func (w *warden) corrupt(o order) (report, error) {
	if c := w.nodes[o.Node]; c != nil && c.alive() {
		return report{}, message.Errorf(message.AlreadyAlive, "node %s runs in %s; kill it first", o.Node, o.Dir)
	}
	targets, err := keptFiles(o.Dir)
	if err != nil {
		return report{}, message.Errorf(message.InvalidArgument, "the files of node %s cannot be read: %v", o.Node, err)
	}
	if len(targets) == 0 {
		return report{}, message.Errorf(message.InvalidArgument, "node %s keeps nothing in %s that could be corrupted", o.Node, o.Dir)
	}
	done := chooseFlips(targets, o.Seed)
	for _, f := range done {
		if err := flip(filepath.Join(o.Dir, f.File), f.Offset, f.Bit); err != nil {
			return report{}, message.Errorf(message.InvalidArgument, "%s of node %s cannot be changed: %v", f.File, o.Node, err)
		}
	}
	return report{Flips: done}, nil
}

// target is a file and how much of it counts: what is reserved behind the end reads as zeroes.
type target struct {
	name string
	size int64
}

// keptFiles lists what a node keeps, by name. Locks hold nothing, and a name that is gone by now is not kept.
func keptFiles(dir string) (all []target, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.EqualFold(strings.TrimPrefix(filepath.Ext(e.Name()), "."), "lock") || strings.EqualFold(e.Name(), "lock") {
			return err
		}
		size, err := filled(path)
		if err != nil || size == 0 {
			return err
		}
		name, err := filepath.Rel(dir, path)
		all = append(all, target{name, size})
		return err
	})
	return all, err
}

// filled is the length of a file without the zeroes at its end.
func filled(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 1<<16)
	for end > 0 {
		n := min(end, int64(len(buf)))
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		if left := len(bytes.TrimRight(buf[:n], "\x00")); left > 0 {
			return end - n + int64(left), nil
		}
		end -= n
	}
	return 0, nil
}

// chooseFlips picks bits by a seed, each file as often as it is large. The first is in the first half of the largest
// file: damage to nothing but a log's last record looks like a write that a crash cut short.
func chooseFlips(targets []target, seed uint64) []client.Flip {
	rng := rand.New(rand.NewPCG(seed, seed))
	var total, largest int64
	for i, t := range targets {
		if t.size > targets[largest].size {
			largest = int64(i)
		}
		total += t.size
	}
	seen := map[client.Flip]bool{} // a bit that is flipped twice is as it was
	var all []client.Flip
	add := func(t target, at int64) {
		if f := (client.Flip{File: t.name, Offset: at, Bit: rng.IntN(8)}); !seen[f] {
			seen[f] = true
			all = append(all, f)
		}
	}
	add(targets[largest], rng.Int64N((targets[largest].size+1)/2))
	for range flips - 1 {
		at := rng.Int64N(total)
		for _, t := range targets {
			if at < t.size {
				add(t, at)
				break
			}
			at -= t.size
		}
	}
	return all
}

// flip turns a bit of a file over, durably.
func flip(path string, offset int64, bit int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], offset)
	if err == nil {
		b[0] ^= 1 << bit
		_, err = f.WriteAt(b[:], offset)
	}
	return errors.Join(err, f.Sync(), f.Close())
}
