package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"dmalloc/message"
)

// What a node's process is doing.
const (
	Starting = "starting" // its process runs and has yet to catch up
	Alive    = "alive"
	Paused   = "paused"
	Dead     = "dead"
)

// reasonKilled is why a node is dead that a command has killed.
const reasonKilled = "killed"

// State is what the launcher knows of a node.
type State struct {
	ID          message.NodeID `json:"id"`
	State       string         `json:"state"`
	Pid         int            `json:"pid"` // 0 for a dead node
	Host        string         `json:"host"`
	Address     string         `json:"address"` // the last known, also of a dead node
	HTTP        string         `json:"http"`
	Since       time.Time      `json:"since"`            // when it came into this state
	Reason      string         `json:"reason,omitempty"` // why it is dead
	Incarnation uint64         `json:"incarnation"`
}

// member is a node in the launcher's books. The launcher's mutex guards it, but for what never changes:
// id, host, listen and httpListen.
type member struct {
	id                 message.NodeID
	host               string
	listen, httpListen string // as configured
	dir                string // its own, on its host
	state              string
	run                uint64 // counts the starts: what a former process reports is told from it
	pid                int
	address, http      string // where it listens; of a dead node where it did
	since              time.Time
	reason             string    // why it is dead
	failure            error     // what it reported before it ended
	heard              bool      // this run has said where it listens
	turn               uint64    // of the faults that this run has taken in
	back               time.Time // when a dead or frozen one is to be revived or resumed; zero: never
	killing            bool      // somebody is killing it
	noticed            bool
	awaited            int // how many wait for it, and will say what became of it
}

// begin makes the books ready for another run.
func (m *member) begin() {
	m.run++
	m.state, m.since, m.reason = Starting, time.Now(), ""
	m.failure, m.heard, m.turn, m.killing, m.noticed = nil, false, 0, false, false
	m.back = time.Time{}
}

func (m *member) die(reason string) {
	m.state, m.pid, m.since, m.reason, m.killing = Dead, 0, time.Now(), reason, false
	m.back = time.Time{}
}

// States lists the nodes by id.
func (l *Launcher) States() []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := make([]State, len(l.nodes))
	for i, m := range l.nodes {
		states[i] = State{ID: m.id, State: m.state, Pid: m.pid, Host: m.host, Address: m.address, HTTP: m.http, Since: m.since, Reason: m.reason,
			Incarnation: *l.kept.incarnation(m.id)}
	}
	return states
}

// living counts the nodes that have a process and are not being killed. l.mu is held.
func (l *Launcher) living() int {
	n := 0
	for _, m := range l.nodes {
		if m.state != Dead && !m.killing {
			n++
		}
	}
	return n
}

// wake lets everybody look again who waits for a change. l.mu is held.
func (l *Launcher) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits until cond, which is called with l.mu held, says that it is done.
func (l *Launcher) await(ctx context.Context, cond func() (bool, error)) error {
	for {
		l.mu.Lock()
		done, err := cond()
		changed := l.changed
		l.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopping.Done():
			return l.open(true)
		}
	}
}

// launch starts the process of a node whose books begin has made ready.
func (l *Launcher) launch(ctx context.Context, m *member, listen, httpListen string, kept bool) error {
	l.mu.Lock()
	if m.killing {
		m.die(reasonKilled)
		l.wake()
		l.mu.Unlock()
		return message.Errorf(message.AlreadyDead, "node %s was killed before it could start", m.id)
	}
	a, run := l.agents[m.host], m.run
	incarnation := *l.kept.incarnation(m.id)
	late := l.kept.late(m.id) != nil
	line := string(message.JSON(NodeConfig{ID: m.id, Settings: l.kept.Settings, Dir: m.dir, Listen: listen, HTTPListen: httpListen,
		Control: l.cfg.Control, Hosts: l.kept.Hosts, Temporary: l.store.dir == "", Incarnation: incarnation, Join: incarnation > 0 || late, Debug: l.cfg.Debug,
		Certs: l.cfg.Certs, Insecure: l.cfg.Insecure, Tokens: l.cfg.Tokens}))
	o := order{Do: doStart, Node: m.id, Run: run, Dir: m.dir, Kept: kept, Args: l.cfg.NodeArgs, Line: line}
	l.mu.Unlock()
	var r report
	err := l.open(a == nil)
	if err == nil {
		r, err = a.ask(ctx, o)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.wake()
	if m.run != run || m.state == Dead {
		return err // it has ended already
	}
	m.pid = r.Pid
	if a != nil && (err != nil || m.killing) {
		l.killLater(a, m) // also after an error: when ctx ended, it may have been started
	}
	if err != nil {
		m.failure = err
		m.die(err.Error())
	}
	return err
}

// event takes in what a warden reports of its own accord.
func (l *Launcher) event(a *agent, r report) {
	notice := ""
	l.mu.Lock()
	if l.agents[a.host] == a {
		if m := l.find(r.Node); m != nil && m.host == a.host && m.run == r.Run && m.state != Dead {
			switch r.Says {
			case saysLine:
				l.said(a, m, r.Line)
			case saysExited:
				notice = l.exited(m, r)
				if len(l.kept.Settings.Topology) > 0 && !l.closing {
					l.tasks.Go(l.sendPeers) // nothing is to be relayed through it
				}
			}
			l.wake()
		}
	}
	l.mu.Unlock()
	if notice != "" {
		l.cfg.Notice(notice)
	}
}

// said takes in a line of a node. What is no event is not for us. l.mu is held.
func (l *Launcher) said(a *agent, m *member, line string) {
	var e Event
	if json.Unmarshal([]byte(line), &e) != nil {
		return
	}
	switch e.Event {
	case Listening:
		m.address, m.http, m.heard = l.reachable(m.host, m.listen, e.Address), l.reachable(m.host, m.httpListen, e.HTTP), true
	case Ready:
		if m.state == Starting {
			m.state, m.since = Alive, time.Now()
		}
	case Faulted:
		m.turn = e.Turn
	case Failed:
		m.failure = e.Err()
		l.killLater(a, m) // nobody may wait for a node that has failed and stays
	}
}

// killLater has a node's process killed without waiting for that. l.mu is held.
func (l *Launcher) killLater(a *agent, m *member) {
	o := order{Do: doSignal, Node: m.id, Run: m.run, Signal: "KILL"}
	if !l.closing {
		l.tasks.Go(func() { a.tell(o) }) // ends when the order is in the queue, or with the warden
	}
}

// reachable puts the host's name in the place of an address that only means "all". With certificates it is
// the name by which the host was given, for that is what its certificate is made out to.
func (l *Launcher) reachable(host, listen, address string) string {
	h, port, err := net.SplitHostPort(address)
	if own, _, bad := net.SplitHostPort(listen); err == nil && bad == nil && l.cfg.Certs != "" {
		h = own
		address = net.JoinHostPort(h, port)
	}
	if ip := net.ParseIP(h); err == nil && (h == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort(bareHost(host), port)
	}
	return address
}

// exited takes in the end of a process and gives what to say of it if nobody expected it. l.mu is held.
func (l *Launcher) exited(m *member, r report) string {
	reason := r.Text
	switch {
	case m.failure != nil:
		reason = m.failure.Error()
	case m.killing:
		reason = reasonKilled
	case r.Last != "":
		reason += "; its last words: " + r.Last
	}
	expected, pid := m.killing || m.awaited > 0 || l.closing, m.pid
	m.die(reason)
	if expected {
		return ""
	}
	return fmt.Sprintf("node %s (process %d) is dead: %s", m.id, pid, reason)
}

// lost takes in that a warden is gone, and its nodes with it.
func (l *Launcher) lost(a *agent) {
	l.mu.Lock()
	notice := ""
	if l.agents[a.host] == a {
		if !l.closing {
			delete(l.agents, a.host)
			notice = fmt.Sprintf("the nodes of host %s are dead: their warden has ended", a.host)
			if last := a.last.String(); last != "" {
				notice += ": " + last
			}
		}
		for _, m := range l.nodes {
			if m.host == a.host && m.state != Dead {
				m.die("the warden of host " + a.host + " ended")
			}
		}
		l.wake()
	}
	l.mu.Unlock()
	if notice != "" {
		l.cfg.Notice(notice)
	}
}

// sendPeers tells every node where all of them are, and what is wrong with it on purpose.
func (l *Launcher) sendPeers() {
	l.peersMu.Lock()
	defer l.peersMu.Unlock()
	type letter struct {
		to *agent
		o  order
	}
	var letters []letter
	l.mu.Lock()
	var p Peers
	for _, m := range l.nodes {
		p.Peers = append(p.Peers, message.Node{ID: m.id, Host: m.host, Address: m.address, HTTP: m.http, Incarnation: *l.kept.incarnation(m.id)})
		if m.state == Dead {
			p.Down = append(p.Down, m.id)
		}
	}
	p.Turn = l.turn
	healthy := string(message.JSON(p)) // the same for all but the nodes that a fault troubles
	for _, m := range l.nodes {
		if a := l.agents[m.host]; a != nil && m.state != Dead {
			line := healthy
			if v := l.faults.For(m.id, l.span()); !v.Healthy() {
				p.Faults = &v
				line = string(message.JSON(p))
			}
			letters = append(letters, letter{a, order{Do: doSend, Node: m.id, Run: m.run, Line: line}})
		}
	}
	l.mu.Unlock()
	for _, x := range letters {
		x.to.tell(x.o)
	}
	if l.onPeers != nil {
		l.onPeers(p.Peers)
	}
}

// OnPeers has f told where the nodes are, now and after each change. It must not wait, and replaces an
// earlier one.
func (l *Launcher) OnPeers(f func([]message.Node)) {
	l.peersMu.Lock()
	l.onPeers = f
	l.peersMu.Unlock()
	l.sendPeers()
}

func cannotListen(id message.NodeID, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(address)
		return message.Errorf(message.InvalidArgument, "node %s cannot listen on %s: port %s is in use; end what uses it, or choose another port", id, address, port)
	}
	return message.Errorf(message.InvalidArgument, "node %s cannot listen on %s: %v", id, address, err)
}

// member finds a node for a command. l.mu is held.
func (l *Launcher) member(id message.NodeID) (*member, error) {
	if m := l.find(id); m != nil {
		return m, nil
	}
	if slices.Contains(l.kept.Gone, id) {
		return nil, message.Errorf(message.NoSuchNode, "node %s has left the cluster", id)
	}
	return nil, message.Errorf(message.NoSuchNode, "there is no node %s here; nodes are %s", id, l.listed())
}

// find is nil if there is no such node. l.mu is held.
func (l *Launcher) find(id message.NodeID) *member {
	for _, m := range l.nodes {
		if m.id == id {
			return m
		}
	}
	return nil
}

// span is one more than the greatest id. l.mu is held.
func (l *Launcher) span() int { return int(l.nodes[len(l.nodes)-1].id) + 1 }

// listed names the nodes for a person: 0 to 4, or 0 to 6 without 3. l.mu is held.
func (l *Launcher) listed() string {
	text := fmt.Sprintf("%s to %d", l.nodes[0].id, l.span()-1)
	var missing []string
	for id := l.nodes[0].id; int(id) < l.span(); id++ {
		if l.find(id) == nil {
			missing = append(missing, id.String())
		}
	}
	if len(missing) > 0 {
		text += " without " + strings.Join(missing, ", ")
	}
	return text
}

// forgetLoss strikes a node from the list of those whose new incarnation the directory may not know.
func (k *kept) forgetLoss(id message.NodeID) {
	k.Lost = slices.DeleteFunc(k.Lost, func(n message.NodeID) bool { return n == id })
}
