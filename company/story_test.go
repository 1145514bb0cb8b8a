package company

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dmalloc/message"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories say now into their files")

// A story is commands, each followed by a line of dashes and what came of it. A command is an operation
// and key=value words; besides those there are print, pending, reload and precheck before an operation.
// Commands are for company 1 unless they say in=2.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s differs; run with -rewrite and read the difference. It says now:\n%s", file, got)
			}
		})
	}
}

func tell(t *testing.T, story string) string {
	companies := map[string]*driver{"1": {Company: newTest(1)}, "2": {Company: newTest(2)}, "3": {Company: newTest(3)}}
	var out strings.Builder
	for _, scene := range strings.Split(strings.TrimSpace(story), "\n\n") {
		lines := strings.Split(scene, "\n")
		for i, line := range lines {
			if line == "----" {
				lines = lines[:i]
				break
			}
		}
		var said strings.Builder
		for _, line := range lines {
			if !strings.HasPrefix(line, "#") {
				play(t, companies, line, &said)
				for _, d := range companies {
					if err := d.Verify(); err != nil {
						t.Errorf("after %s: %v", line, err)
					}
				}
			}
		}
		fmt.Fprintf(&out, "%s\n----\n%s\n", strings.Join(lines, "\n"), said.String())
	}
	return out.String()
}

func play(t *testing.T, companies map[string]*driver, line string, out *strings.Builder) {
	words := strings.Fields(line)
	in, elapsed, precheck := "1", uint64(1), false
	if words[0] == "precheck" {
		precheck, words = true, words[1:]
	}
	m := message.New(opOf(t, words[0]))
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.ParseUint(value, 0, 64)
		switch key {
		case "in":
			in = value
		case "elapsed":
			elapsed = n
		case "client":
			m.Client[0] = byte(n)
		case "seq":
			m.Seq = n
		case "low":
			m.Low = n
		case "addr":
			m.Address = message.Addr(n)
		case "size":
			m.Size = n
		case "value":
			m.Value = n
		case "term":
			m.Term, m.Final = n, 4
		case "node":
			m.Final = message.NodeID(n)
		case "session":
			m.Value = n
		case "token":
			m.Token = n
		case "length":
			m.Length = n
		case "order":
			m.Index = n
		case "mode":
			if strings.HasPrefix(value, "w") {
				m.Flags |= message.Exclusive
			}
			if value == "wb" || value == "b" {
				m.Flags |= message.WriteBack
			}
		case "decided":
			m.Term = n
		case "part":
			m.Flags |= message.PartOf
			fallthrough
		case "txn":
			m.Txn = message.Txn{Client: message.ClientID{0xab}, Seq: n}
		case "data":
			m.Data, m.Size = []byte(value), uint64(len(value))
		case "block":
			var b message.Block
			if _, err := fmt.Sscanf(value, "%d:%d:%v", &b.Company, &b.Size, &b.Behind); err != nil {
				t.Fatal(line, err)
			}
			m.Blocks = append(m.Blocks, b)
		default:
			t.Fatal("unknown word in", line)
		}
	}
	d := companies[in]
	switch {
	case words[0] == "print":
		out.WriteString(d.String())
	case words[0] == "pending":
		for _, p := range d.Pending() {
			fmt.Fprintf(out, "%s %s at %s, home %s in company %s, %d blocks\n", p.Txn, p.State, p.Address, p.Home, p.HomeCompany, len(p.Blocks))
		}
	case words[0] == "reload":
		c, err := Load(bytes.NewReader(save(t, d.Company)), Config{ID: d.cfg.ID, Capacity: testCapacity})
		if err != nil {
			t.Fatal(err)
		}
		d.Company = c
	case precheck:
		if a := d.Precheck(m); a != nil {
			tellAnswer(out, a)
		} else {
			out.WriteString("may go on\n")
		}
	case m.Op == message.READ || m.Op == message.DUMP || m.Op == message.TABLE || m.Op == message.LEASES:
		tellAnswer(out, d.Read(m))
	default:
		a := d.apply(elapsed, m)
		tellAnswer(out, a.Results[0].Answer(m))
		for _, changed := range a.Changed {
			fmt.Fprintf(out, "changed %s\n", changed)
		}
		for _, l := range a.Leases {
			fmt.Fprintf(out, "lease %+v\n", l)
		}
		if a.Term != 0 {
			fmt.Fprintf(out, "term %d of node %s\n", a.Term, a.Leader)
		}
		for _, l := range a.Log {
			fmt.Fprintf(out, "log %d: S%s %s %s %d\n", l.Index, l.Actor, l.Operation, l.Address, l.Size)
		}
	}
}

func opOf(t *testing.T, word string) message.Op {
	for op := message.NONE; op.Valid(); op++ {
		if strings.EqualFold(op.String(), word) {
			return op
		}
	}
	if word != "print" && word != "pending" && word != "reload" {
		t.Fatal("unknown command", word)
	}
	return message.NONE
}

func tellAnswer(out *strings.Builder, a *message.Message) {
	fmt.Fprintf(out, "%s", a.Status)
	if a.Text != "" {
		fmt.Fprintf(out, ": %s", a.Text)
	}
	if a.Address != 0 {
		fmt.Fprintf(out, " %s", a.Address)
	}
	if a.Size != 0 {
		fmt.Fprintf(out, " size %d", a.Size)
	}
	if a.Value != 0 {
		fmt.Fprintf(out, " value %d", a.Value)
	}
	if a.Token != 0 {
		fmt.Fprintf(out, " token %d", a.Token)
	}
	if a.Length != 0 {
		fmt.Fprintf(out, " length %d", a.Length)
	}
	if !a.Txn.IsZero() {
		fmt.Fprintf(out, " txn %s", a.Txn)
	}
	fmt.Fprintf(out, " index %d\n", a.Index)
	if len(a.Data) > 0 {
		fmt.Fprintf(out, "data %q\n", a.Data)
	}
	for _, b := range a.Blocks {
		fmt.Fprintf(out, "block %s size %d in company %s behind %s\n", b.Address, b.Size, b.Company, b.Behind)
	}
}
