package web

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"dmalloc/job"
	"dmalloc/message"
)

const (
	// maxJob bounds the body that asks for a job: its arguments, its addresses, each as a string, and the rest.
	maxJob = message.MaxJobArgs + 64*message.MaxJobAddresses + 4<<10
	// jobTime is longer than a job may take by itself, so that one that does not end is told as that.
	jobTime = 10 * time.Second
)

// jobRow is a job that can be run: one that each node knows, or a module. Size and sum are those of a module.
type jobRow struct {
	Name    string `json:"name"`
	BuiltIn bool   `json:"built_in"`
	About   string `json:"about,omitempty"`
	Size    uint64 `json:"size,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
}

type jobList struct {
	Jobs []jobRow `json:"jobs"`
}

func (c *call) listJobs() error {
	ctx, cancel := c.context()
	defer cancel()
	modules, err := c.s.cfg.Heap.Jobs(ctx)
	if err != nil {
		return err
	}
	out := jobList{Jobs: []jobRow{}}
	for _, name := range job.Builtins() {
		out.Jobs = append(out.Jobs, jobRow{Name: name, BuiltIn: true, About: job.Help(name)})
	}
	for _, m := range modules {
		out.Jobs = append(out.Jobs, jobRow{Name: m.Name, Size: m.Size, SHA256: m.SHA256})
	}
	return c.json(http.StatusOK, out)
}

func (c *call) runJob() error {
	if err := c.unkeyed(); err != nil {
		return err
	}
	q, err := c.jobRequest()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	out, err := c.s.cfg.Heap.RunJob(ctx, q)
	if err != nil {
		return err
	}
	if out.Holds == nil {
		out.Holds = map[message.NodeID]int{}
	}
	release, err := c.slot(len(out.Result))
	if err != nil {
		return message.Errorf(message.Busy, "the job %s ran, but large transfers are under way on this node, so its result of %d bytes is lost; ask another node", q.Job, len(out.Result))
	}
	defer release()
	return c.json(http.StatusOK, out)
}

// jobRequest reads the body that asks for a job. It keeps nothing of it.
func (c *call) jobRequest() (q message.JobRequest, err error) {
	got, release, err := c.members()
	if err != nil {
		return q, err
	}
	defer release()
	if len(got["args"]) > message.MaxJobArgs {
		return q, &failure{http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("args has %d bytes, and a job takes up to %s; write more to a register, and give the job its address", len(got["args"]), message.FormatSize(message.MaxJobArgs))}
	}
	name, err := c.route.body[0].string(got)
	if err != nil {
		return q, err
	}
	if err := message.CheckJobName(string(name)); err != nil {
		return q, err
	}
	q.Job, q.Args = string(name), slices.Clone(got["args"])
	q.Addresses, err = c.route.body[1].addresses(got)
	return q, err
}

// module is the name in the path.
func (c *call) module() (string, error) {
	if err := c.unkeyed(); err != nil {
		return "", err
	}
	name := c.vars[0]
	if job.Builtin(name) {
		return "", message.Errorf(message.InvalidArgument, "the job %s is built in, and stays as it is; name the module otherwise", name)
	}
	return name, message.CheckJobName(name)
}

func (c *call) addJob() error {
	name, err := c.module()
	if err != nil {
		return err
	}
	b, release, err := c.body()
	if err != nil {
		return err
	}
	defer release()
	if len(b) == 0 {
		return message.Errorf(message.InvalidArgument, "the module %s has 0 bytes; send a WebAssembly module as the body", name)
	}
	ctx, cancel := c.context()
	defer cancel()
	added, err := c.s.cfg.Heap.AddJob(ctx, name, b)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, added)
}

func (c *call) dropJob() error {
	name, err := c.module()
	if err != nil {
		return err
	}
	if _, err := c.object(); err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	if err := c.s.cfg.Heap.DropJob(ctx, name); err != nil {
		return err
	}
	c.answer.WriteHeader(http.StatusNoContent)
	return nil
}
