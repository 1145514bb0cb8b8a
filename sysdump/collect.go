package sysdump

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dmalloc/client"
	"dmalloc/health"
	"dmalloc/message"
)

// Source is what a dump is made from. client.Heap has it.
type Source interface {
	Directory(ctx context.Context) (*message.Directory, error)
	Nodes(ctx context.Context) ([]client.Node, error)
	Companies(ctx context.Context) ([]client.Company, error)
	Status(ctx context.Context) (health.Report, error)
	// Ask sends a node one message and waits for its answer.
	Ask(ctx context.Context, n message.NodeID, m *message.Message) (*message.Message, error)
}

const (
	NodeTime = 5 * time.Second // that one node may take
	firstSay = time.Second     // within which a node must give a sign of life

	width    = 32        // nodes that are asked at a time
	logLines = 200       // of each company
	maxFile  = 1 << 20   // bytes of one file; what is longer is cut
	maxNode  = 4 << 20   // bytes of one node's files
	maxAll   = 256 << 20 // bytes of all
)

// file is one member of the archive.
type file struct {
	name string
	data []byte
}

// problem is what could not be collected, and why.
type problem struct{ what, why string }

func (p problem) String() string { return p.what + ": " + p.why }

// part is what came of one source: a node, or the cluster as a whole.
type part struct {
	dir      string
	files    []file
	size     int
	problems []problem
	answers  bool
}

func (p *part) fail(what string, err error) {
	p.problems = append(p.problems, problem{p.dir + what, strings.ReplaceAll(err.Error(), "\n", "; ")})
}

// add keeps a file within the bounds (D2).
func (p *part) add(name string, data []byte) {
	if len(data) > maxFile {
		data = append(bytes.Clone(data[:maxFile]), "\n… cut\n"...)
		p.problems = append(p.problems, problem{p.dir + name, fmt.Sprintf("cut at %s", message.FormatSize(maxFile))})
	}
	if p.size += len(data); p.size > maxNode {
		p.problems = append(p.problems, problem{p.dir + name, fmt.Sprintf("left out: one node's files have at most %s", message.FormatSize(maxNode))})
		p.size -= len(data)
		return
	}
	p.files = append(p.files, file{p.dir + name, data})
}

// addJSON keeps a value without its secrets (D3), in lines.
func (p *part) addJSON(name string, data []byte) {
	clean, err := withoutSecrets(data)
	if err != nil {
		p.fail(name, fmt.Errorf("the answer is no JSON: %w", err))
		return
	}
	p.add(name, clean)
}

// collectCluster asks for the cluster as this client sees it.
func collectCluster(ctx context.Context, s Source) (*part, *message.Directory) {
	ctx, cancel := context.WithTimeout(ctx, NodeTime)
	defer cancel()
	p := &part{dir: "cluster/"}
	keep := func(name string, v any, err error) {
		if err != nil {
			p.fail(name, err)
			return
		}
		p.addJSON(name, message.JSON(v))
	}
	report, err := s.Status(ctx)
	keep("status.json", report, err)
	if err == nil {
		keep("faults.json", append([]health.Fault{}, report.Faults...), nil)
	}
	p.add("verdict.txt", []byte(report.Verdict+"\n"))
	nodes, err := s.Nodes(ctx)
	keep("nodes.json", nodes, err)
	companies, err := s.Companies(ctx)
	keep("companies.json", companies, err)
	d, err := s.Directory(ctx)
	keep("directory.json", d, err)
	if d == nil {
		return p, &message.Directory{}
	}
	keep("settings.json", d.Settings, nil)
	versions := map[message.NodeID]string{}
	for _, n := range report.Nodes {
		versions[n.ID] = n.Version
	}
	keep("versions.json", versions, nil)
	return p, d
}

// question is one thing that each node is asked.
type question struct {
	name string
	ask  *message.Message
	text bool // the answer is text, not JSON
}

func query(sql string) *message.Message {
	m := message.New(message.SQL)
	m.Data = []byte(sql)
	return m
}

// questions lists what a node is asked: what tells most first, for its time may end.
func questions(d *message.Directory, n message.NodeID) []question {
	all := []question{
		{"goroutines.txt", message.New(message.GOROUTINES), true},
		{"journal.txt", message.New(message.JOURNAL), true},
		{"stats.json", message.New(message.STATS), false},
		{"metrics.txt", message.New(message.METRICS), true},
		{"elections.json", message.New(message.ELECTIONS), false},
		{"directory.json", message.New(message.DIRECTORY), false},
		{"tables/companies.json", query("SELECT * FROM companies ORDER BY id"), false},
		{"tables/owners.json", query("SELECT * FROM owners ORDER BY company, replica"), false},
		{"tables/nodes.json", query("SELECT * FROM nodes ORDER BY id"), false},
	}
	for i := range d.Companies {
		for _, o := range d.Companies[i].Owners {
			if o.Node == n {
				m := message.New(message.LOG)
				m.Company, m.Value = d.Companies[i].ID, logLines
				all = append(all, question{fmt.Sprintf("log/company-%s.txt", d.Companies[i].ID), m, false})
				break
			}
		}
	}
	return all
}

// collectNode asks one node for everything. One that gives no sign of life is asked no more.
func collectNode(ctx context.Context, s Source, d *message.Directory, n message.NodeID) *part {
	ctx, cancel := context.WithTimeout(ctx, NodeTime)
	defer cancel()
	p := &part{dir: fmt.Sprintf("nodes/%s/", n)}
	first, end := context.WithTimeout(ctx, firstSay)
	a, err := s.Ask(first, n, message.New(message.STATUS))
	end()
	if err != nil {
		p.fail("status.json", err)
		// A node that still opens its files answers nothing else, and these say what it does.
		if message.CodeOf(err) != message.Unavailable || first.Err() != nil {
			return p
		}
		for _, q := range questions(d, n)[:2] {
			p.take(ctx, s, n, q)
		}
		return p
	}
	p.answers = true
	p.addJSON("status.json", a.Data)
	for _, q := range questions(d, n) {
		p.take(ctx, s, n, q)
	}
	return p
}

// take asks one question and keeps the answer.
func (p *part) take(ctx context.Context, s Source, n message.NodeID, q question) {
	if ctx.Err() != nil {
		p.fail(q.name, fmt.Errorf("not asked: the node's %v were over", NodeTime))
		return
	}
	a, err := s.Ask(ctx, n, q.ask)
	switch {
	case err != nil:
		p.fail(q.name, err)
	case q.text:
		p.add(q.name, withoutSecretText(a.Data))
	case q.ask.Op == message.LOG:
		p.addLog(q.name, a.Data)
	default:
		p.addJSON(q.name, a.Data)
	}
}

// addLog writes the lines of a company's log as people read them.
func (p *part) addLog(name string, data []byte) {
	var lines []message.LogLine
	if err := json.Unmarshal(data, &lines); err != nil {
		p.fail(name, err)
		return
	}
	var b bytes.Buffer
	for _, l := range lines {
		fmt.Fprintf(&b, "%d %s", l.Index, l)
		if l.Size > 0 {
			fmt.Fprintf(&b, " %d", l.Size)
		}
		b.WriteByte('\n')
	}
	p.add(name, b.Bytes())
}
