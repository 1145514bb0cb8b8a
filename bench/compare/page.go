package compare

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"dmalloc/message"
)

// Page writes docs/performance.md.
func (r *Report) Page(w io.Writer) error {
	b := bufio.NewWriter(w)
	m := &r.Machine
	fmt.Fprintf(b, "# Performance\n\nWritten by `dmalloc bench compare --write docs/performance.md`, which anyone can run; it starts all that it compares with.\n\n")
	row := func(name, format string, args ...any) {
		fmt.Fprintf(b, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	m.Rows(b)
	row("program", "dmalloc %s, %s", r.Version, m.Go)
	row("date", "%s", r.Date.UTC().Format(time.DateOnly))
	row("shape", "%d replicas of everything, %s, %v a measurement after %v that do not count", r.Replicas, Plural(r.Rounds, "round"), r.Length, r.Warmup)
	if busy := m.Busy(); busy != "" {
		row("warning", "%s", busy)
	}
	fmt.Fprintf(b, howMeasured, fewRounds)
	fmt.Fprintf(b, "| row | %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)+1))
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		cells := append([]string{"`" + o.Name + "`"}, o.cells()...)
		for j := range cells {
			cells[j] = strings.ReplaceAll(strings.ReplaceAll(cells[j], "|", "\\|"), "\n", " ")
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
	met, missed, rest := r.count()
	fmt.Fprintf(b, "\n%d aims are met, %d are not, and %d were not measured.\n", met, missed, rest)
	b.WriteString(howFair)
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", o.Name, o.Ours.shape(), o.Theirs.shape())
	}
	return b.Flush()
}

// count counts rows that have an aim.
func (r *Report) count() (met, missed, rest int) {
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		switch {
		case o.Aim == 0:
		case len(o.Us) == 0:
			rest++
		case o.meets(o.Ratio().Median):
			met++
		default:
			missed++
		}
	}
	return met, missed, rest
}

// shape says in words how a task is done.
func (t Task) shape() string {
	switch t.Work {
	case Upload, Download, Receive:
		return fmt.Sprintf("%s, %s, %s in one process", t.Peer, t.Work, message.FormatSize(t.Size))
	case Failover:
		return t.Peer + ", one client that knows all members, one write at a time"
	case Inside:
		return "one process with a node in it, as many goroutines as cores"
	}
	return fmt.Sprintf("%s, %s of %s: 1 client process, %s × %d in flight", t.Peer, t.Work, message.FormatSize(t.Size),
		Plural(t.Connections, "connection"), (t.InFlight+t.Connections-1)/t.Connections)
}

// Plural is a number of things in words.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

const howMeasured = `
A ratio is dmalloc's number divided by the peer's, measured next to each other; the table has the median of the rounds' ratios, and the
spread is the least and the greatest of them. The numbers beside are medians of the rounds. Rates: more is better. Latencies and
times: less is better, and the aim is an upper bound. Everything runs on one machine, clients too, so that what a system takes of the
processor is part of what is measured, and the network is loopback. Rows about files have %d rounds at most.

`

const howFair = `
## How it is fair

* Each replica of each system is a process; its files are on the same file system. Clients are in a process of their own, one for each
  measurement, written in the same language and driven by the same code, on one processor each; what is not compared at the moment is not running.
  Beside the side that is measured the other one runs and has nothing to do, which of a heap of three nodes takes 6 % of two processors.
* Who is measured first changes from round to round.
* What the protocols can carry, they carry: etcd (HTTP/2), dmalloc and raw Dragonboat have 8 connections that share the operations in flight. Redis has a
  connection for each operation, for WAIT holds up whatever comes behind it on its connection, and reads are compared without pipelining on both sides.
* etcd has its defaults, and syncs. Its client speaks gRPC (google.golang.org/grpc), with messages that are put together by hand.
* raw Dragonboat has the heap's settings for log, engine and elections, and frames and connections of a node; it writes its log's files by itself, through the
  system's cache, where a node has its own way (design/writes.md). Each operation is a proposal of its own, which its state machine only counts. It is one group, whose leader gets all operations and syncs them together, where the heap has a company for
  each node, whose leaders are on different nodes: the row with groups has as many, led as the heap's are, and the rows with one company
  have a heap with one. etcd is one group, too. "In one process" is without frames and connections to clients.
* Redis with appendfsync always syncs on each replica, but WAIT counts those that have received a write, before they sync it; and it waits for all of
  them where the others wait for a majority. Volatile Redis keeps nothing, and has no replicas.
* Reads through Raft are answered under the leader's lease, which trusts that clocks run at nearly the same speed; quorum reads of registers
  trust none. The row with confirmed reads compares both without clocks: there the leader asks a majority for each read, and many share one question.
* Leased reads come from the memory of a process that is a node, of a cluster of its own, and holds a lease; Redis has no such thing, so they meet
  its GET over 64 connections. In the row for remote reads both are asked over as many connections.
* Files: "through the shell" is ` + "`dmalloc shell -c 'm SIZE; w _ FILE'`" + ` and ` + "`r ADDRESS FILE`" + `, from the start of that process to its end, and so for the peer's.
  A write is durable on a majority when it is over; the peer syncs every copy. What is read back goes into a file that is not synced.
* Failover: the member that leads gets SIGKILL; the clock stops when a client that knows all members has a write acknowledged.

| row | dmalloc | peer |
| --- | --- | --- |
`
