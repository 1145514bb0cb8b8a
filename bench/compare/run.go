package compare

import (
	"context"
	"errors"
	"fmt"

	"dmalloc/bench/peer"
	"dmalloc/message"
)

// Bench measures. Its caller makes it of processes, a test of numbers.
type Bench interface {
	// Open starts a server of package peer and says its version; a *peer.Missing means that it is not installed.
	Open(ctx context.Context, server string) (version string, err error)
	// Close ends it.
	Close(server string)
	// Measure does one task and gives what the row's unit says.
	Measure(ctx context.Context, t Task, u Unit) (Sample, error)
}

// Sample is one measurement.
type Sample struct {
	Value  float64 `json:"value"`
	Errors int     `json:"errors"` // operations that failed; they do not count
	Error  string  `json:"first_error,omitempty"`
}

// Outcome is what came of a row.
type Outcome struct {
	Row
	Version string   // of the peer, where it has one
	Us      []Sample // what Ours gave
	Them    []Sample // what Theirs gave, in the same rounds
	Skipped string   // why nothing was measured, or no more
	Missing bool     // because the peer is not installed
}

// Run measures all rows, neighbours of one server while it is up, round by round. What fails is in the outcomes; an
// error is the end of ctx, with the outcomes until then. progress is told of each round.
func Run(ctx context.Context, b Bench, rows []Row, rounds int, progress func(o *Outcome, round int)) ([]Outcome, error) {
	all := make([]Outcome, len(rows))
	for i := range rows {
		all[i].Row = rows[i]
	}
	for i := 0; i < len(all); {
		var of []*Outcome
		heap, server := all[i].Heap, all[i].Server
		for ; i < len(all) && all[i].Heap == heap && all[i].Server == server; i++ {
			of = append(of, &all[i])
		}
		if err := runServers(ctx, b, heap, server, of, rounds, progress); err != nil {
			for j := range all {
				if len(all[j].Us) == 0 && all[j].Skipped == "" {
					all[j].Skipped = "it was not reached"
				}
			}
			return all, err
		}
	}
	return all, nil
}

// Plan is what Run would give if it measured nothing.
func Plan(rows []Row) []Outcome {
	all := make([]Outcome, len(rows))
	for i, r := range rows {
		all[i] = Outcome{Row: r, Skipped: "this is the plan"}
	}
	return all
}

func runServers(ctx context.Context, b Bench, heap, server string, of []*Outcome, rounds int, progress func(*Outcome, int)) error {
	for _, s := range []string{heap, server} {
		if s == "" {
			continue
		}
		version, err := b.Open(ctx, s)
		for _, o := range of {
			if s == server {
				o.Version = version
			}
			if err != nil {
				o.Skipped, o.Missing = err.Error(), missing(err)
			}
		}
		if err != nil {
			return context.Cause(ctx)
		}
		defer b.Close(s)
	}
	for round := range rounds {
		for _, o := range of {
			if o.Skipped != "" || o.Rounds > 0 && round >= o.Rounds {
				continue
			}
			if err := o.measure(ctx, b, round); err != nil {
				o.Skipped = err.Error()
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			progress(o, round)
		}
	}
	return nil
}

// measure does both sides once. Who is first changes from round to round.
func (o *Outcome) measure(ctx context.Context, b Bench, round int) error {
	tasks := []Task{o.Ours, o.Theirs}
	var got [2]Sample
	for i := range tasks {
		side := (i + round) % 2
		s, err := b.Measure(ctx, tasks[side], o.Unit)
		if err != nil {
			return fmt.Errorf("%s in round %d: %w", tasks[side].Peer, round+1, err)
		}
		if s.Value <= 0 {
			return message.Errorf(message.Unavailable, "%s in round %d did nothing: %s", tasks[side].Peer, round+1, s.Error)
		}
		got[side] = s
	}
	o.Us, o.Them = append(o.Us, got[0]), append(o.Them, got[1])
	return nil
}

func missing(err error) bool {
	var m *peer.Missing
	return errors.As(err, &m)
}

// Failed says whether a row was cut short by something else than a peer that is not installed.
func (o *Outcome) Failed() bool { return o.Skipped != "" && !o.Missing }
