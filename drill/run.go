package drill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"dmalloc/message"
)

// run is a drill under way.
type run struct {
	cluster Cluster
	cfg     Config
	begin   time.Time
	rec     *Recorder
	work    *workload
	planned map[string]int // faults, by kind
	workers []*worker
	closers []func()
	player  *player
	found   []Finding
}

// Run does a drill and judges it. It returns an error only if the drill could not begin, and leaves a healed
// cluster behind in any case. When ctx ends before, it heals and says fail. Say gets a line for each
// thing that happens; it may be nil.
func Run(ctx context.Context, cluster Cluster, cfg Config, say func(string)) (*Result, error) {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return nil, err
	}
	steps, err := cfg.steps()
	if err != nil {
		return nil, err
	}
	if say == nil {
		say = func(string) {}
	}
	r := &run{cluster: cluster, cfg: cfg, begin: time.Now(), planned: planned(steps, cfg.ReplaceAfter), work: &workload{keys: newKeyring()}}
	r.work.next.Store(cfg.Registers)
	now := func() time.Duration { return time.Since(r.begin) }
	r.rec = NewRecorder(now, cfg.MaxCalls)
	r.player = &player{cluster: cluster, now: now, say: say, state: stateOf(cfg.IDs, cfg.Next), moves: cfg.moves(steps),
		moved:   func(nodes []message.NodeID) { r.work.nodes.Store(&nodes) },
		victims: map[int]message.NodeID{}, failed: map[message.NodeID]bool{}}
	defer r.hangUp()
	evidence, err := r.prepare(ctx)
	if err != nil {
		return nil, err
	}
	watch := r.watch(ctx)
	r.breakIt(ctx, steps, say)
	r.end(ctx, evidence, say)
	evidence.Losses = watch(ctx)
	evidence.History = r.rec.History()
	evidence.Losses.grants = evidence.Grants
	say(fmt.Sprintf("checking %d calls", len(evidence.Ops)))
	r.found = append(r.found, r.player.findings()...)
	r.found = append(r.found, evidence.slowToReturn(r.cfg.Stuck)...)
	r.found = append(r.found, Check(*evidence, cfg.Judge)...)
	return r.result(evidence), nil
}

// watch begins to ask nodes what they lose. What it returns ends that.
func (r *run) watch(ctx context.Context) (stop func(ctx context.Context) losses) {
	if !r.cfg.WriteBack || r.cluster.Holding == nil {
		return func(context.Context) losses { return losses{} }
	}
	w := &watcher{ask: r.cluster.Holding, rec: r.rec, nodes: func() []message.NodeID {
		if now := r.work.nodes.Load(); now != nil {
			return *now
		}
		return r.cfg.IDs
	}}
	w.watch(context.WithoutCancel(ctx)) // a drill that is cut short is judged, too
	return func(ctx context.Context) losses {
		return losses{windows: w.stop(context.WithoutCancel(ctx)), done: r.player.spans()}
	}
}

func (r *run) hangUp() {
	for _, c := range r.closers {
		c()
	}
}

// prepare waits for a whole cluster, notes what is there, and makes the first keys while nothing is broken.
func (r *run) prepare(ctx context.Context) (*Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Heal)
	defer cancel()
	if err := becomeWhole(ctx, r.cluster.View, 1); err != nil {
		return nil, fmt.Errorf("the drill cannot begin: %w", err)
	}
	for i := range r.cfg.Clients {
		home := r.cfg.IDs[i%len(r.cfg.IDs)]
		heap, done, err := r.cluster.Dial(ctx, home)
		if err != nil {
			return nil, fmt.Errorf("the drill cannot begin: client %d: %w", i, err)
		}
		w := &worker{dial: r.cluster.Dial, close: done, place: i, caller: caller{heap: heap, log: r.rec.Log(), timeout: r.cfg.Timeout, back: r.cfg.WriteBack, home: home},
			work: r.work, leases: r.cfg.Leases, dice: rand.New(rand.NewPCG(r.cfg.Seed, uint64(i)+1))}
		r.closers = append(r.closers, func() { w.close() }) // it may have gone to another node
		r.workers = append(r.workers, w)
	}
	e := &Evidence{}
	var err error
	if e.Before, err = tableOf(ctx, r.workers[0].heap, r.cfg.Timeout); err != nil {
		return nil, fmt.Errorf("the drill cannot begin: the table of allocations: %w", err)
	}
	if _, e.UsedBefore, err = usedOf(ctx, r.cluster.View, r.cfg.Timeout); err != nil {
		return nil, fmt.Errorf("the drill cannot begin: %w", err)
	}
	return e, r.firstKeys(ctx)
}

func (r *run) firstKeys(ctx context.Context) error {
	w := r.workers[0]
	for i := range r.work.keys.slots {
		for {
			t, err := w.fresh(ctx, r.work.keys.slots[i].shape)
			if err != nil {
				return fmt.Errorf("the drill cannot begin: %w", err)
			}
			if t != nil {
				r.work.keys.put(i, t)
				break
			}
			if !wait(ctx, time.Millisecond) {
				return message.Errorf(message.Unavailable, "the drill cannot begin: nothing could be allocated within %v; look at companies", r.cfg.Heal)
			}
		}
	}
	return nil
}

// looks is how often a cluster must be whole in a row to be so: between two moves of owners it seems so, too.
func (r *run) looks() int {
	if r.player.moves {
		return 20
	}
	return 1
}

// breakIt plays the script while the clients work, and heals.
func (r *run) breakIt(ctx context.Context, steps []Step, say func(string)) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	play, enough := context.WithCancel(ctx) // faults without clients prove nothing
	defer enough()
	for _, w := range r.workers {
		wg.Go(func() {
			if w.run(ctx, stop, time.Second/time.Duration(r.cfg.Rate)) {
				enough()
			}
		})
	}
	most := r.cfg.Length + 2*spare // commands take time too, and the run shall not grow by it
	if r.cfg.Script != nil {
		most = 0
	}
	if r.cfg.Script == nil {
		r.player.times = r.cfg.timetable(r.player.now())
	}
	r.player.play(play, steps, most)
	if play.Err() != nil && ctx.Err() == nil {
		say(fmt.Sprintf("%d calls are recorded, and there is room for no more: the drill ends early", r.cfg.MaxCalls))
	}
	if ctx.Err() != nil {
		r.found = append(r.found, Finding{Check: Idle, Text: "the drill was cut short; what happened until then was judged"})
	}
	heal, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Heal+doLimit)
	defer cancel()
	say("healing")
	r.player.close(heal)
	r.rec.healed.Store(r.rec.stamp())
	whole, cancelWhole := context.WithTimeout(heal, r.cfg.Heal)
	defer cancelWhole()
	if err := becomeWhole(whole, r.cluster.View, r.looks()); err != nil {
		r.found = append(r.found, Finding{Check: Stuck, Text: fmt.Sprintf("%v after everything was healed: %v", r.cfg.Heal, err)})
	}
	if play.Err() == nil {
		if missing := r.rec.used(ctx, r.cfg.Stuck); missing != "" {
			r.found = append(r.found, Finding{Check: Stuck, Text: fmt.Sprintf("%s: no call succeeded within %v after everything was healed", missing, r.cfg.Stuck)})
		}
	}
	close(stop)
	wg.Wait()
}

// end reads everything once more and frees it.
func (r *run) end(ctx context.Context, evidence *Evidence, say func(string)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Heal)
	defer cancel()
	say("reading everything from every node")
	e := &ending{cluster: r.cluster, cfg: r.cfg, rec: r.rec, nodes: r.player.state.nodes, targets: r.work.keys.all(), evidence: evidence}
	for _, w := range r.workers {
		e.targets = append(e.targets, w.own...)
		e.limbo = append(e.limbo, w.limbo...)
	}
	e.run(ctx)
	r.found = append(r.found, e.found...)
}
