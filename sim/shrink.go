package sim

import "context"

const (
	shrinkSalts = 24  // dice tried for each smaller config
	shrinkRuns  = 600 // histories played at most
)

// Shrink looks for a smaller history that breaks the same invariant: fewer faults, clients, operations. What
// is left out shifts all dice that follow, so each smaller config is tried with some salts. It returns the
// smallest that it found, with its story; a config that does not fail is returned as it is.
func Shrink(ctx context.Context, c Config) Result {
	s := &shrinker{ctx: ctx}
	best := Run(c)
	if !best.Failed() {
		return best
	}
	s.check = best.Check
	w := newWorld(c) // says what the seed chose
	c.Clients, c.Ops = w.cfg.Clients, w.cfg.Ops
	for smaller := true; smaller; {
		smaller = false
		for f := Faults(1); f < faultsEnd; f <<= 1 {
			if next := c; w.faults&^c.Without&f != 0 {
				next.Without |= f
				smaller = s.try(&c, next) || smaller
			}
		}
		if next := c; c.Clients > 1 {
			next.Clients--
			smaller = s.try(&c, next) || smaller
		}
		if next := c; c.Ops > 1 {
			next.Ops = c.Ops * 2 / 3
			smaller = s.try(&c, next) || smaller
		}
	}
	if s.found == nil {
		return best
	}
	return Run(s.found.Config)
}

type shrinker struct {
	ctx   context.Context
	check string
	runs  int
	found *Result
}

// try replaces c by the smaller config if that fails in the same way with some dice.
func (s *shrinker) try(c *Config, next Config) bool {
	for salt := range uint64(shrinkSalts) {
		if s.runs++; s.runs > shrinkRuns || s.ctx.Err() != nil {
			return false
		}
		next.Salt = salt
		if r := play(next); r.Check == s.check {
			*c, s.found = next, &r
			return true
		}
	}
	return false
}
