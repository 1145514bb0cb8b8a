package owner

import (
	"bytes"
	"reflect"
	"testing"

	pb "github.com/lni/dragonboat/v4/raftpb"
	"pgregory.net/rapid"
)

// What is sent in parts is as long as what Dragonboat would send, and decodes to the same; long commands are not copied.
func TestPartsDecodeToTheBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 1<<56))
		b := pb.MessageBatch{DeploymentId: number.Draw(t, "deployment"), SourceAddress: "c1-n2-i3", BinVer: 4}
		var long [][]byte
		for range rapid.IntRange(0, 3).Draw(t, "messages") {
			m := pb.Message{Type: pb.Replicate, To: number.Draw(t, "to"), From: 2, ShardID: number.Draw(t, "shard"), Term: number.Draw(t, "term"),
				LogTerm: 3, LogIndex: number.Draw(t, "index"), Commit: 9, Reject: rapid.Bool().Draw(t, "reject"), Hint: 4, HintHigh: number.Draw(t, "hint")}
			m.Snapshot.Index = number.Draw(t, "snapshot")
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				n := rapid.SampledFrom([]int{0, 1, 127, 128, partFrom - 1, partFrom, partFrom + 1, 3 << 20}).Draw(t, "bytes")
				e := pb.Entry{Term: number.Draw(t, "term"), Index: number.Draw(t, "index"), Type: pb.EncodedEntry, Key: number.Draw(t, "key"),
					ClientID: number.Draw(t, "client"), SeriesID: number.Draw(t, "series"), RespondedTo: number.Draw(t, "responded")}
				if n > 0 {
					e.Cmd = bytes.Repeat([]byte{byte(n), 5}, n/2+1)[:n]
				}
				if n >= partFrom {
					long = append(long, e.Cmd)
				}
				m.Entries = append(m.Entries, e)
			}
			b.Requests = append(b.Requests, m)
		}
		parts, err := encodeParts(&b)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if len(long) > 0 && len(p) > 0 && &p[0] == &long[0][0] {
				long = long[1:]
			}
		}
		if len(long) > 0 {
			t.Errorf("%d long commands are no parts", len(long))
		}
		payload := bytes.Join(parts, nil)
		plain, err := b.Marshal()
		if err != nil || len(plain) != len(payload) {
			t.Fatalf("%d bytes, Dragonboat makes %d: %v", len(payload), len(plain), err)
		}
		got, err := decodeBatch(payload)
		if err != nil {
			t.Fatal(err)
		}
		want, err := decodeBatch(plain)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("other messages, %v", err)
		}
		clear(payload) // whose memory the transport uses again
		if !reflect.DeepEqual(got, want) {
			t.Fatal("what was decoded points into what was received")
		}
	})
}
