package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"dmalloc/client"
	"dmalloc/message"
)

// roll is a directory that keeps who is there. Nodes that leave hold what they hold until drained is called.
type roll struct {
	mu    sync.Mutex
	d     *message.Directory
	lose  bool // the next admission is done, but its answer is lost
	asked int
}

func newRoll(l *Launcher) *roll {
	r := &roll{d: l.Directory()}
	return r
}

func (r *roll) Directory(context.Context) (*message.Directory, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.d.Clone(), nil
}

func (r *roll) Admit(_ context.Context, n message.Node) (message.NodeID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	at := slices.IndexFunc(r.d.Nodes, func(have message.Node) bool { return have.Key == n.Key })
	if at < 0 {
		at = len(r.d.Nodes)
		n.ID = message.NodeID(at)
		r.d.Nodes = append(r.d.Nodes, n)
	}
	if r.lose {
		r.lose = false
		return message.NoNode, message.Errorf(message.Unavailable, "the answer is lost")
	}
	return message.NodeID(at), nil
}

func (r *roll) Dismiss(_ context.Context, id message.NodeID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.d.Nodes[id].Leaving = true
	return nil
}

func (r *roll) Gone(_ context.Context, id message.NodeID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(owned(r.d, id)) > 0 || keepsRegisters(r.d, id) {
		return message.Errorf(message.Busy, "node %s holds something", id)
	}
	r.d.Nodes[id].Gone = true
	return nil
}

// drained takes everything from a node.
func (r *roll) drained(id message.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.d.Companies {
		c := &r.d.Companies[i]
		c.Owners = slices.DeleteFunc(c.Owners, func(o message.Owner) bool { return o.Node == id })
	}
	r.d.Registers.Members = slices.DeleteFunc(r.d.Registers.Members, func(m message.Member) bool { return m.Node == id })
}

// growing starts a cluster whose directory is a roll.
func growing(t *testing.T, c Config, r **roll) *Launcher {
	t.Helper()
	c.Registry = func() Registry {
		if *r == nil {
			return nil
		}
		return *r
	}
	l := start(t, c)
	if *r == nil {
		*r = newRoll(l)
	}
	return l
}

func TestNodesComeAndGo(t *testing.T) {
	play(t)
	data := t.TempDir()
	var r *roll
	l := growing(t, Config{Nodes: 2, Data: data}, &r)
	ctx := within(t)

	r.lose = true
	_, err := l.AddNode(ctx, "", nil)
	refused(t, err, message.Unavailable, "lost")
	var steps []string
	n, err := l.AddNode(ctx, "", func(s string) { steps = append(steps, s) })
	if err != nil || n.ID != 2 || n.State != Alive || n.Pid == 0 || len(steps) != 3 {
		t.Fatalf("%+v, %v after %q; L10: want node 2", n, err, steps)
	}
	c := nodeConfig(t, filepath.Join(data, "node-2"))
	if !c.Join || c.Settings.Nodes != 2 || len(c.Hosts) != 2 || c.ID != 2 {
		t.Errorf("%+v", c)
	}
	eventually(t, "the others know the address", func() bool {
		p := peersOf(filepath.Join(data, "node-0"))
		return len(p.Peers) == 3 && p.Peers[2].Address == n.Address
	})
	if err := l.Kill(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := l.Revive(ctx, 2, false, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := l.AddNode(ctx, "localhost", nil); err != nil || n.ID != 3 {
		t.Fatalf("%+v, %v", n, err)
	}
	_, err = l.AddNode(ctx, "alpha.example", nil)
	refused(t, err, message.InvalidArgument, "alpha.example", "loopback")

	// Node 1 goes; nobody need wait for that.
	short, cancel := context.WithCancel(ctx)
	_, err = l.RemoveNode(short, 1, func(text string) {
		if !strings.Contains(text, "node 1 still owns") {
			t.Errorf("progress %q", text)
		}
		cancel()
	})
	refused(t, err, message.Canceled, "goes on leaving", "node remove 1")
	pid := state(l, 1).Pid
	r.drained(1)
	s, err := l.RemoveNode(ctx, 1, nil)
	if err != nil || !s.Done || s.Of == 0 || running(pid) {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(data, "node-1")); !errors.Is(err, os.ErrNotExist) {
		t.Error("its files are still there:", err)
	}
	_, err = l.RemoveNode(ctx, 1, nil)
	refused(t, err, message.NoSuchNode, "left")
	_, err = l.RemoveNode(ctx, 9, nil)
	refused(t, err, message.NoSuchNode, "node 9")
	refused(t, l.Kill(ctx, 1), message.NoSuchNode, "node 1 has left")
	refused(t, l.Kill(ctx, 9), message.NoSuchNode, "0 to 3 without 1")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	// Everybody is there again who was there.
	_, err = Start(ctx, Config{Nodes: 2, Data: data})
	refused(t, err, message.InvalidArgument, "3 nodes", "made with 2, 2 added, 1 removed", "-n 3")
	l = growing(t, Config{Nodes: 3, Data: data}, &r)
	var ids []message.NodeID
	for _, s := range l.States() {
		ids = append(ids, s.ID)
		if s.State != Alive {
			t.Errorf("%+v", s)
		}
	}
	if !slices.Equal(ids, []message.NodeID{0, 2, 3}) {
		t.Errorf("nodes %v", ids)
	}
	d := l.Directory()
	if len(d.Nodes) != 4 || !d.Nodes[1].Gone || d.Nodes[3].Address == "" {
		t.Errorf("%+v", d.Nodes)
	}
}

// A node that leaves goes on leaving after the launcher has ended, wherever it stood.
func TestLeavingGoesOn(t *testing.T) {
	play(t)
	data := t.TempDir()
	var r *roll
	l := growing(t, Config{Nodes: 3, Data: data}, &r)
	ctx := within(t)
	if s, err := l.Remove(ctx, 2, false); err != nil || s.Done || s.Left == 0 || s.Note == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r.drained(2)
	l = growing(t, Config{Data: data}, &r)
	eventually(t, "node 2 goes", func() bool { return len(l.States()) == 2 })
	for _, id := range []message.NodeID{1} {
		r.drained(id)
		if _, err := l.RemoveNode(ctx, id, nil); err != nil {
			t.Fatal(err)
		}
	}
	_, err := l.RemoveNode(ctx, 0, nil)
	refused(t, err, message.InvalidArgument, "node 0 is the last one")
}

func TestRoom(t *testing.T) {
	l := &Launcher{cfg: Config{Hosts: []Host{{"a", 1, 0}, {"b", 2, 3}, {"localhost", 1, 2}}}, nodes: []*member{{id: 0, host: "a"}, {id: 1, host: "b"}}}
	for _, step := range []struct{ asked, want string }{{"", "b"}, {"", "localhost"}, {"", "b"}, {"", "localhost"}, {"", ""}, {"a", "a"}, {"b", ""}, {"127.0.0.1", ""}, {"-x", ""}, {"c", "c"}} {
		got, err := l.room(step.asked)
		if got != step.want || (err != nil) != (step.want == "") {
			t.Errorf("asked for %q: %q, %v; want %q", step.asked, got, err, step.want)
		}
		if err == nil {
			l.nodes = append(l.nodes, &member{id: message.NodeID(len(l.nodes)), host: got})
		}
	}
}

func TestControlCarriesMembers(t *testing.T) {
	play(t)
	control, err := Listen(client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	var r *roll
	l := growing(t, Config{Nodes: 2, Control: control.Address()}, &r)
	control.Serve(l)
	shell := client.NewControl(control.Address(), client.Options{})
	defer shell.Close()
	ctx := within(t)
	n, err := shell.AddNode(ctx, "", nil)
	if err != nil || n.ID != 2 || n.Address == "" {
		t.Fatalf("%+v, %v", n, err)
	}
	told := ""
	s, err := shell.RemoveNode(ctx, 1, func(text string) {
		if told == "" {
			r.drained(1)
		}
		told = text
	})
	if err != nil || !s.Done || told == "" {
		t.Fatalf("%+v, %v; told %q", s, err, told)
	}
	none := client.NewControl("", client.Options{})
	_, err = none.AddNode(ctx, "", nil)
	refused(t, err, message.Unsupported, "node --join")
}

func TestSettingsThatMayChange(t *testing.T) {
	yes := true
	made := message.Settings{Version: DataVersion, Nodes: 1, Replicas: 3}
	c := Config{ReplaceAfter: -1, Cache: 4096, WriteBack: &yes}
	s, err := c.settle(&kept{Settings: made, Hosts: []string{""}, Incarnations: []uint64{0}})
	if err != nil || s.ReplaceAfter != -1 || s.Cache != 4096 || !s.WriteBack || s.Replicas != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	c = Config{}
	if again, err := c.settle(&kept{Settings: s, Hosts: []string{""}, Incarnations: []uint64{0}}); err != nil || again.ReplaceAfter != -1 || !again.WriteBack || again.Cache != 4096 {
		t.Errorf("left out, they stay: %+v, %v", again, err)
	}
}
