package sysdump

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"dmalloc/client"
	"dmalloc/health"
	"dmalloc/message"
)

// source is a cluster of so many nodes, of which some are silent; company 1 is owned by all.
type source struct {
	nodes  int
	silent []message.NodeID
	answer func(n message.NodeID, m *message.Message) ([]byte, error) // nil: a plausible one
	broken error                                                      // of what the cluster is asked
}

func (s source) Directory(context.Context) (*message.Directory, error) {
	d := &message.Directory{Companies: []message.Company{{ID: 0}, {ID: 1}}}
	for i := range s.nodes {
		d.Nodes = append(d.Nodes, message.Node{ID: message.NodeID(i)})
		d.Companies[1].Owners = append(d.Companies[1].Owners, message.Owner{Node: message.NodeID(i)})
	}
	return d, nil
}
func (s source) Nodes(context.Context) ([]client.Node, error)        { return nil, s.broken }
func (s source) Companies(context.Context) ([]client.Company, error) { return nil, s.broken }
func (s source) Status(context.Context) (health.Report, error) {
	return health.Report{Verdict: "degraded: as the test wants it"}, s.broken
}

func (s source) Ask(ctx context.Context, n message.NodeID, m *message.Message) (*message.Message, error) {
	if slices.Contains(s.silent, n) {
		return nil, message.Errorf(message.Unavailable, "node %s does not answer", n)
	}
	a := m.Answer(message.Done, "")
	var err error
	switch {
	case s.answer != nil:
		a.Data, err = s.answer(n, m)
	case m.Op == message.LOG:
		a.Data = message.JSON([]message.LogLine{{Company: 1, Index: 7, Actor: 2, Operation: "allocate", Address: message.HeapBase, Size: 100}})
	case m.Op == message.GOROUTINES || m.Op == message.METRICS || m.Op == message.JOURNAL:
		a.Data = []byte(m.Op.String())
	default:
		a.Data = message.JSON(map[string]any{"op": m.Op.String(), "token": "s3cret"})
	}
	return a, err
}

// unpack reads an archive; names are without the directory in front.
func unpack(t *testing.T, b []byte) map[string]string {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		dir, name, _ := strings.Cut(h.Name, "/")
		if dir != "sysdump-20260102-030405" {
			t.Errorf("%s lies in %s", name, dir)
		}
		if _, twice := files[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		files[name] = string(data)
	}
}

func dump(t *testing.T, s source) (map[string]string, Summary) {
	t.Helper()
	var b bytes.Buffer
	sum, err := Write(t.Context(), s, &b, Options{Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	if len(files) != sum.Files {
		t.Errorf("%d files, but %d were counted", len(files), sum.Files)
	}
	for name := range files {
		if name != "index.txt" && !strings.Contains(files["index.txt"], "  "+name+"\n") {
			t.Errorf("the index lacks %s", name)
		}
	}
	return files, sum
}

func TestDump(t *testing.T) {
	files, sum := dump(t, source{nodes: 3, silent: []message.NodeID{1}})
	for _, name := range []string{"status.json", "stats.json", "metrics.txt", "elections.json", "directory.json", "goroutines.txt", "journal.txt",
		"tables/companies.json", "tables/owners.json", "tables/nodes.json", "log/company-1.txt"} {
		for _, n := range []string{"0", "2"} {
			if files["nodes/"+n+"/"+name] == "" {
				t.Errorf("node %s lacks %s", n, name)
			}
		}
		if _, ok := files["nodes/1/"+name]; ok {
			t.Errorf("node 1 is silent and has %s", name)
		}
	}
	if _, ok := files["nodes/0/log/company-0.txt"]; ok {
		t.Error("node 0 was asked for the log of a company that it does not own")
	}
	for _, name := range []string{"cluster/verdict.txt", "cluster/status.json", "cluster/nodes.json", "cluster/companies.json", "cluster/directory.json", "cluster/settings.json", "cluster/versions.json"} {
		if files[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if got := files["nodes/2/log/company-1.txt"]; got != "7 S2 allocate 0x500000000000 100\n" {
		t.Errorf("the log reads %q", got)
	}
	if !strings.Contains(files["problems.txt"], "nodes/1/status.json: node 1 does not answer") || sum.Nodes != 2 || sum.Silent != 1 {
		t.Errorf("%+v\n%s", sum, files["problems.txt"])
	}
}

// D3: no member that is called like a secret keeps its value, however deep it lies.
func TestNoSecrets(t *testing.T) {
	files, _ := dump(t, source{nodes: 1, answer: func(_ message.NodeID, m *message.Message) ([]byte, error) {
		if m.Op == message.GOROUTINES || m.Op == message.METRICS || m.Op == message.JOURNAL {
			return []byte("level=WARN token=s3cret Authorization: Bearer s3cret \"password\": \"s3cret s3cret\" bearer s3cret node/secret.go:12 stays\n"), nil
		}
		return []byte(`{"a":[{"api_token":"s3cret","Secret":{"x":"s3cret"},"private_key":"s3cret"}],"keys":"public","monkey":1,"n":18446744073709551615}`), nil
	}})
	for name, data := range files {
		if strings.Contains(data, "s3cret") {
			t.Errorf("%s holds a secret:\n%s", name, data)
		}
	}
	if !strings.Contains(files["nodes/0/journal.txt"], "node/secret.go:12 stays") {
		t.Errorf("too much is removed: %s", files["nodes/0/journal.txt"])
	}
	got := files["nodes/0/stats.json"]
	for _, want := range []string{`"keys": "public"`, `"monkey": 1`, `18446744073709551615`, removed} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
}

// D1: nothing that fails ends the collecting. D2: what is too long is cut, and said.
func TestProblems(t *testing.T) {
	files, sum := dump(t, source{nodes: 2, broken: errors.New("nobody is there"), answer: func(n message.NodeID, m *message.Message) ([]byte, error) {
		switch {
		case n == 0 && m.Op == message.STATS:
			return nil, message.Errorf(message.Unsupported, "node 0 is older")
		case n == 0 && m.Op == message.ELECTIONS:
			return []byte("{no JSON"), nil
		case n == 1 && (m.Op == message.GOROUTINES || m.Op == message.METRICS || m.Op == message.JOURNAL):
			return make([]byte, maxFile+1), nil
		}
		return []byte("[]"), nil
	}})
	for _, want := range []string{"cluster/nodes.json: nobody is there", "nodes/0/stats.json: node 0 is older", "nodes/0/elections.json: the answer is no JSON", "nodes/1/goroutines.txt: cut at 1MiB"} {
		if !strings.Contains(files["problems.txt"], want) {
			t.Errorf("%q is missing in\n%s", want, files["problems.txt"])
		}
	}
	if sum.Nodes != 2 || len(files["nodes/1/goroutines.txt"]) > maxFile+20 || files["nodes/1/tables/nodes.json"] == "" {
		t.Errorf("%+v", sum)
	}
}

// D2: one node's files have a bound together, too.
func TestBoundOfANode(t *testing.T) {
	p := &part{dir: "nodes/0/"}
	for range 6 {
		p.add("x", make([]byte, maxFile))
	}
	if len(p.files) != maxNode/maxFile || len(p.problems) != 2 || p.size > maxNode {
		t.Errorf("%d files, %v", len(p.files), p.problems)
	}
}

// A writer that fails and a context that ends are errors, and leave no goroutine.
func TestEnds(t *testing.T) {
	if _, err := Write(t.Context(), source{nodes: 100}, failing{}, Options{}); err == nil {
		t.Error("a full disk is no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Write(ctx, source{nodes: 3}, io.Discard, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

// The order of the files does not depend on who answers first.
func TestOrder(t *testing.T) {
	var first []byte
	for range 5 {
		var b bytes.Buffer
		if _, err := Write(t.Context(), source{nodes: 40}, &b, Options{Now: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		}
		if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("two dumps of the same answers differ")
		}
	}
}
