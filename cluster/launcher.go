package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"dmalloc/fault"
	"dmalloc/message"
)

// Launcher is a running cluster, as its launcher sees it. Its methods may be called at any time and by
// anybody.
type Launcher struct {
	cfg     Config
	store   *store
	allHere bool // every host is this machine

	mu      sync.Mutex
	kept    kept
	faults  fault.Set
	leaving map[message.NodeID]*removal // by id
	turn    uint64                      // counts the changes of faults
	nodes   []*member                   // in the order of their ids, of which some may be missing
	agents  map[string]*agent           // by host
	homes   map[string]string           // by host: where its nodes' directories are
	changed chan struct{}               // closed and renewed with each change of what mu guards
	closing bool

	peersMu  sync.Mutex // held while peers are sent: a later list is sent later
	onPeers  func([]message.Node)
	hireMu   sync.Mutex     // held while a command hires a warden
	growMu   sync.Mutex     // held while a node is added
	tasks    sync.WaitGroup // orders that nobody waits for
	stopping context.Context
	stop     context.CancelFunc
	closed   sync.Once
	closeErr error
}

// Start launches a cluster and returns when all its nodes are ready. A node of a kept cluster whose
// files were altered or are gone stays dead, with a notice; any other failure ends all of it.
func Start(ctx context.Context, cfg Config) (_ *Launcher, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, found, err := openStore(cfg.Data)
	if err != nil {
		return nil, err
	}
	l := &Launcher{cfg: cfg, store: s, agents: map[string]*agent{}, homes: map[string]string{}, leaving: map[message.NodeID]*removal{}, changed: make(chan struct{})}
	l.stopping, l.stop = context.WithCancel(context.Background())
	sent := found != nil
	defer func() {
		if err != nil {
			if !sent {
				s.forget() // no node has written anything: the next start may ask for something else
			}
			_ = l.Close()
		}
	}()
	if err := l.plan(found); err != nil {
		return nil, err
	}
	if err := l.freePorts(); err != nil {
		return nil, err
	}
	if err := s.save(&l.kept); err != nil {
		return nil, err
	}
	if err := l.hireAll(ctx); err != nil {
		return nil, err
	}
	if err := l.startAll(ctx); err != nil {
		return nil, err
	}
	if err := l.awaitAll(ctx, Listening, func(m *member) bool { return m.heard }); err != nil {
		return nil, err
	}
	sent = true
	l.sendPeers()
	if err := l.awaitAll(ctx, Ready, func(m *member) bool { return m.state == Alive }); err != nil {
		return nil, err
	}
	l.tasks.Go(l.expire)
	if err := l.form(); err != nil {
		return nil, err
	}
	l.drainOn()
	return l, nil
}

// plan settles who is where.
func (l *Launcher) plan(found *kept) error {
	settings, err := l.cfg.settle(found)
	if err != nil {
		return err
	}
	hosts, err := Assign(l.cfg.Hosts, settings.Nodes)
	if err != nil {
		return err
	}
	l.kept = kept{Settings: settings, Hosts: hosts, Incarnations: make([]uint64, settings.Nodes)}
	if found != nil {
		for id, host := range hosts {
			if old := found.Hosts[id]; old != host && !(isLocal(old) && isLocal(host)) {
				return message.Errorf(message.InvalidArgument, "the files of node %d are on host %s, and the hostfile puts it on %s; give the hostfile that the cluster was made with, or another directory", id, old, host)
			}
		}
		l.kept.Formed, l.kept.Incarnations, l.kept.Lost = found.Formed, found.Incarnations, found.Lost
		l.kept.Added, l.kept.Leaving, l.kept.Gone = found.Added, found.Leaving, found.Gone
	}
	ids := l.kept.ids()
	l.allHere = !slices.ContainsFunc(ids, func(id message.NodeID) bool { return !isLocal(l.kept.host(id)) })
	for _, id := range ids {
		host := l.kept.host(id)
		m := &member{id: id, host: host, state: Dead, since: time.Now(), reason: "not started yet"}
		if m.listen, m.httpListen, err = l.cfg.addresses(m.id, host, l.allHere); err != nil {
			return err
		}
		if err := l.cfg.guarded(m.listen, m.httpListen); err != nil {
			return err
		}
		l.nodes = append(l.nodes, m)
	}
	return nil
}

// freePorts finds out early, and says plainly, when a fixed port of this machine is taken.
func (l *Launcher) freePorts() error {
	taken := map[string]message.NodeID{}
	for _, m := range l.nodes {
		if !isLocal(m.host) {
			continue
		}
		for _, address := range []string{m.listen, m.httpListen} {
			if _, port, _ := net.SplitHostPort(address); port == "0" {
				continue
			}
			if other, ok := taken[address]; ok {
				return message.Errorf(message.InvalidArgument, "nodes %s and %s would both listen on %s; put --port and --http further apart", other, m.id, address)
			}
			taken[address] = m.id
			try, err := net.Listen("tcp", address)
			if err != nil {
				return cannotListen(m.id, address, err)
			}
			_ = try.Close()
		}
	}
	return nil
}

// hireAll starts the wardens of all hosts at once.
func (l *Launcher) hireAll(ctx context.Context) error {
	var hosts []string
	for _, m := range l.nodes {
		hosts = append(hosts, m.host)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	errs := make(chan error, len(hosts))
	for _, host := range hosts {
		go func() {
			_, err := l.agent(ctx, host)
			errs <- err
		}()
	}
	var all error
	for i := range hosts {
		all = errors.Join(all, <-errs)
		l.cfg.Progress(Progress{"hosts", message.NoNode, i + 1, len(hosts)})
	}
	if all != nil && len(hosts) > 1 {
		return &message.Error{Code: message.CodeOf(all), Text: all.Error()}
	}
	return all
}

// agent is the warden of a host, hired now if there is none.
func (l *Launcher) agent(ctx context.Context, host string) (*agent, error) {
	l.mu.Lock()
	a, closing, home := l.agents[host], l.closing, l.homes[host]
	l.mu.Unlock()
	if a != nil || closing {
		return a, l.open(closing)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.stopping, cancel)()
	a, err := hire(ctx, &l.cfg, host, l.event, l.lost)
	if err != nil {
		return nil, err
	}
	dir, temp := l.store.dir, l.store.dir == ""
	if temp {
		dir = home // of the warden before, whose nodes' files may still be there
	}
	r, err := a.ask(ctx, order{Do: doHome, Dir: dir, Temp: temp, Host: host})
	if err != nil {
		a.fire()
		return nil, fmt.Errorf("host %s: %w", host, err)
	}
	l.mu.Lock()
	if closing = l.closing; !closing {
		l.agents[host], l.homes[host] = a, r.Dir
		for _, m := range l.nodes {
			if m.host == host {
				m.dir = filepath.Join(r.Dir, "node-"+m.id.String())
			}
		}
	}
	l.mu.Unlock()
	if closing {
		_ = a.dismiss()
	}
	select {
	case <-a.gone: // perhaps before it was in the books
		l.lost(a)
	default:
	}
	return a, l.open(closing)
}

// open refuses what comes after Close.
func (l *Launcher) open(closing bool) error {
	if closing {
		return message.Errorf(message.Canceled, "the cluster is being stopped")
	}
	return nil
}

// startAll starts the nodes, on all hosts at once.
func (l *Launcher) startAll(ctx context.Context) error {
	results := make(chan message.NodeID, len(l.nodes))
	byHost := map[string][]*member{}
	for _, m := range l.nodes {
		byHost[m.host] = append(byHost[m.host], m)
	}
	for _, nodes := range byHost {
		go func() {
			for _, m := range nodes {
				l.startFirst(ctx, m)
				results <- m.id
			}
		}()
	}
	for i := range l.nodes {
		l.cfg.Progress(Progress{"started", <-results, i + 1, len(l.nodes)})
	}
	return ctx.Err()
}

// startFirst starts a node with the cluster. What went wrong is found by awaitAll, as its state.
func (l *Launcher) startFirst(ctx context.Context, m *member) {
	l.mu.Lock()
	if slices.Contains(l.kept.Lost, m.id) {
		m.failure = message.Errorf(message.Corrupt, "node %s lost its files; bring it back with revive %s", m.id, m.id)
		m.reason = m.failure.Error()
		l.mu.Unlock()
		return
	}
	m.begin()
	m.awaited++
	l.mu.Unlock()
	_ = l.launch(ctx, m, m.listen, m.httpListen, l.kept.formed(m.id))
}

// awaitAll waits until each node that lives has come as far as reached says.
func (l *Launcher) awaitAll(ctx context.Context, stage string, reached func(*member) bool) error {
	done := map[message.NodeID]bool{}
	for {
		var fresh []message.NodeID
		var notices []string
		l.mu.Lock()
		for _, m := range l.nodes {
			if done[m.id] {
				continue
			}
			if m.state == Dead {
				if err := l.tolerable(m); err != nil {
					l.mu.Unlock()
					return err
				}
				if !m.noticed {
					notices = append(notices, fmt.Sprintf("node %s stays dead: %s", m.id, m.reason))
				}
				m.noticed, done[m.id] = true, true
				continue
			}
			if reached(m) {
				done[m.id] = true
				fresh = append(fresh, m.id)
			}
		}
		changed, alive := l.changed, l.living()
		l.mu.Unlock()
		for _, notice := range notices {
			l.cfg.Notice(notice)
		}
		if alive == 0 {
			return message.Errorf(message.Corrupt, "no node could be started: the files of every one were altered or are gone; bring the directory back from a copy")
		}
		for i, id := range fresh {
			l.cfg.Progress(Progress{stage, id, len(done) - len(fresh) + i + 1, len(l.nodes)})
		}
		if len(done) == len(l.nodes) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return l.late(ctx, stage, done)
		}
	}
}

// late says which nodes kept a start waiting.
func (l *Launcher) late(ctx context.Context, stage string, done map[message.NodeID]bool) error {
	var missing []string
	for _, m := range l.nodes {
		if !done[m.id] && len(missing) < 8 {
			missing = append(missing, m.id.String())
		}
	}
	code := message.Timeout
	if errors.Is(ctx.Err(), context.Canceled) {
		code = message.Canceled
	}
	return &message.Error{Code: code, Text: fmt.Sprintf("gave up waiting until the nodes are %s: %d of %d are not, among them %v", stage, len(l.nodes)-len(done), len(l.nodes), missing), Err: ctx.Err()}
}

// tolerable is the error for a node that died while the cluster started, nil where the others go on
// without it. l.mu is held.
func (l *Launcher) tolerable(m *member) error {
	if l.kept.Formed && message.CodeOf(m.failure) == message.Corrupt || slices.Contains(l.kept.Leaving, m.id) {
		return nil
	}
	code := message.Unavailable
	if m.failure != nil {
		code = message.CodeOf(m.failure)
	}
	return message.Errorf(code, "node %s on host %s did not start: %s", m.id, m.host, m.reason)
}

// form remembers that the cluster has run: from now on, missing files are a loss.
func (l *Launcher) form() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.nodes {
		m.awaited--
		if a := l.kept.late(m.id); a != nil && m.state == Alive {
			a.Formed = true
		}
	}
	l.kept.Formed = true
	return l.store.save(&l.kept)
}

// Settings are what the cluster was made with.
func (l *Launcher) Settings() message.Settings { return l.kept.Settings }

// Hosts are the hosts of the nodes that the cluster was made with, by id.
func (l *Launcher) Hosts() []string { return slices.Clone(l.kept.Hosts) }

// Close stops every node, removes what is temporary and gives the directory back. It waits for all of
// that; when it returns, no process of the cluster is left.
func (l *Launcher) Close() error {
	l.closed.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

func (l *Launcher) close() error {
	l.mu.Lock()
	l.closing = true
	agents := make([]*agent, 0, len(l.agents))
	for _, a := range l.agents {
		agents = append(agents, a)
	}
	l.mu.Unlock()
	l.stop()
	l.hireMu.Lock() // a warden that is being hired is dismissed by its hirer
	defer l.hireMu.Unlock()
	errs := make(chan error, len(agents))
	for _, a := range agents {
		go func() { errs <- a.dismiss() }()
	}
	var all error
	for range agents {
		all = errors.Join(all, <-errs)
	}
	l.tasks.Wait()
	for host, home := range l.homes {
		// What a warden that was killed could not remove.
		if l.store.dir == "" && isLocal(host) {
			all = errors.Join(all, os.RemoveAll(home))
		}
	}
	l.store.close()
	return all
}
