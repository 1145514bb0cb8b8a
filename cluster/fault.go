package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"dmalloc/client"
	"dmalloc/fault"
	"dmalloc/message"
)

// takenIn is how long a command waits for the nodes that run to say that they behave as the faults are now. One
// that is frozen by somebody else's hand cannot say it, and takes them in when it wakes.
const takenIn = 2 * time.Second

// Fault begins a fault, which words describe as package fault reads them, and returns when the nodes that run
// have taken it in. It ends by itself after lasts, if that is not 0. Nodes that start later are told as well.
func (l *Launcher) Fault(ctx context.Context, words string, lasts time.Duration) (client.Fault, error) {
	l.mu.Lock()
	span := l.span()
	l.mu.Unlock()
	f, err := fault.Parse(strings.Fields(words), span)
	if err != nil {
		return client.Fault{}, err
	}
	if lasts < 0 {
		return client.Fault{}, message.Errorf(message.InvalidArgument, "a fault cannot last for %s; give a time above 0, such as 5s", lasts)
	}
	if f.Kind == fault.DiskFull {
		if err := l.harmless("fill a disk"); err != nil {
			return client.Fault{}, err
		}
	}
	if err := l.links(f); err != nil {
		return client.Fault{}, err
	}
	now := time.Now()
	if lasts > 0 {
		f.Until = now.Add(lasts)
	}
	l.mu.Lock()
	if err = l.open(l.closing); err == nil {
		f, err = l.faults.Add(f)
	}
	turn := l.turned()
	l.mu.Unlock()
	if err != nil {
		return client.Fault{}, err
	}
	l.sendPeers()
	return shown(f, now), l.taken(ctx, turn)
}

// Heal ends the faults that words choose, as fault.ParseChoice reads them, and returns those that ended when the
// nodes that run know it. What is chosen by its number must be there.
func (l *Launcher) Heal(ctx context.Context, words string) ([]client.Fault, error) {
	choice, err := fault.ParseChoice(strings.Fields(words))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	ended := l.faults.Heal(choice)
	turn := l.turned()
	l.mu.Unlock()
	if choice.ID != 0 && len(ended) == 0 {
		return nil, message.Errorf(message.InvalidArgument, "there is no fault %d, or it has ended; `faults` lists those that last", choice.ID)
	}
	l.sendPeers()
	now, all := time.Now(), []client.Fault{}
	for _, f := range ended {
		all = append(all, shown(f, now))
	}
	return all, l.taken(ctx, turn)
}

// Faults lists the faults that last: the nodes that were killed or frozen, which have no number, by id, then the
// others in the order of their beginning.
func (l *Launcher) Faults(context.Context) ([]client.Fault, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, all := time.Now(), []client.Fault{}
	for _, m := range l.nodes {
		what := ""
		switch {
		case m.state == Paused:
			what = "pause"
		case m.state == Dead && m.reason == reasonKilled:
			what = "kill"
		default:
			continue
		}
		all = append(all, client.Fault{Kind: what, Fault: what + " " + m.id.String(), LeftMS: leftMS(m.back, now)})
	}
	for _, f := range l.faults.List() {
		all = append(all, shown(f, now))
	}
	return all, nil
}

// shown is a fault as clients see it.
func shown(f fault.Fault, now time.Time) client.Fault {
	return client.Fault{ID: f.ID, Kind: f.Kind.String(), Fault: f.String(), LeftMS: leftMS(f.Until, now)}
}

// leftMS is how many milliseconds there are until end; 0 for ever.
func leftMS(end, now time.Time) int64 {
	if end.IsZero() {
		return 0
	}
	return max(1, end.Sub(now).Milliseconds())
}

// Return has a node that was killed or frozen revived or resumed after a time, unless somebody does it, or kills it,
// before.
func (l *Launcher) Return(_ context.Context, id message.NodeID, after time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := l.member(id)
	switch {
	case err != nil:
		return err
	case after <= 0:
		return message.Errorf(message.InvalidArgument, "node %s cannot be back after %s; give a time above 0, such as 5s", id, after)
	case m.state != Paused && m.state != Dead || m.killing:
		return message.Errorf(message.AlreadyAlive, "node %s is %s and need not be brought back", id, m.state)
	}
	m.back = time.Now().Add(after)
	l.wake()
	return l.open(l.closing)
}

// restore begins to bring back the nodes whose time has come. l.mu is held.
func (l *Launcher) restore(now time.Time) {
	for _, m := range l.nodes {
		if m.back.IsZero() || m.back.After(now) || l.closing {
			continue
		}
		m.back = time.Time{}
		frozen := m.state == Paused
		l.tasks.Go(func() { // ends when the node has caught up or cannot, or with the launcher
			bring := func() error { return l.Revive(l.stopping, m.id, false, nil) }
			if frozen {
				bring = func() error { return l.Resume(l.stopping, m.id) }
			}
			if err := bring(); err != nil && l.stopping.Err() == nil && message.CodeOf(err) != message.AlreadyAlive {
				l.cfg.Notice(fmt.Sprintf("node %s does not come back: %v", m.id, err))
			}
		})
	}
}

// due is when expire has something to do, and false if it has nothing. l.mu is held.
func (l *Launcher) due() (time.Time, bool) {
	next, some := l.faults.Next()
	for _, m := range l.nodes {
		if !m.back.IsZero() && (!some || m.back.Before(next)) {
			next, some = m.back, true
		}
	}
	return next, some
}

// harmless refuses what can hurt data that is meant to be kept.
func (l *Launcher) harmless(what string) error {
	if l.store.dir == "" || l.cfg.Drills {
		return nil
	}
	return message.Errorf(message.Unsupported, "the data in %s is kept, and to %s could hurt it: start the cluster with --drills to allow that, or without --data", l.store.dir, what)
}

// links refuses a fault on links that the network does not have: what two nodes without one say to each other
// travels over links of others.
func (l *Launcher) links(f fault.Fault) error {
	edges := l.Directory().Links()
	if len(edges) == 0 {
		return nil
	}
	linked := func(a, b message.NodeID) bool {
		return slices.ContainsFunc(edges, func(e message.Edge) bool { return e.A == a && e.B == b || e.A == b && e.B == a })
	}
	const which = "faults are of links; `graph FILE cluster` draws those that there are"
	switch f.Kind {
	case fault.Slow, fault.Drop:
		if !linked(f.Node, f.Other) {
			return message.Errorf(message.InvalidArgument, "nodes %s and %s have no link, their messages pass through others: %s", f.Node, f.Other, which)
		}
	case fault.Partition, fault.OneWay:
		for i, g := range f.Groups {
			for _, h := range f.Groups[i+1:] {
				if slices.ContainsFunc(g, func(a message.NodeID) bool {
					return slices.ContainsFunc(h, func(b message.NodeID) bool { return linked(a, b) })
				}) {
					return nil
				}
			}
		}
		return message.Errorf(message.InvalidArgument, "%s cuts nothing, for no link joins the groups: %s", f, which)
	}
	return nil
}

// turned counts a change of the faults, and wakes expire. l.mu is held.
func (l *Launcher) turned() uint64 {
	l.turn++
	l.wake()
	return l.turn
}

// taken waits until the nodes that run behave as the faults were at a turn.
func (l *Launcher) taken(ctx context.Context, turn uint64) error {
	short, cancel := context.WithTimeout(ctx, takenIn)
	defer cancel()
	err := l.await(short, func() (bool, error) {
		return !slices.ContainsFunc(l.nodes, func(m *member) bool { return m.state == Alive && !m.killing && m.turn < turn }), nil
	})
	if err != nil && short.Err() != nil {
		return ctx.Err()
	}
	return err
}

// expire ends the faults whose time is over, deaths and frosts too.
func (l *Launcher) expire() {
	for {
		l.mu.Lock()
		next, some := l.due()
		changed := l.changed
		l.mu.Unlock()
		timer := time.NewTimer(time.Until(next))
		due := timer.C
		if !some {
			due = nil
		}
		select {
		case <-l.stopping.Done():
			timer.Stop()
			return
		case <-changed:
			timer.Stop()
			continue
		case <-due:
		}
		l.mu.Lock()
		now := time.Now()
		l.restore(now)
		ended := l.faults.Expire(now)
		if len(ended) > 0 {
			l.turned()
		}
		l.mu.Unlock()
		if len(ended) > 0 {
			l.sendPeers()
		}
		for _, f := range ended {
			l.cfg.Notice(fmt.Sprintf("fault %d is over: %s", f.ID, f))
		}
	}
}

// Corrupt flips bits in the kept files of a node that is down. The same seed does the same to the same files;
// with 0 one is drawn.
func (l *Launcher) Corrupt(ctx context.Context, id message.NodeID, seed uint64) (client.Damage, error) {
	if err := l.harmless("corrupt files"); err != nil {
		return client.Damage{}, err
	}
	l.mu.Lock()
	m, err := l.member(id)
	if err == nil && (m.state != Dead || m.killing) {
		err = message.Errorf(message.AlreadyAlive, "node %s is %s and uses its files; kill %s first", id, m.state, id)
	}
	l.mu.Unlock()
	if err != nil {
		return client.Damage{}, err
	}
	l.hireMu.Lock()
	a, err := l.agent(ctx, m.host)
	l.hireMu.Unlock()
	if err != nil {
		return client.Damage{}, err
	}
	if seed == 0 {
		seed = 1 + rand.Uint64N(1<<32) // short enough to be typed again
	}
	r, err := a.ask(ctx, order{Do: doCorrupt, Node: id, Dir: m.dir, Seed: seed})
	if err != nil {
		return client.Damage{}, fmt.Errorf("corrupt the files of node %s: %w", id, err)
	}
	return client.Damage{Seed: seed, Flips: r.Flips}, nil
}
