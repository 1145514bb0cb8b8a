package owner

import (
	"slices"
	"sync"

	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/raftio"
	"github.com/lni/dragonboat/v4/raftpb"
)

// logFactory makes tan's logs, without the syncs that Raft does not need, and read in pieces. Its name is that of the
// log itself, for that is what the files say.
type logFactory struct{}

func (logFactory) Name() string { return tan.Factory.Name() }

func (logFactory) Create(cfg config.NodeHostConfig, hear config.LogDBCallback, dirs, low []string) (raftio.ILogDB, error) {
	db, err := tan.Factory.Create(cfg, hear, dirs, low)
	if err != nil {
		return nil, err
	}
	return pieces{&stateLog{ILogDB: db, states: map[replicaKey]raftpb.State{}}}, nil
}

type replicaKey struct{ shard, replica uint64 }

// stateLog repeats a replica's state in every update that is saved.
//
// Raft has to sync entries, term and vote, but not how far it has committed: that is found out again. tan does not sync an update
// in which only the commit index is another than in the last. But Dragonboat leaves the state out of an update that does not
// change it, and tan takes what was left out for term 0: each state after one that was left out, and each left out after one
// that was not, is a change of term to it. Entries that a majority is told of one by one cost two more syncs each, for nothing.
//
// What is repeated is exactly what was saved last: all of a replica's updates pass here, those of one replica one after the other.
type stateLog struct {
	raftio.ILogDB

	mu     sync.Mutex
	states map[replicaKey]raftpb.State
}

func (l *stateLog) SaveRaftState(updates []raftpb.Update, worker uint64) error {
	updates = slices.Clone(updates) // Dragonboat goes on to use its own
	l.mu.Lock()
	for i := range updates {
		u := &updates[i]
		key := replicaKey{u.ShardID, u.ReplicaID}
		if raftpb.IsEmptyState(u.State) {
			u.State = l.states[key]
		} else {
			l.states[key] = u.State
		}
	}
	l.mu.Unlock()
	return l.ILogDB.SaveRaftState(updates, worker)
}

func (l *stateLog) RemoveNodeData(shard, replica uint64) error {
	l.forget(shard, replica)
	return l.ILogDB.RemoveNodeData(shard, replica)
}

func (l *stateLog) ImportSnapshot(s raftpb.Snapshot, replica uint64) error {
	l.forget(s.ShardID, replica)
	return l.ILogDB.ImportSnapshot(s, replica)
}

func (l *stateLog) forget(shard, replica uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.states, replicaKey{shard, replica})
}
