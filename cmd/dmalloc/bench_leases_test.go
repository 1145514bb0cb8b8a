package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"dmalloc/owner"
)

// A program that has a node in it is a cluster that works.
func TestNodeInside(t *testing.T) {
	owner.LogTo(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, end, err := nodeInside(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	a, err := n.Heap().Malloc(ctx, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Heap().ReadAt(ctx, make([]byte, 16), a.Address); err != nil {
		t.Fatal(err)
	}
}
