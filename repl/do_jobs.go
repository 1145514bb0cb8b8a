package repl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dmalloc/message"
)

// builtIn is a job that every node has.
type builtIn struct {
	name string
	does string
}

func builtIns() []builtIn {
	return []builtIn{
		{"sum", `adds up numbers: of registers as text, in the heap as words of 8 bytes; {"as":"text"|"u64"|"i64"|"f64"}`},
		{"count", "counts bytes, lines and words"},
		{"grep", `lines that match {"pattern":"a regular expression","max":100}`},
		{"sha256", "checksum of each input, and of all together"},
	}
}

// jobWords are the words of `job` that name no job.
func jobWords() map[string]func(*Shell, *call) (result, error) {
	return map[string]func(*Shell, *call) (result, error){"add": (*Shell).addJob, "rm": (*Shell).dropJob, "ls": (*Shell).listJobs}
}

// jobs is `job` with one of its words, or with the name of a job.
func (s *Shell) jobs(c *call) (result, error) {
	word, do := c.args[0].text, jobWords()[c.args[0].text]
	if do == nil {
		word, do = "run", (*Shell).runJob
	}
	r, err := do(s, c)
	r.fields = append([]field{{"do", word}}, r.fields...)
	return r, err
}

// parseInput reads what a job is given. `_` is an address in the heap, as everywhere.
func (s *Shell) parseInput(w word) (message.JobAddress, error) {
	if w.quoted || !strings.HasPrefix(w.text, "_") {
		return message.ParseJobAddress(w.text)
	}
	a, err := s.parseAddress(w)
	return message.JobAddress{Heap: true, Number: uint64(a)}, err
}

// parseJobArgs reads what stands behind --args. Single quotes around it, which JSON never begins with, are dropped.
func parseJobArgs(c *call) (json.RawMessage, error) {
	text := strings.Trim(c.tail, blanks)
	if len(text) > 1 && text[0] == '\'' && text[len(text)-1] == '\'' {
		text = text[1 : len(text)-1]
	}
	switch {
	case text == "":
		return nil, c.usage("JSON is missing behind --args")
	case len(text) > message.MaxJobArgs:
		return nil, message.Errorf(message.InvalidArgument, "%d bytes of JSON behind --args; the most is %d", len(text), message.MaxJobArgs)
	case !json.Valid([]byte(text)):
		return nil, message.Errorf(message.InvalidArgument, `%s behind --args is not JSON; it is the rest of the line, as in --args {"pattern":"x"}`, message.Quote(text))
	}
	return json.RawMessage(text), nil
}

// runJob is `job JOB INPUT... [--args JSON]`.
func (s *Shell) runJob(c *call) (result, error) {
	q := message.JobRequest{Job: c.args[0].text}
	if err := message.CheckJobName(q.Job); err != nil {
		return result{}, err
	}
	inputs := c.args[1:]
	if len(inputs) > message.MaxJobAddresses {
		return result{}, message.Errorf(message.InvalidArgument, "%d inputs for one job; the most is %d", len(inputs), message.MaxJobAddresses)
	}
	for _, w := range inputs {
		a, err := s.parseInput(w)
		if err != nil {
			return result{}, err
		}
		q.Addresses = append(q.Addresses, a)
	}
	if c.flags["--args"] {
		var err error
		if q.Args, err = parseJobArgs(c); err != nil {
			return result{}, err
		}
	}
	ctx, cancel := c.once()
	defer cancel()
	x, err := s.heap.RunJob(ctx, q)
	if err != nil {
		return result{}, err
	}
	return jobDone(x), nil
}

// jobDone is what a job answered. What it cost is said beside it.
func jobDone(x message.JobResult) result {
	var value any = x.Result
	switch {
	case len(x.Result) == 0:
		value = nil
	case !json.Valid(x.Result): // of a node that another version runs, perhaps
		value = string(x.Result)
	}
	return result{text: answerText(encode(value)),
		fields: []field{{"job", x.Job}, {"node", x.Node}, {"result", value}, {"local_bytes", x.LocalBytes}, {"remote_bytes", x.RemoteBytes},
			{"holds", x.Holds}, {"job_ms", x.Millis}},
		columns: []string{"job", "node", "result", "local_bytes", "remote_bytes", "job_ms"},
		rows:    [][]string{{x.Job, x.Node.String(), string(encode(value)), plain(x.LocalBytes), plain(x.RemoteBytes), plain(x.Millis)}},
		note:    fmt.Sprintf("ran on node %s in %s ms; it read %d bytes there and %d of other nodes", x.Node, plain(x.Millis), x.LocalBytes, x.RemoteBytes)}
}

// answerLine is how long an answer on one line may be.
const answerLine = 100

// answerText shows JSON to people: a string as its text, and what would be a long line on several.
func answerText(answer []byte) string {
	var text string
	if json.Unmarshal(answer, &text) == nil && bytes.HasPrefix(answer, []byte(`"`)) {
		return escape(strings.TrimSuffix(text, "\n"), true) + "\n"
	}
	if len(answer) <= answerLine {
		return escape(string(answer), false) + "\n"
	}
	var b bytes.Buffer
	if err := json.Indent(&b, answer, "", "  "); err != nil {
		return escape(string(answer), false) + "\n"
	}
	return escape(b.String(), true) + "\n"
}

// addJob is `job add MODULE FILE`. Each piece of a large module has a command's time.
func (s *Shell) addJob(c *call) (result, error) {
	name := c.args[1].text
	if err := message.CheckJobName(name); err != nil {
		return result{}, err
	}
	if jobWords()[name] != nil {
		return result{}, message.Errorf(message.InvalidArgument, "a job cannot be named %s, because `job %s` is a command; choose another name", name, name)
	}
	file, err := c.fileWord(2)
	if err != nil {
		return result{}, err
	}
	module, err := readWhole(file, "a module", message.MaxJobModule)
	if err != nil {
		return result{}, err
	}
	if len(module) == 0 {
		return result{}, message.Errorf(message.InvalidArgument, "%s is empty; a module of WebAssembly is not", message.Quote(file))
	}
	c.meter.set("%s of the module", human(uint64(len(module))))
	pieces := time.Duration(1 + len(module)/message.MaxData)
	ctx, cancel := context.WithTimeout(c.ctx, pieces*s.timeout)
	defer cancel()
	j, err := s.heap.AddJob(ctx, name, module)
	if err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("job %s added, %d bytes\n", j.Name, j.Size),
		fields:  []field{{"name", j.Name}, {"size", j.Size}, {"sha256", j.SHA256}},
		columns: []string{"name", "size", "sha256"}, rows: [][]string{{j.Name, plain(j.Size), j.SHA256}}}, nil
}

// dropJob is `job rm MODULE`.
func (s *Shell) dropJob(c *call) (result, error) {
	name := c.args[1].text
	if err := message.CheckJobName(name); err != nil {
		return result{}, err
	}
	ctx, cancel := c.once()
	defer cancel()
	if err := s.heap.DropJob(ctx, name); err != nil {
		return result{}, err
	}
	return result{text: "job " + name + " removed\n", fields: []field{{"name", name}}, columns: []string{"name"}, rows: [][]string{{name}}}, nil
}

// listJobs is `job ls`.
func (s *Shell) listJobs(c *call) (result, error) {
	ctx, cancel := c.once()
	defer cancel()
	modules, err := s.heap.Jobs(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{columns: []string{"job", "kind", "size", "sha256", "does"}, right: []bool{false, false, true},
		show: func(column, cell string) string {
			if column == "sha256" {
				return cell[:min(12, len(cell))]
			}
			return cell
		}}
	names := []string{}
	for _, b := range builtIns() {
		names = append(names, b.name)
		r.rows = append(r.rows, []string{b.name, "built-in", "", "", b.does})
	}
	for _, j := range modules {
		r.rows = append(r.rows, []string{j.Name, "module", plain(j.Size), j.SHA256, ""})
	}
	r.fields = []field{{"built_ins", names}, {"modules", some(modules)}}
	return r, nil
}
