package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"dmalloc/message"
)

// Kill ends a node's process at once, a paused one too, and returns when it is gone. The last node stays.
func (l *Launcher) Kill(ctx context.Context, id message.NodeID) error {
	l.mu.Lock()
	m, err := l.member(id)
	switch {
	case err != nil:
	case m.state == Dead:
		err = message.Errorf(message.AlreadyDead, "node %s is dead already", id)
	case m.killing:
		err = message.Errorf(message.AlreadyDead, "node %s is being killed already", id)
	case l.living() == 1:
		err = message.Errorf(message.InvalidArgument, "node %s is the last one that lives; exit stops the cluster", id)
	}
	if err != nil {
		l.mu.Unlock()
		return err
	}
	m.killing = true
	run := m.run
	a := l.agents[m.host]
	l.mu.Unlock()
	if a != nil { // else the warden has just ended, and the node with it
		_, err = a.ask(ctx, order{Do: doSignal, Node: id, Run: run, Signal: "KILL"})
		if code := message.CodeOf(err); code == message.AlreadyDead || code == message.Unavailable {
			err = nil // it ended by itself
		}
	}
	if err == nil {
		err = l.await(ctx, func() (bool, error) { return m.run != run || m.state == Dead, nil })
	}
	if err != nil {
		l.mu.Lock()
		if m.run == run {
			m.killing = false
		}
		l.mu.Unlock()
		return fmt.Errorf("kill node %s: %w", id, err)
	}
	return nil
}

// Pause freezes a node's process (SIGSTOP).
func (l *Launcher) Pause(ctx context.Context, id message.NodeID) error {
	return l.freeze(ctx, id, "STOP", Paused, func(m *member) error {
		switch m.state {
		case Paused:
			return message.Errorf(message.InvalidArgument, "node %s is paused already", id)
		case Starting:
			return message.Errorf(message.InvalidArgument, "node %s is still starting; wait until it is alive", id)
		}
		return nil
	})
}

// Resume lets a paused node go on (SIGCONT).
func (l *Launcher) Resume(ctx context.Context, id message.NodeID) error {
	return l.freeze(ctx, id, "CONT", Alive, func(m *member) error {
		if m.state != Paused {
			return message.Errorf(message.AlreadyAlive, "node %s is %s and not paused", id, m.state)
		}
		return nil
	})
}

func (l *Launcher) freeze(ctx context.Context, id message.NodeID, signal, state string, refuse func(*member) error) error {
	l.mu.Lock()
	m, err := l.member(id)
	if err == nil && (m.state == Dead || m.killing) {
		err = message.Errorf(message.AlreadyDead, "node %s is dead; bring it back with revive %s", id, id)
	}
	if err == nil {
		err = refuse(m)
	}
	if err != nil {
		l.mu.Unlock()
		return err
	}
	a, run := l.agents[m.host], m.run
	l.mu.Unlock()
	if a == nil {
		return message.Errorf(message.AlreadyDead, "node %s has just died with the warden of its host", id)
	}
	if _, err := a.ask(ctx, order{Do: doSignal, Node: id, Run: run, Signal: signal}); err != nil {
		return fmt.Errorf("send SIG%s to node %s: %w", signal, id, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.run != run || m.state == Dead {
		return message.Errorf(message.AlreadyDead, "node %s has just died", id)
	}
	m.state, m.since, m.back = state, time.Now(), time.Time{}
	l.wake()
	return nil
}

// Revive starts a dead node again and returns when it has caught up. With wipe its files are moved aside
// and it comes back as a new incarnation, which gets everything from the others. When ctx ends first, the
// node goes on starting. progress may be nil.
func (l *Launcher) Revive(ctx context.Context, id message.NodeID, wipe bool, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	l.mu.Lock()
	m, err := l.member(id)
	if err == nil {
		err = m.revivable()
	}
	if err == nil {
		err = l.open(l.closing)
	}
	if err != nil {
		l.mu.Unlock()
		return err
	}
	m.begin()
	m.awaited++
	run := m.run
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		m.awaited--
		l.mu.Unlock()
	}()
	fresh, err := l.prepare(ctx, m, wipe, progress)
	if err != nil {
		l.mu.Lock()
		if m.run == run && m.state != Dead {
			m.die(err.Error())
			l.wake()
		}
		l.mu.Unlock()
		return err
	}
	progress(fmt.Sprintf("node %s is starting", id))
	if run, err = l.relaunch(ctx, m, run, fresh); err != nil {
		return err
	}
	l.sendPeers()
	progress(fmt.Sprintf("node %s is catching up", id))
	return l.settled(ctx, m, run, "catch up", func() bool { return m.state != Starting })
}

// revivable refuses a node that is not dead. The launcher's mutex is held.
func (m *member) revivable() error {
	switch {
	case m.killing:
		return message.Errorf(message.AlreadyAlive, "node %s is being killed; try again when it is dead", m.id)
	case m.state == Paused:
		return message.Errorf(message.InvalidArgument, "node %s is paused, not dead; bring it back with resume %s", m.id, m.id)
	case m.state != Dead:
		return message.Errorf(message.AlreadyAlive, "node %s is %s", m.id, m.state)
	}
	return nil
}

// prepare finds the node's warden and, when its files are lost, has the directory know of its next
// incarnation. The order matters: that an incarnation has ended is kept before its files go, so that a
// launcher that dies in between never starts an empty node under it, which would vote twice. fresh says
// that the node begins without files.
func (l *Launcher) prepare(ctx context.Context, m *member, wipe bool, progress func(string)) (fresh bool, err error) {
	l.hireMu.Lock()
	a, err := l.agent(ctx, m.host)
	l.hireMu.Unlock()
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	lost := slices.Contains(l.kept.Lost, m.id)
	if wipe {
		*l.kept.incarnation(m.id)++
		l.kept.forgetLoss(m.id)
		l.kept.Lost = append(l.kept.Lost, m.id)
		lost = true
		err = l.store.save(&l.kept)
	}
	incarnation := *l.kept.incarnation(m.id)
	l.mu.Unlock()
	if err != nil || !lost {
		return false, err
	}
	r, err := a.ask(ctx, order{Do: doAside, Node: m.id, Dir: m.dir})
	if err != nil {
		return false, fmt.Errorf("move the old files of node %s aside: %w", m.id, err)
	}
	if r.Dir != "" {
		progress(fmt.Sprintf("the old files of node %s are in %s now", m.id, r.Dir))
	}
	if l.cfg.Retire != nil {
		if err := l.cfg.Retire(ctx, m.id, incarnation); err != nil {
			return false, fmt.Errorf("tell the directory that node %s lost its files: %w", m.id, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.forgetLoss(m.id)
	return true, l.store.save(&l.kept)
}

// relaunch starts the process where it listened before, or on free ports if those are taken by now.
func (l *Launcher) relaunch(ctx context.Context, m *member, run uint64, fresh bool) (uint64, error) {
	l.mu.Lock()
	listen, httpListen := withPort(m.listen, m.address), withPort(m.httpListen, m.http)
	kept := l.kept.formed(m.id) && !fresh
	l.mu.Unlock()
	err := l.try(ctx, m, run, listen, httpListen, kept)
	if err == nil {
		return run, nil
	}
	l.mu.Lock()
	again := m.run == run && m.state == Dead && m.failure != nil && !m.heard && message.CodeOf(m.failure) == message.InvalidArgument && !l.closing
	if again {
		m.begin()
		run = m.run
	}
	l.mu.Unlock()
	if !again {
		return run, err
	}
	return run, l.try(ctx, m, run, withPort(listen, ":0"), withPort(httpListen, ":0"), kept)
}

// try starts the process once and waits until it listens.
func (l *Launcher) try(ctx context.Context, m *member, run uint64, listen, httpListen string, kept bool) error {
	if err := l.launch(ctx, m, listen, httpListen, kept); err != nil {
		return err
	}
	return l.settled(ctx, m, run, "start", func() bool { return m.heard })
}

// settled waits until a run of a node has come as far as reached says, or has ended.
func (l *Launcher) settled(ctx context.Context, m *member, run uint64, what string, reached func() bool) error {
	err := l.await(ctx, func() (bool, error) {
		switch {
		case m.run != run:
			return false, message.Errorf(message.AlreadyDead, "node %s was killed before it could %s", m.id, what)
		case m.state == Dead && m.failure != nil:
			return false, &message.Error{Code: message.CodeOf(m.failure), Text: fmt.Sprintf("node %s did not %s: %s", m.id, what, m.reason)}
		case m.state == Dead:
			return false, message.Errorf(message.Unavailable, "node %s did not %s: %s", m.id, what, m.reason)
		}
		return reached(), nil
	})
	if err != nil && ctx.Err() != nil && err == ctx.Err() {
		code := message.Timeout
		if errors.Is(err, context.Canceled) {
			code = message.Canceled
		}
		return &message.Error{Code: code, Text: fmt.Sprintf("node %s is still starting; see nodes", m.id), Err: err}
	}
	return err
}

// withPort is an address with the port of another one, where that has any.
func withPort(address, other string) string {
	host, _, err := net.SplitHostPort(address)
	_, port, bad := net.SplitHostPort(other)
	if err != nil || bad != nil {
		return address
	}
	return net.JoinHostPort(host, port)
}
