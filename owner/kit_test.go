package owner

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/lni/dragonboat/v4/logger"

	"dmalloc/company"
	"dmalloc/message"
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

// nowhere is the network of a company of one.
type nowhere struct{}

func (nowhere) SendRaft(message.NodeID, uint64, ...[]byte) error { return nil }
func (nowhere) SendChunk(context.Context, message.NodeID, uint64, []byte) error {
	return message.Errorf(message.Unavailable, "there is nobody")
}

// numbers is a Machine that remembers the seq of each FREE in the order in which they were applied.
type numbers struct {
	index uint64
	seqs  []uint64
}

func (n *numbers) ApplyTo(a *company.Applied, index uint64, b *message.Batch) {
	n.index = index
	results := make([]company.Result, len(b.Messages))
	for i, m := range b.Messages {
		if m.Op == message.FREE {
			n.seqs = append(n.seqs, m.Seq)
		}
		results[i].Index = index
	}
	*a = company.Applied{Results: results}
}

func (n *numbers) Read(m *message.Message) *message.Message { return m.Answer(message.Done, "") }
func (n *numbers) Index() uint64                            { return n.index }
func (n *numbers) Bytes() uint64                            { return uint64(len(n.seqs)) * 8 }

func (n *numbers) Snapshot() io.WriterTo {
	s := image(binary.LittleEndian.AppendUint64(nil, n.index))
	for _, seq := range n.seqs {
		s = binary.LittleEndian.AppendUint64(s, seq)
	}
	return s
}

func (n *numbers) Load(r io.Reader) (install func(), err error) {
	b, err := io.ReadAll(r)
	if err != nil || len(b) < 8 || len(b)%8 != 0 {
		return nil, fmt.Errorf("a snapshot of %d bytes, %v", len(b), err)
	}
	return func() {
		n.index, n.seqs = binary.LittleEndian.Uint64(b), nil
		for b = b[8:]; len(b) > 0; b = b[8:] {
			n.seqs = append(n.seqs, binary.LittleEndian.Uint64(b))
		}
	}, nil
}

type image []byte

func (i image) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(i)
	return int64(n), err
}

const kitCluster = "00c0ffee"

// alone is the configuration of a node that is a whole cluster.
func alone(dir string) Config {
	return Config{Node: 0, Incarnation: 1, Dir: dir, Carrier: nowhere{}, Inbox: &Inbox{},
		Settings: message.Settings{Cluster: kitCluster, Tick: 1, Election: 10, Heartbeat: 1, Executors: 1, LogShards: 1}}
}

// kitSeat is the one replica of such a node. Who has a log needs no founders.
func kitSeat(h *Host) Seat {
	s := Seat{Company: 1, Replica: 1, Voting: true}
	if _, ok := h.Kept()[1]; !ok {
		s.Founders = []message.Founder{{Node: 0, Replica: 1}}
	}
	return s
}

// openAlone starts a node and its replica, with state empty.
func openAlone(cfg Config) (*Host, *Replica, *numbers, error) {
	h, err := Open(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	state := &numbers{}
	r, err := h.Start(kitSeat(h), state)
	if err != nil {
		h.Close()
		return nil, nil, nil, err
	}
	return h, r, state, nil
}

// caughtUp waits until the replica leads and has applied what it kept.
func caughtUp(t testing.TB, r *Replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for !r.Leads() {
		select {
		case <-ctx.Done():
			t.Fatal("nobody leads")
		case <-time.After(time.Millisecond):
		}
	}
	if err := r.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
}

// propose has a number remembered and waits for the answer.
func propose(r *Replica, seq uint64, data int) message.Code {
	m := message.New(message.FREE)
	m.Seq, m.Data = seq, make([]byte, data)
	done := make(chan message.Code, 1)
	r.Do(m, func(a *message.Message) { done <- a.Status })
	return <-done
}
