package owner

import (
	"testing"

	"github.com/lni/dragonboat/v4/raftio"
	"github.com/lni/dragonboat/v4/raftpb"
)

// kept is a log that only notes what it is to save.
type kept struct {
	raftio.ILogDB
	saved []raftpb.Update
}

func (k *kept) SaveRaftState(updates []raftpb.Update, _ uint64) error {
	k.saved = append(k.saved, updates...)
	return nil
}

func (k *kept) RemoveNodeData(uint64, uint64) error { return nil }

func (k *kept) ImportSnapshot(raftpb.Snapshot, uint64) error { return nil }

// An update without a state is saved with the replica's last one, so that the log sees no change where there is none.
func TestStateIsRepeated(t *testing.T) {
	db := &kept{}
	l := &stateLog{ILogDB: db, states: map[replicaKey]raftpb.State{}}
	state := func(term, commit uint64) raftpb.State { return raftpb.State{Term: term, Vote: 1, Commit: commit} }
	save := func(u raftpb.Update, want raftpb.State) {
		t.Helper()
		mine := []raftpb.Update{u}
		if err := l.SaveRaftState(mine, 1); err != nil {
			t.Fatal(err)
		}
		if got := db.saved[len(db.saved)-1].State; got != want {
			t.Errorf("saved %+v, want %+v", got, want)
		}
		if mine[0].State != u.State {
			t.Error("the caller's update was changed")
		}
	}
	none := raftpb.State{}
	save(raftpb.Update{ShardID: 1, ReplicaID: 1}, none) // nothing is known yet
	save(raftpb.Update{ShardID: 1, ReplicaID: 1, State: state(3, 7)}, state(3, 7))
	save(raftpb.Update{ShardID: 1, ReplicaID: 1}, state(3, 7))
	save(raftpb.Update{ShardID: 2, ReplicaID: 1}, none) // another's is not
	save(raftpb.Update{ShardID: 1, ReplicaID: 2}, none)
	save(raftpb.Update{ShardID: 1, ReplicaID: 1, State: state(4, 7)}, state(4, 7))
	save(raftpb.Update{ShardID: 1, ReplicaID: 1}, state(4, 7))
	if err := l.RemoveNodeData(1, 1); err != nil {
		t.Fatal(err)
	}
	save(raftpb.Update{ShardID: 1, ReplicaID: 1}, none)
	save(raftpb.Update{ShardID: 1, ReplicaID: 1, State: state(1, 1)}, state(1, 1))
	if err := l.ImportSnapshot(raftpb.Snapshot{ShardID: 1}, 1); err != nil {
		t.Fatal(err)
	}
	save(raftpb.Update{ShardID: 1, ReplicaID: 1}, none)
}
