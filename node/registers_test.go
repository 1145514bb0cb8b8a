package node

import (
	"context"
	"testing"
	"time"

	"dmalloc/message"
)

// Registers are not sent to a node that cannot take them: until the change had ended, which it could not, everything
// would need that node too.
func TestRegistersStayWhereNobodyTakesThem(t *testing.T) {
	h := newHerd(t, 3, -1)
	h.stop(2)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	heap := h.any().heap
	short, end := context.WithTimeout(ctx, 10*time.Second)
	err := heap.SpreadRegisters(short, []message.NodeID{2}, nil)
	end()
	if message.CodeOf(err) != message.Unavailable {
		t.Errorf("the registers go to a dead node: %v", err)
	}
	if _, err := heap.WriteRegister(ctx, 7, []byte("still")); err != nil {
		t.Errorf("then a register: %v", err)
	}
	if err := heap.SpreadRegisters(ctx, []message.NodeID{0, 1, 2}, nil); err != nil {
		t.Errorf("where they are: %v", err)
	}
}
