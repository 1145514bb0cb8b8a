package owner

import (
	"bytes"
	"testing"

	"github.com/lni/dragonboat/v4/config"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"dmalloc/message"
)

const fuzzedCluster = "00112233aabbccdd"

// Whatever a node sends in Raft's name, nothing panics, and what reaches Dragonboat is from whom it says and of
// a kind that crosses the network.
func FuzzInbox(f *testing.F) {
	own := &raftTransport{owner: Config{Settings: message.Settings{Cluster: fuzzedCluster}}, cfg: config.NodeHostConfig{DeploymentID: 7}}
	source := target(fuzzedCluster, 1, 2)
	for _, b := range []pb.MessageBatch{
		{DeploymentId: 7, SourceAddress: source, Requests: []pb.Message{{Type: pb.Heartbeat, From: 1, To: 2, ShardID: 1}}},
		{DeploymentId: 7, SourceAddress: source, Requests: []pb.Message{{Type: pb.Replicate, From: 1, To: 2, Entries: []pb.Entry{{Cmd: []byte("x")}}}}},
		{DeploymentId: 8, SourceAddress: source},
		{DeploymentId: 7, SourceAddress: source, Requests: []pb.Message{{Type: pb.LocalTick, From: 1, To: 2}}},
	} {
		payload, err := b.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	chunk := pb.Chunk{DeploymentId: 7, ShardID: 1, ChunkCount: 2, Data: []byte("data")}
	payload, err := chunk.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var in Inbox
		in.Batch(1, 2, payload) // nobody is there yet
		tr := raftTransport{owner: own.owner, cfg: own.cfg}
		tr.messages = func(b pb.MessageBatch) {
			if b.DeploymentId != 7 || b.SourceAddress != source {
				t.Fatalf("a batch of %d from %s", b.DeploymentId, b.SourceAddress)
			}
			for _, m := range b.Requests {
				if local(m.Type) || m.From == 0 || m.To == 0 || m.ShardID > message.MaxCompany {
					t.Fatalf("%+v", m)
				}
			}
		}
		tr.chunks = func(c pb.Chunk) bool {
			if c.DeploymentId != 7 || c.ShardID > message.MaxCompany {
				t.Fatalf("%+v", c)
			}
			return true
		}
		in.to.Store(&tr)
		in.Batch(1, 2, payload)
		in.Chunk(1, 2, payload)
	})
}
