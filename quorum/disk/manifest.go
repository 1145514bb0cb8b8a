package disk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"path/filepath"
	"slices"
)

const (
	manifestName = "MANIFEST"
	newManifest  = "MANIFEST.new"
	lockName     = "LOCK"
)

// manifest is what the store knows about its files. It is written as a whole, under another name first.
type manifest struct {
	Identity
	Shards int    `json:"shards"`
	Serial uint64 `json:"serial"` // of the manifest; groups name it, so that an older copy is found out

	// Segments are in order, the newest last. Of the others the seals are exact. Of the newest one it is how
	// far it went when the manifest was written.
	Segments []sealed `json:"segments"`

	// Forgotten has for a shard the segment before which all its registers are forgotten.
	Forgotten map[int]uint32 `json:"forgotten,omitempty"`

	Kept map[string][]byte `json:"kept,omitempty"` // named blobs
}

type sealed struct {
	Number uint32 `json:"number"`
	seal
}

func (m manifest) clone() manifest {
	m.Segments = slices.Clone(m.Segments)
	m.Forgotten = maps.Clone(m.Forgotten)
	m.Kept = maps.Clone(m.Kept)
	return m
}

func (m manifest) newest() sealed { return m.Segments[len(m.Segments)-1] }

// hidden says whether a record of a shard in a segment was forgotten.
func (m manifest) hidden(shard int, number uint32) bool { return number < m.Forgotten[shard] }

// manifestLine comes before the JSON. It is a function of it, so that no byte of the file can change unseen.
func manifestLine(body []byte) string {
	return fmt.Sprintf("dmalloc registers, format 1, %d bytes, crc32c %08x\n", len(body), crc32.Checksum(body, castagnoli))
}

func (m manifest) encode() ([]byte, error) {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return append([]byte(manifestLine(body)), body...), nil
}

// parseManifest reads a manifest. Its string says what is wrong.
func parseManifest(b []byte) (manifest, string) {
	var m manifest
	end := bytes.IndexByte(b, '\n') + 1
	body := b[end:]
	if string(b[:end]) != manifestLine(body) {
		return m, "the manifest's checksum differs from its bytes"
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Sprintf("the manifest is none of this program (%v)", err)
	}
	if len(m.Segments) == 0 || m.Shards < 1 {
		return m, "the manifest names no segments or no shards"
	}
	for i, s := range m.Segments {
		if s.Number < firstSegment || s.End < 0 || i > 0 && s.Number <= m.Segments[i-1].Number {
			return m, "the manifest's segments are in no order"
		}
	}
	return m, ""
}

// saveManifest replaces the manifest durably. An error with room left means that nobody knows which one is there.
func saveManifest(l layer, dir string, m manifest) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	if len(b) > maxManifest {
		return fmt.Errorf("the manifest would have %d bytes", len(b))
	}
	temporary := filepath.Join(dir, newManifest)
	f, err := l.Create(temporary)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = beyondFull(f.Sync())
	}
	if closing := f.Close(); err == nil {
		err = beyondFull(closing)
	}
	if err == nil {
		err = l.Rename(temporary, filepath.Join(dir, manifestName))
	}
	if err != nil {
		_ = l.Remove(temporary) // the next one, or Open, replaces it as well
		return err
	}
	return beyondFull(l.SyncDir(dir))
}

// syncError is a failed sync. Whatever its cause, it is no mere lack of room (D6).
type syncError struct{ err error }

func (e syncError) Error() string { return e.err.Error() }
func (e syncError) Unwrap() error { return e.err }

func beyondFull(err error) error {
	if err == nil {
		return nil
	}
	return syncError{err}
}
