package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dmalloc/health"
	"dmalloc/message"
)

// Fault is something that the launcher breaks on purpose until it is healed.
type Fault = health.Fault

// Damage is what was done to the kept files of a node.
type Damage struct {
	Seed  uint64 `json:"seed"` // the same seed does the same to the same files
	Flips []Flip `json:"flips"`
}

// Flip is one bit that was turned over.
type Flip struct {
	File   string `json:"file"` // below the node's directory
	Offset int64  `json:"offset"`
	Bit    int    `json:"bit"` // 0 is the lowest
}

// FaultRequest is the Data of FAULT and HEAL.
type FaultRequest struct {
	Fault string `json:"fault,omitempty"`  // FAULT: the words of the fault. HEAL: what to heal; empty: all
	ForMS int64  `json:"for_ms,omitempty"` // FAULT: when it ends by itself; 0: never
}

// ReturnRequest is the Data of a REVIVE that is to come later.
type ReturnRequest struct {
	AfterMS int64 `json:"after_ms,omitempty"` // 0: now
}

// CorruptRequest is the Data of CORRUPT.
type CorruptRequest struct {
	Seed uint64 `json:"seed,omitempty"` // 0: the launcher draws one
}

// Fault begins a fault, which words describe as package fault reads them. It ends by itself after lasts, if that is
// not 0. It returns when the nodes that run have taken it in.
func (c *Control) Fault(ctx context.Context, words string, lasts time.Duration) (f Fault, err error) {
	m := message.New(message.FAULT)
	m.Data = message.JSON(FaultRequest{words, whole(lasts)})
	err = c.ask(ctx, m, &f)
	return f, err
}

// whole is a duration in milliseconds, rounded up: one that is too short to count must not become "for ever".
func whole(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// Return has a node that was killed or frozen revived or resumed after a time, unless somebody does it before.
func (c *Control) Return(ctx context.Context, id message.NodeID, after time.Duration) error {
	m := message.New(message.REVIVE)
	m.Value = uint64(id)
	m.Data = message.JSON(ReturnRequest{whole(after)})
	a, err := c.Call(ctx, m)
	if err == nil {
		err = a.Err()
	}
	return err
}

// Heal ends the faults that words choose: a number, a kind, or all if there are none. It returns those that ended,
// when the nodes that run know it.
func (c *Control) Heal(ctx context.Context, words string) (ended []Fault, err error) {
	m := message.New(message.HEAL)
	m.Data = message.JSON(FaultRequest{Fault: words})
	err = c.ask(ctx, m, &ended)
	return ended, err
}

// Faults lists the faults that last, in the order of their beginning.
func (c *Control) Faults(ctx context.Context) (all []Fault, err error) {
	err = c.ask(ctx, message.New(message.FAULTS), &all)
	return all, err
}

// Corrupt flips bits in the kept files of a node that is down. With seed 0 the launcher draws one.
func (c *Control) Corrupt(ctx context.Context, id message.NodeID, seed uint64) (d Damage, err error) {
	m := message.New(message.CORRUPT)
	m.Value = uint64(id)
	m.Data = message.JSON(CorruptRequest{seed})
	err = c.ask(ctx, m, &d)
	return d, err
}

// ask has the launcher answer m with JSON.
func (c *Control) ask(ctx context.Context, m *message.Message, to any) error {
	a, err := c.Call(ctx, m)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.Data, to); err != nil {
		return fmt.Errorf("read the launcher's answer to %s: %w", m.Op, err)
	}
	return nil
}
