package directory

import (
	"bytes"
	"testing"

	"dmalloc/company"
	"dmalloc/message"
)

func sample() *message.Directory {
	d := &message.Directory{Epoch: 1, Nodes: []message.Node{{ID: 0}, {ID: 1}, {ID: 2}}}
	for id := range message.CompanyID(2) {
		d.Companies = append(d.Companies, message.Company{ID: id, Next: 4,
			Owners: []message.Owner{{Node: 0, Replica: 1}, {Node: 1, Replica: 2}, {Node: 2, Replica: 3}}})
	}
	return d
}

func apply(t *testing.T, s *State, m *message.Message) company.Result {
	t.Helper()
	before := s.Current().Epoch
	r := s.Apply(s.index+1, &message.Batch{Messages: []*message.Message{m}}).Results[0]
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if grew := s.Current().Epoch == before+1; grew != (r.Code == message.Done) {
		t.Fatalf("D1: %v answered %v and the epoch went from %d to %d", m, r.Code, before, s.Current().Epoch)
	}
	return r
}

func boots(node message.NodeID, boot, incarnation uint64, address string) *message.Message {
	m := message.New(message.BOOT)
	m.Data = message.JSON(message.Node{ID: node, Boot: boot, Incarnation: incarnation, Address: address})
	return m
}

// D3: a node whose files went back in time is refused, and so is one whose disk was given up.
func TestBoot(t *testing.T) {
	s := New(sample())
	for _, step := range []struct {
		m    *message.Message
		want message.Code
	}{
		{boots(1, 1, 0, "a"), message.Done},
		{boots(1, 1, 0, "a"), message.Done}, // the same request again
		{boots(1, 1, 0, "b"), message.Corrupt},
		{boots(1, 3, 0, "b"), message.Done},
		{boots(1, 2, 0, "b"), message.Corrupt},
		{boots(1, 4, 1, "b"), message.Corrupt},
		{boots(7, 1, 0, "b"), message.NoSuchNode},
	} {
		if r := apply(t, s, step.m); r.Code != step.want {
			t.Errorf("%s: %v %s, want %v", step.m.Data, r.Code, r.Text, step.want)
		}
	}
	if n := s.Current().Node(1); n.Boot != 3 || n.Address != "b" {
		t.Errorf("node 1 is %+v", n)
	}
}

// A lost disk: new ids join, and the old ones leave when the new ones vote (D2, D4).
func TestRetireAndReplace(t *testing.T) {
	s := New(sample())
	retire := message.New(message.RETIRE)
	retire.Data = message.JSON(message.Node{ID: 2, Incarnation: 1})
	if r := apply(t, s, retire); r.Code != message.Done {
		t.Fatal(r.Text)
	}
	old := s.Current()
	c := old.Company(1)
	if len(c.Owners) != 4 || c.Owners[3] != (message.Owner{Node: 2, Replica: 4, Joining: true}) {
		t.Fatalf("owners %+v", c.Owners)
	}
	// The disk is lost again before the replica has joined.
	retire.Data = message.JSON(message.Node{ID: 2, Incarnation: 2})
	apply(t, s, retire)
	if o := s.Current().Company(1).Owners; len(o) != 4 || o[3].Replica != 5 {
		t.Fatalf("owners %+v", o)
	}
	if len(c.Owners) != 4 || c.Owners[3].Replica != 4 {
		t.Fatal("a directory that was handed out has changed")
	}
	wrong := message.New(message.REPLACE)
	wrong.Data = message.JSON(message.Move{Company: 1, Node: 2, Replica: 4})
	if r := apply(t, s, wrong); r.Code != message.InvalidArgument {
		t.Fatalf("replaced by a replica that is no more: %v", r.Code)
	}
	wrong.Data = message.JSON(message.Move{Company: 1, Node: 2, Replica: 5, Voters: []uint64{1, 2, 5}})
	apply(t, s, wrong)
	if o := s.Current().Company(1).Owners; len(o) != 3 || o[2] != (message.Owner{Node: 2, Replica: 5}) {
		t.Fatalf("owners %+v", o)
	}
}

func TestSnapshot(t *testing.T) {
	s := New(sample())
	apply(t, s, boots(0, 1, 0, "x"))
	var b bytes.Buffer
	if _, err := s.Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Load(bytes.NewReader(b.Bytes()))
	if err != nil || !bytes.Equal(message.JSON(got.Current()), message.JSON(s.Current())) || got.index != s.index {
		t.Fatalf("%v %+v", err, got)
	}
	for at := range b.Bytes() {
		bad := bytes.Clone(b.Bytes())
		bad[at] ^= 4
		if _, err := Load(bytes.NewReader(bad)); err == nil {
			t.Fatalf("a flipped bit in byte %d was not seen", at)
		}
	}
	for n := range b.Len() {
		if _, err := Load(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Fatalf("a cut at %d was not seen", n)
		}
	}
}
