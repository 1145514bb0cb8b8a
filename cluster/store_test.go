package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dmalloc/message"
)

func TestKeptCluster(t *testing.T) {
	play(t)
	data := filepath.Join(t.TempDir(), "a", "data")
	if _, found, err := Kept(data); found || err != nil {
		t.Errorf("Kept of nothing: %v, %v", found, err)
	}
	made := Config{Nodes: 3, Replicas: 1, Companies: 7, Memory: 1 << 20, Data: data, Topology: []message.Edge{{A: 0, B: 1}, {A: 1, B: 2}}}
	l := start(t, made)
	_, err := Start(within(t), Config{Data: data})
	refused(t, err, message.InvalidArgument, data, "process id "+strconv.Itoa(os.Getpid()))
	cluster := l.Settings().Cluster
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		config Config
		words  []string
	}{
		{Config{Nodes: 5}, []string{data, "3 nodes", "5 were asked", "-n 3"}},
		{Config{Replicas: 3}, []string{"1 replicas", "--replicas 1"}},
		{Config{Memory: 2 << 20}, []string{"1MiB", "2MiB"}},
		{Config{Companies: 3}, []string{"companies 7", "3 was asked"}},
		{Config{Acks: "all"}, []string{"majority", "all"}},
		{Config{Tick: 50}, []string{"tick 30"}},
		{Config{Election: 50}, []string{"election ticks 10"}},
		{Config{Heartbeat: 9}, []string{"9"}},
		{Config{LogShards: 16}, []string{"16"}},
		{Config{Executors: 16}, []string{"16"}},
		{Config{Topology: []message.Edge{{A: 0, B: 2}, {A: 1, B: 2}}}, []string{"network"}},
		{Config{Hosts: []Host{{"localhost", 1, 0}, {"b.example", 2, 0}}}, []string{"node 1", "host localhost", "on b.example"}},
	} {
		c.config.Data = data
		_, err := Start(within(t), c.config)
		refused(t, err, message.InvalidArgument, c.words...)
	}
	if s, found, err := Kept(data); !found || err != nil || s.Nodes != 3 {
		t.Errorf("%+v, %v, %v", s, found, err)
	}
	l = start(t, made)
	if s := l.Settings(); s.Cluster != cluster || s.Replicas != 1 || s.Companies != 7 || len(s.Topology) != 2 {
		t.Errorf("%+v", s)
	}
}

// change edits cluster.json as text.
func change(t *testing.T, data, old, new string) {
	t.Helper()
	path := filepath.Join(data, clusterFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%s holds no %s", b, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedDirectory(t *testing.T) {
	play(t)
	data := filepath.Join(t.TempDir(), "data")
	if err := start(t, Config{Nodes: 2, Data: data}).Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		old, new string
		code     message.Code
		words    []string
	}{
		{`"version": 4`, `"version": 5`, message.InvalidArgument, []string{"version 5", "versions 3 and 4"}},
		{`"version": 4`, `"version": 2`, message.InvalidArgument, []string{"version 2", "versions 3 and 4"}},
		{`{`, `[`, message.Corrupt, []string{clusterFile, "damaged"}},
		{`"nodes": 2`, `"nodes": 3`, message.Corrupt, []string{"damaged", "3 nodes, 2 hosts"}},
		{`"nodes": 2`, `"nodes": -1`, message.Corrupt, []string{"damaged"}},
		{`"formed"`, `"fromed"`, message.Corrupt, []string{"fromed"}},
		{`"formed"`, `"lost": [9], "formed"`, message.Corrupt, []string{"no node 9"}},
	} {
		change(t, data, c.old, c.new)
		_, err := Start(within(t), Config{Data: data})
		refused(t, err, c.code, c.words...)
		change(t, data, c.new, c.old)
	}
	if err := os.Rename(filepath.Join(data, clusterFile), filepath.Join(data, "kept")); err != nil {
		t.Fatal(err)
	}
	_, err := Start(within(t), Config{Data: data})
	refused(t, err, message.InvalidArgument, `"kept"`, "empty directory")
	if err := os.Rename(filepath.Join(data, "kept"), filepath.Join(t.TempDir(), "kept")); err != nil {
		t.Fatal(err)
	}
	_, err = Start(within(t), Config{Data: data})
	refused(t, err, message.Corrupt, "node-0", clusterFile)
}

func TestDamagedNodesStayDead(t *testing.T) {
	play(t)
	data := filepath.Join(t.TempDir(), "data")
	if err := start(t, Config{Nodes: 4, Data: data}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "node-1", "corrupt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(data, "node-2")); err != nil {
		t.Fatal(err)
	}
	var notices []string
	l := start(t, Config{Data: data, Notice: func(s string) { notices = append(notices, s) }})
	for id, want := range []string{Alive, Dead, Dead, Alive} {
		if s := state(l, id); s.State != want {
			t.Errorf("%+v; want %s", s, want)
		}
	}
	if len(notices) != 2 {
		t.Errorf("notices %q", notices)
	}
	refused(t, l.Revive(within(t), 2, false, nil), message.Corrupt, "gone", "--wipe")
	for id := range message.NodeID(2) {
		if err := l.Revive(within(t), id+1, true, nil); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for id := range 4 {
		if err := os.WriteFile(filepath.Join(data, "node-"+strconv.Itoa(id), "corrupt"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Start(within(t), Config{Data: data})
	refused(t, err, message.Corrupt, "no node could be started")
}

// What was made before there were runs is opened as it is, and has none.
func TestClusterBeforeRuns(t *testing.T) {
	found := &kept{Settings: message.Settings{Version: beforeRuns, Nodes: 1, Replicas: 3}, Hosts: []string{""}, Incarnations: []uint64{0}}
	s := &store{dir: t.TempDir()}
	if err := s.save(found); err != nil {
		t.Fatal(err)
	}
	if got, err := s.read(); err != nil || got.Settings.Version != beforeRuns {
		t.Fatalf("%+v %v", got, err)
	}
	runs, none := 64, 0
	c := Config{Runs: &runs}
	_, err := c.settle(found)
	refused(t, err, message.InvalidArgument, "version 3", "no runs")
	for _, c := range []Config{{}, {Runs: &none}} {
		if s, err := c.settle(found); err != nil || s.Version != beforeRuns || s.Runs != 0 {
			t.Fatalf("%+v %v", s, err)
		}
	}
	if s, err := c.settle(&kept{Settings: message.Settings{Version: DataVersion, Nodes: 1}, Hosts: []string{""}, Incarnations: []uint64{0}}); err != nil || s.Runs != 64 {
		t.Fatalf("%+v %v", s, err)
	}
}

func TestKeptFileIsReadable(t *testing.T) {
	data := t.TempDir()
	s := &store{dir: data}
	want := kept{Settings: message.Settings{Version: DataVersion, Nodes: 2, Cluster: "00112233aabbccdd"}, Hosts: []string{"a", "b"}, Incarnations: []uint64{0, 3}, Lost: []message.NodeID{1}}
	if err := s.save(&want); err != nil {
		t.Fatal(err)
	}
	got, err := s.read()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got)
	if string(a) != string(b) {
		t.Errorf("kept %s, read %s", a, b)
	}
}
