package cluster

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/client"
	"dmalloc/fault"
	"dmalloc/message"
)

// begin begins a fault that must be possible.
func begin(t *testing.T, l *Launcher, words string, lasts time.Duration) client.Fault {
	t.Helper()
	f, err := l.Fault(within(t), words, lasts)
	if err != nil {
		t.Fatalf("%s: %v", words, err)
	}
	return f
}

// listed are the words of the faults that last.
func listed(t *testing.T, l *Launcher) (all []string) {
	t.Helper()
	list, err := l.Faults(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		all = append(all, f.Fault)
	}
	return all
}

// A fault is known to the nodes that run when its command returns, to a frozen one when it wakes, and to a dead one
// when it comes back. So is its end.
func TestFaultsReachNodes(t *testing.T) {
	tmp := play(t)
	l := start(t, Config{Nodes: 3})
	ctx := within(t)
	home := left(t, tmp)[0]
	dir := func(id string) string { return filepath.Join(home, "node-"+id) }
	view := func(id string) fault.View {
		if v := peersOf(dir(id)).Faults; v != nil {
			return *v
		}
		return fault.View{}
	}

	if f := begin(t, l, "partition  0|2,1", 0); f != (client.Fault{ID: 1, Kind: "partition", Fault: "partition 0|1,2"}) {
		t.Errorf("%+v", f)
	}
	cut := fault.Link{Cut: true}
	if v := view("0"); !reflect.DeepEqual(v, fault.View{Links: map[message.NodeID]fault.Link{1: cut, 2: cut}}) {
		t.Errorf("node 0 sees %+v", v)
	}
	if v := view("2"); !reflect.DeepEqual(v, fault.View{Links: map[message.NodeID]fault.Link{0: cut}}) {
		t.Errorf("node 2 sees %+v", v)
	}

	if err := l.Pause(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Kill(ctx, 2); err != nil {
		t.Fatal(err)
	}
	begin(t, l, "clock 1 +2s", 0)
	begin(t, l, "disk slow 2 100ms", 0)
	if v := view("1"); v.Clock != 0 {
		t.Errorf("node 1 is frozen, and sees %+v", v)
	}
	if err := l.Resume(ctx, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "node 1 to see its clock", func() bool { return view("1").Clock == 2*time.Second })
	if err := l.Revive(ctx, 2, false, nil); err != nil {
		t.Fatal(err)
	}
	if v := view("2"); v.DiskSlow != 100*time.Millisecond || !v.Links[0].Cut {
		t.Errorf("node 2 is back and sees %+v", v)
	}

	ended, err := l.Heal(ctx, "disk")
	if err != nil || len(ended) != 1 || ended[0].ID != 3 || view("2").DiskSlow != 0 || !view("2").Links[0].Cut {
		t.Errorf("healed %+v, %v; node 2 sees %+v", ended, err, view("2"))
	}
	_, err = l.Heal(ctx, "3")
	refused(t, err, message.InvalidArgument, "no fault 3", "`faults` lists")
	_, err = l.Heal(ctx, "everything")
	refused(t, err, message.InvalidArgument, "everything")
	if got := listed(t, l); !slices.Equal(got, []string{"partition 0|1,2", "clock 1 +2s"}) {
		t.Errorf("left are %q", got)
	}
	if ended, err := l.Heal(ctx, ""); err != nil || len(ended) != 2 || len(listed(t, l)) != 0 {
		t.Errorf("healed %+v, %v", ended, err)
	}
	for _, id := range []string{"0", "1", "2"} {
		if v := view(id); !v.Healthy() {
			t.Errorf("all is healed, and node %s sees %+v", id, v)
		}
	}
	for words, code := range map[string]message.Code{"": message.InvalidArgument, "slow 0 3 5ms": message.NoSuchNode, "burn 1": message.InvalidArgument} {
		_, err := l.Fault(ctx, words, 0)
		refused(t, err, code)
	}
	_, err = l.Fault(ctx, "clock 1 +2s", -time.Second)
	refused(t, err, message.InvalidArgument, "cannot last")
}

// A node that says nothing does not hold up a command for ever, and no other node for a moment.
func TestDeafNode(t *testing.T) {
	tmp := play(t)
	l := start(t, Config{Nodes: 2})
	home := left(t, tmp)[0]
	if err := os.WriteFile(filepath.Join(home, "node-1", "deaf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	begin(t, l, "clock 0 +2s", 0)
	if p := peersOf(filepath.Join(home, "node-0")); p.Faults == nil || p.Turn != 1 {
		t.Errorf("node 0 was told %+v", p)
	}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if _, err := l.Fault(ctx, "clock 0 +2s", 0); err != context.Canceled {
		t.Errorf("a canceled command: %v", err)
	}
}

func TestFaultsEndByThemselves(t *testing.T) {
	tmp := play(t)
	var mu sync.Mutex
	var notices []string
	l := start(t, Config{Nodes: 2, Notice: func(s string) { mu.Lock(); defer mu.Unlock(); notices = append(notices, s) }})
	begin(t, l, "slow 0 1 5ms", 0)
	begin(t, l, "drop 0 1 10%", time.Hour)
	if f := begin(t, l, "clock 1 +2s", 10*time.Millisecond); f.LeftMS != 10 {
		t.Errorf("%+v", f)
	}
	eventually(t, "the end of a fault", func() bool {
		v := peersOf(filepath.Join(left(t, tmp)[0], "node-1")).Faults
		return len(listed(t, l)) == 2 && v != nil && v.Clock == 0 && v.Links[0].Drop > 0
	})
	eventually(t, "the notice of it", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(notices, []string{"fault 3 is over: clock 1 +2s"})
	})
	all, err := l.Faults(within(t))
	if err != nil || all[0].LeftMS != 0 || all[1].LeftMS < 1 || all[1].LeftMS > time.Hour.Milliseconds() {
		t.Errorf("%+v, %v", all, err)
	}
}

// Faults are of links: where the network has none, there is nothing to trouble.
func TestFaultsNeedLinks(t *testing.T) {
	play(t)
	l := start(t, Config{Nodes: 4, Topology: []message.Edge{{A: 0, B: 1}, {A: 2, B: 1}, {A: 2, B: 3}}})
	for _, words := range []string{"slow 0 2 5ms", "drop 3 0 5%", "partition 0|2", "partition 0,1>3", "partition 0|2|0"} {
		_, err := l.Fault(within(t), words, 0)
		refused(t, err, message.InvalidArgument)
		if words != "partition 0|2|0" {
			refused(t, err, message.InvalidArgument, "`graph FILE cluster`")
		}
	}
	for _, words := range []string{"slow 1 2 5ms", "drop 1 0 5%", "partition 0,1|2,3", "partition 3,0>2", "partition 0|3|2"} {
		begin(t, l, words, 0)
	}
}

// Data that is meant to be kept is not hurt without leave.
func TestHarmNeedsLeave(t *testing.T) {
	tmp := play(t)
	data := filepath.Join(tmp, "kept")
	for _, drills := range []bool{false, true} {
		l := start(t, Config{Nodes: 2, Data: data, Drills: drills})
		ctx := within(t)
		if err := l.Kill(ctx, 1); err != nil {
			t.Fatal(err)
		}
		_, full := l.Fault(ctx, "disk full 0", 0)
		_, corrupt := l.Corrupt(ctx, 1, 7)
		if !drills {
			refused(t, full, message.Unsupported, "--drills", data)
			refused(t, corrupt, message.Unsupported, "--drills", data)
		} else if full != nil || corrupt != nil {
			t.Errorf("with leave: %v, %v", full, corrupt)
		}
		for _, words := range []string{"partition 0|1", "slow 0 1 5ms", "drop 0 1 5%", "disk slow 0 5ms", "clock 0 +1s"} {
			begin(t, l, words, 0)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCorrupt(t *testing.T) {
	tmp := play(t)
	l := start(t, Config{Nodes: 2})
	ctx := within(t)
	dir := filepath.Join(left(t, tmp)[0], "node-1")
	_, err := l.Corrupt(ctx, 1, 7)
	refused(t, err, message.AlreadyAlive, "kill 1 first")
	_, err = l.Corrupt(ctx, 2, 7)
	refused(t, err, message.NoSuchNode)
	if err := l.Kill(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "LOCK"), bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	d, err := l.Corrupt(ctx, 1, 7)
	if err != nil || d.Seed != 7 || len(d.Flips) == 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, f := range d.Flips {
		before[f.File][f.Offset] ^= 1 << f.Bit
	}
	if !reflect.DeepEqual(before, contents(t, dir)) {
		t.Errorf("what changed is not what was said: %+v", d.Flips)
	}
	if drawn, err := l.Corrupt(ctx, 1, 0); err != nil || drawn.Seed == 0 || len(drawn.Flips) == 0 {
		t.Errorf("a drawn seed: %+v, %v", drawn, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, err = l.Corrupt(ctx, 1, 7)
	refused(t, err, message.InvalidArgument, "cannot be read")
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// The choice depends on the seed only, flips no bit twice, and damages what is not the last record of a log.
func TestChooseFlips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var targets []target
		for i, size := range rapid.SliceOfN(rapid.Int64Range(1, 1<<20), 1, 5).Draw(t, "sizes") {
			targets = append(targets, target{strings.Repeat("x", i+1), size})
		}
		seed := rapid.Uint64().Draw(t, "seed")
		got := chooseFlips(targets, seed)
		if !slices.Equal(got, chooseFlips(targets, seed)) {
			t.Fatal("the same seed chose others")
		}
		seen := map[client.Flip]bool{}
		for i, f := range got {
			x := targets[len(f.File)-1]
			if seen[f] || f.Offset < 0 || f.Offset >= x.size || f.Bit < 0 || f.Bit > 7 {
				t.Fatalf("%+v of %+v", f, x)
			}
			seen[f] = true
			if i == 0 && (f.Offset > x.size/2 || slices.ContainsFunc(targets, func(y target) bool { return y.size > x.size })) {
				t.Fatalf("the first is %+v of %+v", f, targets)
			}
		}
	})
}

func TestFilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct {
		head, zeroes int
	}{{0, 0}, {1, 0}, {0, 1}, {0, 200_000}, {70_000, 0}, {70_000, 70_000}, {1, 65_536}, {65_536, 65_536}} {
		if err := os.WriteFile(path, append(bytes.Repeat([]byte{7}, c.head), make([]byte, c.zeroes)...), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := filled(path); err != nil || n != int64(c.head) {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
}

// The same through the control port, as a shell that connects later and HTTP ask.
func TestFaultsThroughControl(t *testing.T) {
	play(t)
	port, err := Listen(client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	l := start(t, Config{Nodes: 2})
	port.Serve(l)
	c, ctx := client.NewControl(port.Address(), client.Options{}), within(t)
	defer c.Close()
	f, err := c.Fault(ctx, "slow 0 1 50ms", time.Hour)
	if err != nil || f.ID != 1 || f.Fault != "slow 0 1 50ms" || f.LeftMS != time.Hour.Milliseconds() {
		t.Errorf("%+v, %v", f, err)
	}
	_, err = c.Fault(ctx, "slow 0 5 50ms", 0)
	refused(t, err, message.NoSuchNode, "2 nodes")
	if f, err := c.Fault(ctx, "clock 0 +1s", 1); err != nil || f.LeftMS != 1 {
		t.Errorf("a nanosecond is rounded up, not to for ever: %+v, %v", f, err)
	}
	eventually(t, "the end of the short one", func() bool {
		all, err := c.Faults(ctx)
		return err == nil && len(all) == 1 && all[0].ID == 1
	})
	if ended, err := c.Heal(ctx, "slow"); err != nil || len(ended) != 1 || ended[0].ID != 1 {
		t.Errorf("%+v, %v", ended, err)
	}
	if all, err := c.Faults(ctx); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := c.Kill(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Return(ctx, 1, time.Hour); err != nil {
		t.Error(err)
	}
	if all, err := c.Faults(ctx); err != nil || len(all) != 1 || all[0].Fault != "kill 1" || all[0].LeftMS < 1 || state(l, 1).State != Dead {
		t.Errorf("%+v, %v", all, err)
	}
	d, err := c.Corrupt(ctx, 1, 7)
	if err != nil || d.Seed != 7 || len(d.Flips) == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = c.Corrupt(ctx, 0, 7)
	refused(t, err, message.AlreadyAlive)
	for _, op := range []message.Op{message.FAULT, message.HEAL, message.CORRUPT} {
		m := message.New(op)
		m.Data = []byte(`{"fault":7}`)
		a, err := c.Call(ctx, m)
		if err == nil {
			err = a.Err()
		}
		refused(t, err, message.InvalidArgument, op.String())
	}
	m := message.New(message.FAULT)
	m.Data = []byte(`{"fault":"clock 0 +1s","for_ms":9223372036854775807}`)
	if a, err := c.Call(ctx, m); err != nil || a.Status != message.InvalidArgument {
		t.Errorf("%v, %v", a, err)
	}
}

// A node that was killed or frozen for a time comes back by itself, unless somebody was faster.
func TestReturn(t *testing.T) {
	play(t)
	var mu sync.Mutex
	var notices []string
	l := start(t, Config{Nodes: 4, Notice: func(s string) { mu.Lock(); defer mu.Unlock(); notices = append(notices, s) }})
	ctx := within(t)
	refused(t, l.Return(ctx, 0, time.Hour), message.AlreadyAlive)
	refused(t, l.Return(ctx, 9, time.Hour), message.NoSuchNode)
	pid := state(l, 1).Pid
	for _, err := range []error{l.Kill(ctx, 1), l.Pause(ctx, 2), l.Kill(ctx, 3)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	refused(t, l.Return(ctx, 1, 0), message.InvalidArgument, "above 0")
	if err := l.Return(ctx, 3, time.Hour); err != nil {
		t.Fatal(err)
	}
	all, err := l.Faults(ctx)
	if err != nil || len(all) != 3 || all[0] != (client.Fault{Kind: "kill", Fault: "kill 1"}) || all[1] != (client.Fault{Kind: "pause", Fault: "pause 2"}) || all[2].LeftMS < 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if ended, err := l.Heal(ctx, ""); err != nil || len(ended) != 0 {
		t.Errorf("heal ended %+v, %v", ended, err)
	}
	if err := l.Revive(ctx, 3, false, nil); err != nil { // faster
		t.Fatal(err)
	}
	for _, id := range []message.NodeID{1, 2} {
		if err := l.Return(ctx, id, time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all nodes to be alive", func() bool {
		return !slices.ContainsFunc(l.States(), func(s State) bool { return s.State != Alive })
	})
	if now := state(l, 1).Pid; now == pid {
		t.Errorf("node 1 is process %d as before", now)
	}
	if all, err := l.Faults(ctx); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	// One that waits for its time when the cluster stops holds up nobody.
	if err := l.Pause(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := l.Return(ctx, 2, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(notices) != 0 {
		t.Errorf("it said %q", notices)
	}
}
