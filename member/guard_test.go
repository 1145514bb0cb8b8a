package member

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// pack writes what the guard reads: a type and a map of pairs.
func pack(kind byte, pairs ...any) []byte {
	b := []byte{kind, 0x80 | byte(len(pairs)/2)}
	for _, p := range pairs {
		switch p := p.(type) {
		case string:
			b = append(append(b, 0xa0|byte(len(p))), p...)
		case []byte:
			b = append(append(b, 0xda, byte(len(p)>>8), byte(len(p))), p...)
		case int:
			b = append(b, 0xce, byte(p>>24), byte(p>>16), byte(p>>8), byte(p))
		case bool:
			if p {
				b = append(b, 0xc3)
			} else {
				b = append(b, 0xc2)
			}
		case nil:
			b = append(b, 0xc0)
		}
	}
	return b
}

func compound(parts ...[]byte) []byte {
	b := []byte{typeCompound, byte(len(parts))}
	for _, p := range parts {
		b = append(b, byte(len(p)>>8), byte(len(p)))
	}
	return append(b, bytes.Join(parts, nil)...)
}

var vsn = []byte{1, 5, 2, 0, 0, 0}

func alive(pairs ...any) []byte {
	full := []any{"Incarnation", 3, "Node", "n7", "Addr", []byte{10, 0, 0, 7}, "Port", port, "Meta", []byte{1, 2, 3}, "Vsn", vsn}
	for i := 0; i < len(pairs); i += 2 {
		full[slices.Index(full, pairs[i])+1] = pairs[i+1]
	}
	return pack(typeAlive, full...)
}

func TestCheckPacket(t *testing.T) {
	ping := pack(typePing, "SeqNo", 1, "Node", "n1", "SourceAddr", []byte{10, 0, 0, 2}, "SourcePort", port, "SourceNode", "n2")
	indirect := pack(typeIndirect, "SeqNo", 1, "Target", []byte{10, 0, 0, 2}, "Port", port, "Node", "n2", "Nack", true)
	for _, c := range []struct {
		what      string
		packet    []byte
		indirects int
		ok        bool
	}{
		{"ping", ping, 0, true},
		{"ping without where from", pack(typePing, "SeqNo", 1, "Node", "n1"), 0, true},
		{"indirect", indirect, 1, true},
		{"ack", pack(typeAck, "SeqNo", 1, "Payload", nil), 0, true},
		{"nack", pack(typeNack, "SeqNo", 1), 0, true},
		{"suspect", pack(typeSuspect, "Incarnation", 1, "Node", "n1", "From", "n2"), 0, true},
		{"dead", pack(typeDead, "Incarnation", 1, "Node", "n1", "From", "n2"), 0, true},
		{"alive", alive(), 0, true},
		{"compound", compound(ping, indirect, indirect), 2, true},
		{"checksum", append([]byte{typeCRC, 0, 0, 0, 0}, ping...), 0, true},

		{"nothing", nil, 0, false},
		{"a type alone", []byte{typePing}, 0, false},
		{"more behind it", append(bytes.Clone(ping), 0), 0, false},
		{"a field is missing", pack(typeSuspect, "Incarnation", 1, "Node", "n1"), 0, false},
		{"a field twice", pack(typePing, "SeqNo", 1, "SeqNo", 1), 0, false},
		{"a field too many", pack(typeNack, "SeqNo", 1, "Node", "n1"), 0, false},
		{"a field of another kind", pack(typeNack, "SeqNo", "1"), 0, false},
		{"an unknown field", pack(typeNack, "Salary", 1), 0, false},
		{"it says it left", pack(typeDead, "Incarnation", 1, "Node", "n1", "From", "n1"), 0, false},
		{"incarnation beyond refuting", pack(typeSuspect, "Incarnation", maxIncarnation+1, "Node", "n1", "From", "n2"), 0, false},
		{"alive under another address", alive("Addr", []byte{10, 0, 0, 8}), 0, false},
		{"alive at another port", alive("Port", 80), 0, false},
		{"alive with a short version", alive("Vsn", []byte{1, 5, 2}), 0, false},
		{"alive with a version we do not speak", alive("Vsn", []byte{3, 5, 3, 0, 0, 0}), 0, false},
		{"alive with a foreign name", alive("Node", "m7"), 0, false},
		{"compound in a compound", compound(compound(ping)), 0, false},
		{"compound without its end", compound(ping)[:20], 0, false},
		{"compound with no lengths", []byte{typeCompound, 200, 1}, 0, false},
		{"checksum in a checksum", append([]byte{typeCRC, 0, 0, 0, 0, typeCRC, 0, 0, 0, 0}, ping...), 0, false},
		{"compressed", []byte{9, 0x82}, 0, false},
		{"a user's message", []byte{8, 1, 2}, 0, false},
		{"push-pull outside of a stream", ask, 0, false},
		{"labelled", []byte{244, 1, 'x', 0}, 0, false},
		{"a length beyond the end", []byte{typeNack, 0x81, 0xdb, 0xff, 0xff, 0xff, 0xff}, 0, false},
		{"too long", make([]byte, maxPacket+1), 0, false},
	} {
		indirects, ok := checkPacket(c.packet)
		if ok != c.ok || ok && indirects != c.indirects {
			t.Errorf("%s: %d, %v; want %d, %v", c.what, indirects, ok, c.indirects, c.ok)
		}
	}
}

func state(header []any, nodes ...[]byte) []byte {
	b := pack(typePushPull, header...)
	for _, n := range nodes {
		b = append(b, n[1:]...) // pack's type is not wanted here
	}
	return b
}

func stateNode(pairs ...any) []byte {
	full := []any{"Name", "n7", "Addr", []byte{10, 0, 0, 7}, "Port", port, "Meta", []byte{1, 2, 3}, "Incarnation", 4, "State", 1, "Vsn", vsn}
	for i := 0; i < len(pairs); i += 2 {
		full[slices.Index(full, pairs[i])+1] = pairs[i+1]
	}
	return pack(0, full...)
}

func TestReadState(t *testing.T) {
	head := func(nodes int) []any { return []any{"Nodes", nodes, "UserStateLen", 0, "Join", true} }
	got, ok := readState(state(head(1), stateNode()))
	if want := []entry{{7, Suspect, 0x302, 4}}; !ok || !slices.Equal(got, want) {
		t.Errorf("%+v, %v; want %+v", got, ok, want)
	}
	if _, ok := readState(ask); !ok {
		t.Error("our own question is refused")
	}
	if !checkAnswer(pack(typeError, "Error", "no")) {
		t.Error("an error is not an answer")
	}
	for what, b := range map[string][]byte{
		"nothing":                  nil,
		"fewer nodes than it says": state(head(2), stateNode()),
		"more nodes than it says":  state(head(0), stateNode()),
		"as many as never are":     state(head(60000)),
		"a user's state":           state([]any{"Nodes", 0, "UserStateLen", 1, "Join", false}),
		"a short version":          state(head(1), stateNode("Vsn", []byte{1})),
		"a node that left":         state(head(1), stateNode("State", 3)),
		"an address of another":    state(head(1), stateNode("Addr", []byte{10, 0, 0, 8})),
		"a ping":                   pack(typePing, "SeqNo", 1, "Node", "n1"),
		"an error as a question":   pack(typeError, "Error", "no"),
		"a negative count":         {typePushPull, 0x83, 0xa5, 'N', 'o', 'd', 'e', 's', 0xff},
	} {
		if checkQuestion(b) {
			t.Errorf("%s is taken", what)
		}
	}
}

func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := message.NodeID(rapid.Uint32Range(0, maxID).Draw(t, "id"))
		if got, ok := parseName([]byte(name(id))); !ok || got != id {
			t.Fatalf("%q is read as %d, %v", name(id), got, ok)
		}
		if got, ok := parseAddress(hostport(id)); !ok || got != id {
			t.Fatalf("%q is read as %d, %v", hostport(id), got, ok)
		}
	})
	for _, s := range []string{"", "n", "n01", "n-1", "m1", "n16777216", "n99999999999", "n1 "} {
		if id, ok := parseName([]byte(s)); ok {
			t.Errorf("%q is read as %d", s, id)
		}
	}
	for _, s := range []string{"", "10.0.0.1", "10.0.0.1:80", "11.0.0.1:7946", "[::1]:7946", "n1:7946", "?0102:7946"} {
		if id, ok := parseAddress(s); ok {
			t.Errorf("%q is read as %d", s, id)
		}
	}
}

// Whatever arrives, in whatever order: no panic, and the detector lives on (M3, M4).
func FuzzReceive(f *testing.F) {
	w := newWorld(f, 2, func(c *Config) { c.Nodes = ids(0, 3) })
	w.strangers = true
	sum := w.node(0).m.network.cluster
	for _, b := range [][]byte{alive(), alive("Vsn", []byte{1, 5, 2}), compound(alive(), pack(typeSuspect, "Incarnation", 1, "Node", "n0", "From", "n2")),
		pack(typePing, "SeqNo", 1, "Node", "n0"), pack(typeIndirect, "SeqNo", 1, "Target", []byte{10, 0, 0, 1}, "Port", port, "Node", "n1", "Nack", true)} {
		f.Add(packetFrame(sum, b))
	}
	f.Add(streamFrames(sum, kindQuestion, 5, state([]any{"Nodes", 1, "UserStateLen", 0, "Join", true}, stateNode()))[0])
	f.Add(streamFrames(sum, kindAnswer, 5, ask)[0])
	f.Add([]byte{wireVersion, kindPacket})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := w.node(0).m
		m.Receive(2, b)
		if len(b) > headSize { // past the head, where the fuzzer would seldom come by itself
			m.Receive(2, packetFrame(sum, b[headSize:]))
			for _, p := range streamFrames(sum, kindQuestion, 1, b[headSize:]) {
				m.Receive(2, p)
			}
		}
		if m.State(0) != Alive {
			t.Fatal("it gave itself up")
		}
	})
}

// What the guard takes, memberlist takes as well: a forger within the guard's limits can annoy, not crash.
func TestForgedWithinLimits(t *testing.T) {
	w := newWorld(t, 2, func(c *Config) { c.Nodes = ids(0, 9) })
	m := w.node(0).m
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 300 {
			for _, b := range [][]byte{alive("Incarnation", i), alive("Incarnation", i, "Meta", nil), pack(typeDead, "Incarnation", i, "Node", "n0", "From", "n7"),
				pack(typeSuspect, "Incarnation", i, "Node", "n7", "From", ""), pack(typeAck, "SeqNo", i, "Payload", nil), pack(typeNack, "SeqNo", i),
				pack(typePing, "SeqNo", i, "Node", "", "SourceAddr", []byte{1}), pack(typeIndirect, "SeqNo", i, "Target", []byte{1, 2, 3}, "Port", 0, "Node", "", "Nack", true)} {
				m.Receive(7, packetFrame(m.network.cluster, b))
			}
			m.Receive(7, streamFrames(m.network.cluster, kindQuestion, uint64(i), state([]any{"Nodes", 1, "UserStateLen", 0, "Join", true}, stateNode("Meta", nil)))[0])
		}
	})
	wg.Wait()
	w.await("still alive to the other", w.all(Alive, ids(0, 2), ids(0, 2)...))
}

func TestReceiveRefuses(t *testing.T) {
	w := newWorld(t, 1, func(c *Config) { c.Nodes = ids(0, 3) })
	w.strangers = true
	m := w.node(0).m
	ping := pack(typePing, "SeqNo", 1, "Node", "n0")
	for _, c := range []struct {
		what   string
		from   message.NodeID
		packet []byte
	}{
		{"a stranger", 77, packetFrame(m.network.cluster, ping)},
		{"itself", 0, packetFrame(m.network.cluster, ping)},
		{"another cluster", 1, packetFrame(clusterSum("another"), ping)},
		{"another version", 1, append([]byte{9}, packetFrame(m.network.cluster, ping)[1:]...)},
		{"another kind", 1, appendHead(nil, 9, m.network.cluster)},
		{"a part beyond the last", 1, append(appendHead(nil, kindQuestion, m.network.cluster), make([]byte, 12)...)},
		{"garbage", 1, []byte(strings.Repeat("x", 100))},
	} {
		before := m.Stats()
		m.Receive(c.from, c.packet)
		if after := m.Stats(); after.Refused != before.Refused+1 {
			t.Errorf("%s is not refused: %+v", c.what, after)
		}
	}
}

// Questions of which a part never comes do not fill the table for ever, and never more than it holds (M4).
func TestIncompleteQuestions(t *testing.T) {
	n := newNetwork(0, "c", carrier{}, func(message.NodeID) bool { return true })
	parts := streamFrames(n.cluster, kindQuestion, 0, make([]byte, 2*partSize))
	for i := range uint64(2 * maxStreams) {
		f, ok := readFrame(n.cluster, parts[0])
		if !ok {
			t.Fatal(hex.EncodeToString(parts[0][:partHead]))
		}
		f.stream = i
		n.assemble(1, f)
	}
	if len(n.arriving) != maxStreams || n.counts.dropped.Load() != maxStreams {
		t.Errorf("%d questions wait, %d were dropped", len(n.arriving), n.counts.dropped.Load())
	}
	for _, q := range n.arriving {
		q.since = q.since.Add(-streamTime - time.Second)
	}
	f, _ := readFrame(n.cluster, parts[1])
	f.stream = 1000
	n.assemble(1, f)
	if len(n.arriving) != 1 {
		t.Errorf("%d questions wait; those that are late should have gone", len(n.arriving))
	}
}

// Parts in any order, repeated or foreign, give the message once.
func TestAssembly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "end")
		m = append(make([]byte, rapid.IntRange(0, maxParts-1).Draw(t, "full")*partSize), m...)
		parts := streamFrames(3, kindAnswer, 9, m)
		order := rapid.Permutation(append(slices.Clone(parts), parts[0])).Draw(t, "order")
		var a assembly
		var got [][]byte
		for _, p := range order {
			f, ok := readFrame(3, p)
			if !ok || f.stream != 9 || f.kind != kindAnswer {
				t.Fatalf("%+v, %v", f, ok)
			}
			if whole := a.add(f); whole != nil || a.have == f.parts && got == nil {
				got = append(got, whole)
			}
		}
		if len(got) != 1 || !bytes.Equal(got[0], m) {
			t.Fatalf("%d messages", len(got))
		}
	})
}
