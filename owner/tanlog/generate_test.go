package tanlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	transport "github.com/lni/dragonboat/v4/plugin/chan"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/raftio"
	sm "github.com/lni/dragonboat/v4/statemachine"
)

func init() {
	logger.SetLoggerFactory(func(string) logger.ILogger { return quiet{} })
}

type quiet struct{}

func (quiet) SetLevel(logger.LogLevel)  {}
func (quiet) Debugf(string, ...any)     {}
func (quiet) Infof(string, ...any)      {}
func (quiet) Warningf(string, ...any)   {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Panicf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// channels connects the hosts of this process, whatever their addresses.
type channels struct{ transport.ChanTransportFactory }

func (channels) Validate(string) bool { return true }

func (channels) Create(cfg config.NodeHostConfig, m raftio.MessageHandler, c raftio.ChunkHandler) raftio.ITransport {
	return transport.NewChanTransport(cfg, m, c)
}

// tally is a state machine: it counts entries, and its snapshots are padded to more than one block.
type tally struct{ count uint64 }

const snapshotPadding = 2<<20 + 12345

func (s *tally) Update(entries []sm.Entry) ([]sm.Entry, error) {
	for i := range entries {
		s.count++
		entries[i].Result.Value = s.count
	}
	return entries, nil
}

func (s *tally) Lookup(any) (any, error)       { return s.count, nil }
func (s *tally) PrepareSnapshot() (any, error) { return s.count, nil }
func (s *tally) Close() error                  { return nil }

func (s *tally) SaveSnapshot(at any, w io.Writer, _ sm.ISnapshotFileCollection, _ <-chan struct{}) error {
	b := binary.LittleEndian.AppendUint64(nil, at.(uint64))
	_, err := w.Write(append(b, bytes.Repeat([]byte{7}, snapshotPadding)...))
	return err
}

func (s *tally) RecoverFromSnapshot(r io.Reader, _ []sm.SnapshotFile, _ <-chan struct{}) error {
	b := make([]byte, 8+snapshotPadding)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	s.count = binary.LittleEndian.Uint64(b)
	return nil
}

// site is a running NodeHost with replica id of shard 1.
type site struct {
	t       testing.TB
	nh      *dragonboat.NodeHost
	session *client.Session
	ended   sync.Once
}

const shard = 1

// address is the same for every host of a directory.
func address(dir string, id uint64) string { return fmt.Sprintf("%s:%d", filepath.Base(dir), id) }

func openSite(t testing.TB, dir string, id uint64, members map[uint64]string) *site {
	t.Helper()
	logdb := config.GetTinyMemLogDBConfig()
	logdb.KVWriteBufferSize = 64 << 10
	nh, err := dragonboat.NewNodeHost(config.NodeHostConfig{
		DeploymentID: 7, NodeHostDir: dir, RTTMillisecond: 5, RaftAddress: members[id],
		Expert: config.ExpertConfig{LogDBFactory: tan.Factory, LogDB: logdb, TransportFactory: channels{},
			Engine: config.EngineConfig{ExecShards: 1, CommitShards: 1, ApplyShards: 1, SnapshotShards: 1, CloseShards: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = nh.StartConcurrentReplica(members, false, func(uint64, uint64) sm.IConcurrentStateMachine { return &tally{} },
		config.Config{ReplicaID: id, ShardID: shard, ElectionRTT: 10, HeartbeatRTT: 2, CompactionOverhead: 5, CheckQuorum: true})
	if err != nil {
		nh.Close()
		t.Fatal(err)
	}
	s := &site{t: t, nh: nh, session: nh.GetNoOPSession(shard)}
	t.Cleanup(s.close)
	return s
}

// close ends the host, unless it has ended.
func (s *site) close() { s.ended.Do(s.nh.Close) }

func single(t testing.TB, dir string) *site {
	return openSite(t, dir, 1, map[uint64]string{1: address(dir, 1)})
}

// patiently repeats what fails while nobody leads.
func (s *site) patiently(what func(context.Context) error) {
	s.t.Helper()
	all, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		ctx, cancel := context.WithTimeout(all, 2*time.Second)
		err := what(ctx)
		cancel()
		if err == nil {
			return
		}
		if all.Err() != nil || !dragonboat.IsTempError(err) {
			s.t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *site) write(data []byte) (count uint64) {
	s.t.Helper()
	s.patiently(func(ctx context.Context) error {
		r, err := s.nh.SyncPropose(ctx, s.session, data)
		count = r.Value
		return err
	})
	return count
}

func (s *site) count() (count uint64) {
	s.t.Helper()
	s.patiently(func(ctx context.Context) error {
		v, err := s.nh.SyncRead(ctx, shard, nil)
		if err == nil {
			count = v.(uint64)
		}
		return err
	})
	return count
}

func (s *site) snapshot() {
	s.t.Helper()
	s.patiently(func(ctx context.Context) error {
		_, err := s.nh.SyncRequestSnapshot(ctx, shard, dragonboat.SnapshotOption{})
		return err
	})
}

// writeMany writes entries of varied sizes, some of several blocks.
func (s *site) writeMany(rnd *rand.Rand, n int) {
	s.t.Helper()
	for range n {
		size := rnd.IntN(400)
		switch rnd.IntN(20) {
		case 0:
			size = 30<<10 + rnd.IntN(4<<10)
		case 1:
			size = rnd.IntN(200 << 10)
		}
		s.write(randomBytes(rnd, size+1))
	}
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// image copies a directory in the order in which its files depend on each other.
func image(t testing.TB, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// quietImage copies the directory of a running host: what a kill would leave. It waits until nothing changes any more.
func quietImage(t testing.TB, from, to string) {
	t.Helper()
	before := ""
	for range 500 {
		now := sizes(t, from)
		if now == before {
			image(t, from, to)
			if sizes(t, to) == now {
				return
			}
		}
		before = now
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the host does not come to rest")
}

func sizes(t testing.TB, dir string) string {
	var b bytes.Buffer
	for _, f := range filesOf(t, dir) {
		if st, err := os.Stat(f); err == nil {
			rel, _ := filepath.Rel(dir, f)
			fmt.Fprintln(&b, rel, st.Size())
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return b.String()
}

// filesOf lists the files below dir in order.
func filesOf(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// mustCheck is Check where nothing was altered.
func mustCheck(t testing.TB, dir string) Report {
	t.Helper()
	r, err := Check(dir)
	if err != nil {
		t.Fatalf("refused, though nothing was altered: %v", err)
	}
	return r
}

// one returns the only file that matches, or the last.
func one(t testing.TB, dir, pattern string) string {
	t.Helper()
	found := ""
	for _, f := range filesOf(t, dir) {
		if ok, _ := filepath.Match(pattern, filepath.Base(f)); ok {
			found = f
		}
	}
	if found == "" {
		t.Fatalf("no %s in %s", pattern, dir)
	}
	return found
}
