package owner

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/lni/dragonboat/v4/config"
	pb "github.com/lni/dragonboat/v4/raftpb"

	"dmalloc/message"
)

// Close comes behind what is being delivered, and nothing is delivered behind it: Dragonboat's parts are gone then.
func TestNothingIsDeliveredBehindClose(t *testing.T) {
	batch := pb.MessageBatch{DeploymentId: 7, SourceAddress: target(kitCluster, 1, 2), Requests: []pb.Message{{Type: pb.Heartbeat, From: 1, To: 2, ShardID: 1}}}
	aBatch, err := batch.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	chunk := pb.Chunk{DeploymentId: 7, ShardID: 1, ChunkCount: 2, Data: []byte("data")}
	aChunk, err := chunk.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, deliver := range map[string]func(*Inbox){
		"a batch": func(in *Inbox) { in.Batch(1, 2, aBatch) },
		"a chunk": func(in *Inbox) { in.Chunk(1, 2, aChunk) },
	} {
		var in Inbox
		var delivered atomic.Int32
		begun, release := make(chan struct{}, 2), make(chan struct{})
		handle := func() {
			begun <- struct{}{}
			<-release
			delivered.Add(1)
		}
		tr := &raftTransport{owner: Config{Settings: message.Settings{Cluster: kitCluster}, Inbox: &in}, cfg: config.NodeHostConfig{DeploymentID: 7},
			messages: func(pb.MessageBatch) { handle() }, chunks: func(pb.Chunk) bool { handle(); return true }}
		if err := tr.Start(); err != nil {
			t.Fatal(err)
		}
		go deliver(&in)
		<-begun
		closed := make(chan int32)
		go func() {
			_ = tr.Close()
			closed <- delivered.Load()
		}()
		select {
		case <-closed:
			t.Fatalf("%s is being delivered, and Close has returned", name)
		case <-time.After(20 * time.Millisecond): // only so long does a wrong Close have for being found out
		}
		close(release)
		if n := <-closed; n != 1 {
			t.Fatalf("%s: %d delivered when Close returned", name, n)
		}
		in.to.Store(tr) // who had looked before Close
		if deliver(&in); delivered.Load() != 1 {
			t.Fatalf("%s was delivered behind Close", name)
		}
	}
}
