package client

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"dmalloc/health"
	"dmalloc/message"
)

const (
	statusMost  = 900 * time.Millisecond // that asking for Status takes, whoever is dead
	statusFirst = 450 * time.Millisecond // after which nodes that are silent are asked once more
)

// Status judges the cluster by what every node says of itself, asked directly and all at once. It needs no
// quorum and takes a second at most; an error only means that ctx ended.
func (h *Heap) Status(ctx context.Context) (health.Report, error) {
	ask, cancel := context.WithTimeout(ctx, statusMost)
	defer cancel()
	v := health.View{Said: map[message.NodeID]message.NodeStatus{}, Processes: map[message.NodeID]string{}, Clocks: map[message.NodeID]health.Clock{}}
	var (
		mu sync.Mutex // guards v and newest
		wg sync.WaitGroup
	)
	newest := h.directory()
	if h.cfg.States != nil {
		wg.Go(func() {
			processes, _ := h.cfg.States(ask) // without a launcher there are still the nodes' own words
			mu.Lock()
			defer mu.Unlock()
			for _, p := range processes {
				v.Processes[p.ID] = p.State
			}
		})
	}
	if h.cfg.Faults != nil {
		wg.Go(func() {
			faults, _ := h.cfg.Faults(ask)
			mu.Lock()
			defer mu.Unlock()
			v.Faults = faults
		})
	}
	for _, n := range h.directory().Present() {
		wg.Go(func() {
			s, clock, ok := h.howAreYou(ask, n.ID)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			v.Said[n.ID], v.Clocks[n.ID] = s, clock
		})
		wg.Go(func() {
			d := h.theirDirectory(ask, n.ID)
			mu.Lock()
			defer mu.Unlock()
			if d != nil && d.Epoch > newest.Epoch {
				newest = d
			}
		})
	}
	wg.Wait()
	h.setDirectory(newest)
	v.Directory = newest
	return health.Judge(v), ctx.Err()
}

// Ask sends a node one message that asks what it knows of itself, and waits for its answer until ctx ends.
func (h *Heap) Ask(ctx context.Context, n message.NodeID, m *message.Message) (*message.Message, error) {
	most := 24 * time.Hour
	if end, ok := ctx.Deadline(); ok {
		most = time.Until(end)
	}
	a, err := h.call(ctx, n, m, most)
	if errors.Is(err, errSilent) || errors.Is(err, context.DeadlineExceeded) {
		return nil, message.Errorf(message.Unavailable, "node %s does not answer", n)
	}
	if err == nil {
		err = a.Err()
	}
	return a, err
}

// twice asks a node, and once more if it was silent: a message may have been lost with its connection.
func (h *Heap) twice(ctx context.Context, n message.NodeID, ask func() *message.Message) (*message.Message, error) {
	a, err := h.call(ctx, n, ask(), statusFirst)
	if err != nil && ctx.Err() == nil {
		a, err = h.call(ctx, n, ask(), statusMost)
	}
	if err == nil {
		err = a.Err()
	}
	return a, err
}

// howAreYou asks a node for its status, and compares the clocks: the node's was read while the question and
// the answer were under way.
func (h *Heap) howAreYou(ctx context.Context, n message.NodeID) (s message.NodeStatus, c health.Clock, ok bool) {
	var begin time.Time
	a, err := h.twice(ctx, n, func() *message.Message {
		begin = time.Now()
		return message.New(message.STATUS)
	})
	if err != nil || json.Unmarshal(a.Data, &s) != nil {
		return s, c, false
	}
	half := time.Since(begin) / 2
	c = health.Clock{AheadMS: s.TimeMS - begin.Add(half).UnixMilli(), WithinMS: half.Milliseconds() + 1, Unmeasured: s.TimeMS == 0}
	return s, c, true
}

func (h *Heap) theirDirectory(ctx context.Context, n message.NodeID) *message.Directory {
	a, err := h.twice(ctx, n, func() *message.Message {
		m := message.New(message.DIRECTORY)
		m.Epoch = h.directory().Epoch
		return m
	})
	if err != nil || len(a.Data) == 0 {
		return nil
	}
	d, err := decodeDirectory(a.Data)
	if err != nil {
		return nil
	}
	return d
}
