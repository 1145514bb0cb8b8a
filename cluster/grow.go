package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/message"
)

// history says how a cluster came to its nodes, where that is not as it was made.
func (k *kept) history() string {
	came, left := len(k.ids())-(k.Settings.Nodes-k.goneFirst()), len(k.Gone)
	if came == 0 && left == 0 {
		return ""
	}
	text := fmt.Sprintf(" (made with %d", k.Settings.Nodes)
	if n := came + left - k.goneFirst(); n > 0 {
		text += fmt.Sprintf(", %d added", n)
	}
	if left > 0 {
		text += fmt.Sprintf(", %d removed", left)
	}
	return text + ")"
}

// goneFirst counts the nodes of the beginning that have left.
func (k *kept) goneFirst() int {
	n := 0
	for _, id := range k.Gone {
		if int(id) < len(k.Hosts) {
			n++
		}
	}
	return n
}

// registry is the directory's side, or the error that there is none.
func (l *Launcher) registry() (Registry, error) {
	if l.cfg.Registry != nil {
		if r := l.cfg.Registry(); r != nil {
			return r, nil
		}
	}
	return nil, message.Errorf(message.Unavailable, "the cluster is still starting: no node can come or go yet; try again")
}

// AddNode admits another node and starts it, on a host that has room where none is named. It returns when the
// node takes part; the companies that it is given move to it afterwards. An admission whose outcome was not
// known is repeated under its key, so that no id is lost (L10).
func (l *Launcher) AddNode(ctx context.Context, host string, progress func(string)) (client.Node, error) {
	if progress == nil {
		progress = func(string) {}
	}
	directory, err := l.registry()
	if err != nil {
		return client.Node{}, err
	}
	l.growMu.Lock()
	defer l.growMu.Unlock()
	wanted, err := l.wanted(host)
	if err != nil {
		return client.Node{}, err
	}
	if err := l.certified(ctx, directory, wanted); err != nil {
		return client.Node{}, err
	}
	progress("asking the directory for a place")
	id, err := directory.Admit(ctx, message.Node{ID: message.NoNode, Host: wanted.Host, Key: wanted.Key})
	if err != nil {
		return client.Node{}, fmt.Errorf("admit a node: %w", err)
	}
	m, err := l.enter(id, wanted)
	if err != nil {
		return client.Node{}, err
	}
	if err := l.bringUp(ctx, m, progress); err != nil {
		return client.Node{}, &message.Error{Code: message.CodeOf(err), Err: err,
			Text: fmt.Sprintf("node %s was admitted, but does not take part yet: %v; `nodes` shows it, revive %s starts it again, node remove %s lets it go", id, err, id, id)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return client.Node{ID: id, State: m.state, Pid: m.pid, Address: m.address, HTTP: m.http, Host: m.host}, nil
}

// wanted is the admission to ask for: one that was begun before, or a new one, which is kept before anybody
// is asked.
func (l *Launcher) wanted(host string) (added, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(l.closing); err != nil {
		return added{}, err
	}
	if l.span() >= message.MaxNodes {
		return added{}, message.Errorf(message.InvalidArgument, "the cluster has had %d nodes, and there cannot be more: ids are not used again", message.MaxNodes)
	}
	host, err := l.room(host)
	if err != nil {
		return added{}, err
	}
	next := message.NodeID(l.span())
	listen, httpListen, err := l.cfg.addresses(next, host, l.allHere)
	if err == nil {
		err = l.cfg.guarded(listen, httpListen)
	}
	if err != nil {
		return added{}, err
	}
	if a := l.kept.late(message.NoNode); a != nil {
		a.Host = host
		return *a, nil
	}
	var key [8]byte
	if _, err := rand.Read(key[:]); err != nil {
		return added{}, fmt.Errorf("draw the key of a node: %w", err)
	}
	a := added{ID: message.NoNode, Host: host, Key: binary.LittleEndian.Uint64(key[:]) | 1}
	l.kept.Added = append(l.kept.Added, a)
	return a, l.store.save(&l.kept)
}

// certified refuses a node on this machine that would have no certificate, before it is given an id.
func (l *Launcher) certified(ctx context.Context, directory Registry, a added) error {
	if l.cfg.Certs == "" || !isLocal(a.Host) {
		return nil
	}
	d, err := directory.Directory(ctx)
	if err != nil {
		return err
	}
	id := message.NodeID(len(d.Nodes))
	for _, n := range d.Nodes {
		if n.Key == a.Key {
			id = n.ID
		}
	}
	if _, err := certs.Load(l.cfg.Certs, certs.Node(id)); err != nil {
		return message.Errorf(message.InvalidArgument, "the next node is %s, whose certificate cannot be used: %v; dmalloc certs %s --renew --nodes %d makes it", id, err, l.cfg.Certs, id+1)
	}
	return nil
}

// room is the host for another node: the first of the hostfile with a free slot, then the first whose max_slots
// allow more. A host that is named needs no free slot, for who names it knows; max_slots bind it all the same.
// l.mu is held.
func (l *Launcher) room(host string) (string, error) {
	used := map[string]int{}
	for _, m := range l.nodes {
		used[m.host]++
	}
	if host != "" {
		if err := checkHost(host); err != nil {
			return "", message.Errorf(message.InvalidArgument, "%v; give a host of the hostfile", err)
		}
		if l.allHere && !isLocal(host) {
			return "", message.Errorf(message.InvalidArgument, "all nodes listen on loopback only, where host %s does not reach them; start the cluster with a hostfile that has both", host)
		}
		for _, h := range l.cfg.Hosts {
			if same := h.Name == host || h.Local() && isLocal(host); same {
				if h.Most > 0 && used[h.Name] >= h.Most {
					return "", message.Errorf(message.InvalidArgument, "host %s has %d nodes, as many as its max_slots allow; name another, or raise them", host, used[h.Name])
				}
				return h.Name, nil
			}
		}
		return host, nil
	}
	for _, most := range []func(Host) int{func(h Host) int { return h.Slots }, func(h Host) int { return h.Most }} {
		for _, h := range l.cfg.Hosts {
			if used[h.Name] < most(h) && (!l.allHere || h.Local()) {
				return h.Name, nil
			}
		}
	}
	return "", message.Errorf(message.InvalidArgument, "every slot of the hostfile is taken; raise its slots, or name the host: node add HOST")
}

// enter puts an admitted node into the books.
func (l *Launcher) enter(id message.NodeID, a added) (*member, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.find(id); m != nil {
		return nil, message.Errorf(message.Internal, "the directory gave the id of node %s to another one", id)
	}
	listen, httpListen, err := l.cfg.addresses(id, a.Host, l.allHere)
	if err == nil {
		err = l.cfg.guarded(listen, httpListen)
	}
	if err != nil {
		return nil, err
	}
	l.kept.late(message.NoNode).ID = id
	m := &member{id: id, host: a.Host, state: Dead, since: time.Now(), reason: "not started yet", listen: listen, httpListen: httpListen}
	if home := l.homes[a.Host]; home != "" {
		m.dir = filepath.Join(home, "node-"+id.String())
	}
	l.nodes = append(l.nodes, m)
	slices.SortFunc(l.nodes, func(a, b *member) int { return int(a.id) - int(b.id) })
	l.wake()
	return m, l.store.save(&l.kept)
}

// bringUp starts a new node and waits until it takes part.
func (l *Launcher) bringUp(ctx context.Context, m *member, progress func(string)) error {
	l.hireMu.Lock()
	_, err := l.agent(ctx, m.host)
	l.hireMu.Unlock()
	if err != nil {
		return err
	}
	l.mu.Lock()
	if err := m.revivable(); err != nil {
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
	progress(fmt.Sprintf("node %s is starting on %s", m.id, m.host))
	if run, err = l.relaunch(ctx, m, run, true); err != nil {
		return err
	}
	l.sendPeers()
	progress(fmt.Sprintf("node %s reads the directory", m.id))
	if err := l.settled(ctx, m, run, "take part", func() bool { return m.state != Starting }); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.kept.late(m.id); a != nil {
		a.Formed = true
	}
	return l.store.save(&l.kept)
}

const (
	drainEvery = 100 * time.Millisecond // between looks at a node that leaves
	drainAsk   = 2 * time.Second        // for the directory to answer
	removeWait = time.Second            // for a removal that was only asked about
)

// removal is a node on its way out. The launcher's mutex guards it.
type removal struct {
	state client.Removal
	err   error // it cannot go on
}

// RemoveNode drains a node and lets it go: its companies and registers move to the others, then its process
// ends and its files are deleted. When ctx ends first, the draining goes on.
func (l *Launcher) RemoveNode(ctx context.Context, id message.NodeID, progress func(string)) (client.Removal, error) {
	if err := l.dismiss(ctx, id); err != nil {
		return client.Removal{}, err
	}
	for {
		s, err := l.removing(ctx, id)
		if err != nil || s.Done {
			return s, err
		}
		if progress != nil {
			progress(s.Text)
		}
	}
}

// Remove begins to drain a node, or goes on waiting for that, and says how far it is: at once if that has changed,
// and after a second.
func (l *Launcher) Remove(ctx context.Context, id message.NodeID, again bool) (client.Removal, error) {
	l.mu.Lock()
	known := l.leaving[id] != nil
	l.mu.Unlock()
	if !again || !known {
		if err := l.dismiss(ctx, id); err != nil {
			return client.Removal{}, err
		}
	}
	return l.removing(ctx, id)
}

// removing waits for a change, but no longer than removeWait.
func (l *Launcher) removing(ctx context.Context, id message.NodeID) (client.Removal, error) {
	short, cancel := context.WithTimeout(ctx, removeWait)
	defer cancel()
	l.mu.Lock()
	r := l.leaving[id]
	l.mu.Unlock()
	if r == nil {
		return client.Removal{}, message.Errorf(message.NoSuchNode, "node %s is not leaving; `nodes` shows how it is", id)
	}
	l.mu.Lock()
	before := r.state
	l.mu.Unlock()
	err := l.await(short, func() (bool, error) { return r.state != before || r.state.Done || r.err != nil, r.err })
	if ctx.Err() != nil {
		return before, client.StillLeaving(ctx, before)
	}
	if err != nil && short.Err() == nil {
		return before, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.state, nil
}

// dismiss tells the directory that a node is to leave, and begins to watch over that. A repetition finds what
// was begun.
func (l *Launcher) dismiss(ctx context.Context, id message.NodeID) error {
	directory, err := l.registry()
	if err != nil {
		return err
	}
	l.mu.Lock()
	r := l.leaving[id]
	l.mu.Unlock()
	if r != nil && !r.state.Done {
		return nil
	}
	d, err := directory.Directory(ctx)
	if err != nil {
		return err
	}
	n := d.Node(id)
	l.mu.Lock()
	m := l.find(id)
	last := m != nil && m.state != Dead && l.living() == 1
	l.mu.Unlock()
	switch {
	case n == nil:
		return message.Errorf(message.NoSuchNode, "there is no node %s; `nodes` lists them", id)
	case n.Gone && m == nil:
		return message.Errorf(message.NoSuchNode, "node %s has left the cluster already", id)
	case n.Gone || n.Leaving: // by another launcher, or before a start
	case staying(d, id) == 0:
		return message.Errorf(message.InvalidArgument, "node %s is the last one that stays: nobody could take over what it holds; exit stops the cluster", id)
	case last:
		return message.Errorf(message.InvalidArgument, "node %s is the last one that lives: nobody could take over what it holds; revive another one first", id)
	default:
		if err := directory.Dismiss(ctx, id); err != nil {
			return fmt.Errorf("let node %s leave: %w", id, err)
		}
	}
	return l.drainNode(id, d)
}

// staying counts the nodes that stay without one.
func staying(d *message.Directory, without message.NodeID) int {
	n := 0
	for _, x := range d.Nodes {
		if x.ID != without && !x.Gone && !x.Leaving {
			n++
		}
	}
	return n
}

// drainNode begins to watch over a node that leaves, unless somebody does.
func (l *Launcher) drainNode(id message.NodeID, d *message.Directory) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(l.closing); err != nil {
		return err
	}
	if r := l.leaving[id]; r != nil && !r.state.Done {
		return nil
	}
	r := &removal{state: client.Removal{Node: id, Text: fmt.Sprintf("node %s is leaving", id)}}
	if d != nil {
		r.state.Of = len(owned(d, id))
		if want, have := d.Settings.Replicas, staying(d, id); have < want {
			r.state.Note = fmt.Sprintf("%d nodes stay: companies have %d owners from now on instead of %d, until a node is added", have, have, want)
		}
	}
	l.leaving[id] = r
	if l.find(id) != nil && !slices.Contains(l.kept.Leaving, id) {
		l.kept.Leaving = append(l.kept.Leaving, id)
	}
	l.tasks.Go(func() { l.drain(id, r) }) // ends when the node has left, or with the launcher
	return l.store.save(&l.kept)
}

// drainOn goes on with the nodes that were leaving when the cluster was stopped.
func (l *Launcher) drainOn() {
	l.mu.Lock()
	ids := slices.Clone(l.kept.Leaving)
	l.mu.Unlock()
	for _, id := range ids {
		_ = l.drainNode(id, nil) // it can only fail to keep what is kept
	}
}

// owned are the companies, the directory too, of which a node is an owner.
func owned(d *message.Directory, id message.NodeID) []message.CompanyID {
	var all []message.CompanyID
	for i := range d.Companies {
		if slices.Contains(d.Companies[i].OwnerNodes(), id) {
			all = append(all, d.Companies[i].ID)
		}
	}
	return all
}

// keepsRegisters says whether a node is among those that keep registers, or will.
func keepsRegisters(d *message.Directory, id message.NodeID) bool {
	is := func(m message.Member) bool { return m.Node == id }
	return slices.ContainsFunc(d.Registers.Members, is) || slices.ContainsFunc(d.Registers.Next, is)
}

// drain watches a node that leaves until it holds nothing, and then lets it go.
func (l *Launcher) drain(id message.NodeID, r *removal) {
	for {
		gone, text, left := l.lookAt(id)
		l.mu.Lock()
		if r.state.Of = max(r.state.Of, left); text != "" && (text != r.state.Text || left != r.state.Left) {
			r.state.Text, r.state.Left = text, left
			l.wake()
		}
		l.mu.Unlock()
		if gone {
			err := l.letGo(id)
			l.mu.Lock()
			r.err = err
			r.state.Done, r.state.Left, r.state.Text = err == nil, 0, fmt.Sprintf("node %s has left", id)
			if err != nil {
				delete(l.leaving, id) // the next request tries again
			}
			l.wake()
			l.mu.Unlock()
			return
		}
		select {
		case <-time.After(drainEvery):
		case <-l.stopping.Done():
			return
		}
	}
}

// lookAt asks the directory how far a node that leaves has come, and declares it gone when it holds nothing.
func (l *Launcher) lookAt(id message.NodeID) (gone bool, text string, left int) {
	directory, err := l.registry()
	if err != nil {
		return false, "", 0
	}
	ctx, cancel := context.WithTimeout(l.stopping, drainAsk)
	defer cancel()
	d, err := directory.Directory(ctx)
	if err != nil {
		return false, "", 0
	}
	n := d.Node(id)
	holds := owned(d, id)
	switch {
	case n == nil:
		return false, "", 0
	case n.Gone:
		return true, "", 0
	case len(holds) > 0:
		return false, fmt.Sprintf("node %s still owns %s", id, companiesText(holds)), len(holds)
	case keepsRegisters(d, id):
		return false, fmt.Sprintf("the registers of node %s are moving", id), 0
	}
	_ = directory.Gone(ctx, id) // refused, or already so: the next look says
	return false, fmt.Sprintf("node %s holds nothing any more", id), 0
}

func companiesText(all []message.CompanyID) string {
	words := make([]string, len(all))
	for i, c := range all {
		words[i] = c.String()
	}
	if len(words) == 1 {
		return "company " + words[0]
	}
	return fmt.Sprintf("%d companies: %s", len(words), strings.Join(words, ","))
}

// letGo ends the process of a node that has left, and deletes its files. That it is gone is kept first: a
// launcher that dies in between must not start it again.
func (l *Launcher) letGo(id message.NodeID) error {
	l.mu.Lock()
	m := l.find(id)
	if m == nil {
		l.mu.Unlock()
		return nil // somebody else started it
	}
	m.killing = true
	l.mu.Unlock()
	l.hireMu.Lock()
	a, err := l.agent(l.stopping, m.host)
	l.hireMu.Unlock()
	l.mu.Lock()
	l.kept.leave(id)
	l.nodes = slices.DeleteFunc(l.nodes, func(n *member) bool { return n == m })
	err2 := l.store.save(&l.kept)
	l.mu.Unlock()
	if err == nil {
		_, err = a.ask(l.stopping, order{Do: doRemove, Node: id, Dir: m.dir})
	}
	l.sendPeers()
	if err == nil {
		err = err2
	}
	if err != nil {
		return fmt.Errorf("node %s has left, but its process or its files in %s may still be there: %w", id, m.dir, err)
	}
	return nil
}

// leave strikes a node from the books for good.
func (k *kept) leave(id message.NodeID) {
	k.forgetLoss(id)
	k.Added = slices.DeleteFunc(k.Added, func(a added) bool { return a.ID == id })
	k.Leaving = slices.DeleteFunc(k.Leaving, func(n message.NodeID) bool { return n == id })
	k.Gone = append(k.Gone, id)
}
