package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"dmalloc/message"
)

// identity is what a node's directory says of itself, in identity.json. It is written before anything
// that it speaks of happens, so that a crash leaves it true.
type identity struct {
	Version     int            `json:"version"`
	Cluster     string         `json:"cluster"`
	Node        message.NodeID `json:"node"`
	Incarnation uint64         `json:"incarnation"`
	Boot        uint64         `json:"boot"` // how many times the node has started here
	Replicas    []kept         `json:"replicas"`
	// Dropped is the greatest replica of each company that was deleted here. Nothing at or below it starts again: going by
	// a directory of before it would begin anew, or vote, without its memory.
	Dropped   map[message.CompanyID]uint64 `json:"dropped,omitempty"`
	Registers bool                         `json:"registers"` // their files are there: without them this incarnation has lost its memory
	// Sum is the CRC-32C of the file without this field; empty in files of programs that kept none.
	Sum string `json:"sum,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode is the file of an identity, with its sum.
func (id identity) encode() ([]byte, error) {
	id.Sum = ""
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", identityFile, err)
	}
	id.Sum = fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli))
	b, err = json.MarshalIndent(id, "", "  ")
	return append(b, '\n'), err
}

// decodeIdentity reads what encode wrote and refuses what was altered since.
func decodeIdentity(b []byte) (id identity, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // the name of a field may be what was altered
	if err := d.Decode(&id); err != nil {
		return id, err
	}
	if id.Sum == "" {
		return id, nil
	}
	if again, err := id.encode(); err != nil || !bytes.Equal(again, b) {
		return id, errors.New("its checksum does not fit")
	}
	return id, nil
}

// kept is a replica of which this directory has, or is about to get, the log.
type kept struct {
	Company message.CompanyID `json:"company"`
	Replica uint64            `json:"replica"`
	Started bool              `json:"started"` // its log exists: without it the replica has lost its memory
	// It was added later and is no founder. It starts as non-voting for ever: Dragonboat makes a voter of
	// it when its log says so, and panics when a voter's log says that it was added without a vote.
	Joined     bool   `json:"joined"`
	Generation uint64 `json:"generation,omitempty"` // of the company
	// Its log begins with what is in its seed, and no snapshot holds that yet.
	Seeded bool `json:"seeded,omitempty"`
	// The company has removed it, and its log is about to be deleted.
	Removed bool `json:"removed,omitempty"`
}

const identityFile = "identity.json"

// openIdentity reads the identity in dir, or makes one with these seats for an empty dir, and counts this start.
func openIdentity(dir string, cfg Config, seats []kept) (*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, message.Errorf(message.InvalidArgument, "node %s cannot use %s: %v; give a directory that can be written", cfg.ID, dir, err)
	}
	id := &identity{Version: cfg.Settings.Version, Cluster: cfg.Settings.Cluster, Node: cfg.ID, Incarnation: cfg.Incarnation, Replicas: seats}
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if entries, err := os.ReadDir(filepath.Join(dir, "raft")); err == nil && len(entries) > 0 {
			return nil, message.Errorf(message.Corrupt, "%s has a log but no %s; the node's files are incomplete: start it with revive %s --wipe", dir, identityFile, cfg.ID)
		}
	case err != nil:
		return nil, message.Errorf(message.InvalidArgument, "node %s cannot read its identity: %v", cfg.ID, err)
	default:
		found, err := decodeIdentity(b)
		if err != nil {
			return nil, message.Errorf(message.Corrupt, "%s in %s is damaged (%v): start the node with revive %s --wipe", identityFile, dir, err, cfg.ID)
		}
		if err := found.matches(dir, id); err != nil {
			return nil, err
		}
		id = &found
	}
	id.Boot++
	return id, id.save(dir)
}

// matches refuses the files of another cluster, node, version or incarnation.
func (id *identity) matches(dir string, want *identity) error {
	switch {
	case id.Version != want.Version:
		return message.Errorf(message.InvalidArgument, "%s is of version %d, this program keeps version %d; use the program that made it", dir, id.Version, want.Version)
	case id.Cluster != want.Cluster:
		return message.Errorf(message.InvalidArgument, "%s belongs to cluster %s, not to %s; give another directory", dir, id.Cluster, want.Cluster)
	case id.Node != want.Node:
		return message.Errorf(message.InvalidArgument, "%s belongs to node %s, not to node %s; give another directory", dir, id.Node, want.Node)
	case id.Incarnation != want.Incarnation:
		return message.Errorf(message.Corrupt, "%s is of incarnation %d of node %s, which is at %d now: start it with revive %s --wipe", dir, id.Incarnation, id.Node, want.Incarnation, id.Node)
	}
	return nil
}

// find is the row of a company's replica, nil if there is none.
func (id *identity) find(c message.CompanyID, replica uint64) *kept {
	for i := range id.Replicas {
		if k := &id.Replicas[i]; k.Company == c && k.Replica == replica {
			return k
		}
	}
	return nil
}

// forget drops the row of a company's replica.
func (id *identity) forget(c message.CompanyID, replica uint64) {
	id.Replicas = slices.DeleteFunc(id.Replicas, func(k kept) bool { return k.Company == c && k.Replica == replica })
}

// dropped drops the row of a replica whose files are deleted, for good.
func (id *identity) dropped(c message.CompanyID, replica uint64) {
	id.forget(c, replica)
	if id.Dropped == nil {
		id.Dropped = map[message.CompanyID]uint64{}
	}
	id.Dropped[c] = max(id.Dropped[c], replica)
}

// save replaces the file at once and durably.
func (id *identity) save(dir string) error {
	b, err := id.encode()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, identityFile)
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return message.Errorf(message.InvalidArgument, "node %s cannot write to %s: %v", id.Node, dir, err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil {
		var d *os.File
		if d, err = os.Open(dir); err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("keep the identity of node %s in %s: %w", id.Node, dir, err)
	}
	return nil
}
