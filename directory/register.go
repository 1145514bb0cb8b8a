package directory

import (
	"encoding/json"
	"slices"
	"sort"

	"dmalloc/company"
	"dmalloc/message"
)

// spread begins to keep the registers on the nodes listed in data, a JSON array. It may replace a change
// that is under way: until REGDONE everything is on a quorum of the old members too. What was not planned was chosen,
// unless it is all nodes. Whoever chose may say at which epoch of the registers: a request that comes late, or comes
// again, does not undo what was changed since.
func spread(d *message.Directory, data []byte, planned bool, seen uint64) company.Result {
	var nodes []message.NodeID
	if err := json.Unmarshal(data, &nodes); err != nil || len(nodes) == 0 {
		return refuse(message.InvalidArgument, "registers need at least one node; name those that shall keep them")
	}
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	next := make([]message.Member, len(nodes))
	for i, id := range nodes {
		n := d.Node(id)
		if n == nil {
			return refuse(message.NoSuchNode, "node %s is not in the directory; it has %d nodes", id, len(d.Nodes))
		}
		if n.Gone {
			return goneForGood(n)
		}
		next[i] = message.Member{Node: id, Incarnation: n.Incarnation}
	}
	if r := &d.Registers; seen != 0 && seen != r.Epoch {
		if slices.Equal(next, heading(r)) {
			return company.Result{} // a repetition
		}
		return refuse(message.Fenced, "D6: the registers' members have changed since: they were at epoch %d when this was asked for, and are at %d; nothing was done, look at them and ask again", seen, r.Epoch)
	}
	setNext(&d.Registers, next)
	if !planned {
		d.Chosen = slices.ContainsFunc(d.Nodes, func(n message.Node) bool { return !n.Gone && !slices.Contains(nodes, n.ID) })
	}
	return company.Result{}
}

// heading are the members when what is under way has ended.
func heading(r *message.Registers) []message.Member {
	if len(r.Next) > 0 {
		return r.Next
	}
	return r.Members
}

// setNext keeps D5. Members that shall stay as they are need no change, and end one.
func setNext(r *message.Registers, next []message.Member) {
	if slices.Equal(next, heading(r)) {
		return
	}
	if slices.Equal(next, r.Members) {
		next = nil
	}
	r.Epoch++
	r.Next = next
}

// spreadDone ends the change that began with an epoch.
func spreadDone(d *message.Directory, epoch uint64) company.Result {
	r := &d.Registers
	if len(r.Next) == 0 {
		if epoch < r.Epoch {
			return company.Result{} // a repetition
		}
		return refuse(message.InvalidArgument, "the registers' members are not changing; they are at epoch %d", r.Epoch)
	}
	if epoch != r.Epoch {
		return refuse(message.Stale, "D5: the change of epoch %d is no more; the registers are at epoch %d", epoch, r.Epoch)
	}
	r.Epoch++
	r.Members, r.Next = r.Next, nil
	return company.Result{}
}

// moveRegisters begins to replace the lost incarnation of a node among the registers' members.
func moveRegisters(d *message.Directory, n *message.Node) {
	r := &d.Registers
	next := slices.Clone(heading(r))
	for i := range next {
		if next[i].Node == n.ID {
			next[i].Incarnation = n.Incarnation
		}
	}
	before := r.Epoch
	setNext(r, next)
	if len(r.Next) > 0 && r.Epoch == before && slices.ContainsFunc(r.Members, func(m message.Member) bool { return m.Node == n.ID }) {
		r.Epoch++ // what the lost disk has told those who copy is worth nothing any more: they begin again
	}
}

const maxJobs = 256 // modules of jobs

func addJob(d *message.Directory, data []byte) company.Result {
	var j message.Job
	if err := json.Unmarshal(data, &j); err != nil {
		return refuse(message.InvalidArgument, "the description of a job is not JSON")
	}
	if err := message.CheckJobName(j.Name); err != nil {
		return refuse(message.InvalidArgument, "%s", err.Error())
	}
	i, found := findJob(d, j.Name)
	if found {
		d.Jobs[i] = j
		return company.Result{}
	}
	if len(d.Jobs) >= maxJobs {
		return refuse(message.OutOfMemory, "there are %d modules of jobs, no more are kept; remove one", maxJobs)
	}
	d.Jobs = slices.Insert(d.Jobs, i, j)
	return company.Result{}
}

func dropJob(d *message.Directory, name string) company.Result {
	i, found := findJob(d, name)
	if !found {
		return refuse(message.NoSuchJob, "no module is called %s", message.Quote(name))
	}
	d.Jobs = slices.Delete(d.Jobs, i, i+1)
	return company.Result{}
}

func findJob(d *message.Directory, name string) (int, bool) {
	return sort.Find(len(d.Jobs), func(i int) int {
		switch at := d.Jobs[i].Name; {
		case name < at:
			return -1
		case name > at:
			return 1
		}
		return 0
	})
}

// checkRegisters tests that members are nodes, each there once.
func (s *State) checkRegisters() error {
	for _, list := range [][]message.Member{s.d.Registers.Members, s.d.Registers.Next} {
		for i, m := range list {
			if s.d.Node(m.Node) == nil {
				return message.Errorf(message.Corrupt, "registers are kept on node %s, which does not exist", m.Node)
			}
			if i > 0 && list[i-1].Node >= m.Node {
				return message.Errorf(message.Corrupt, "the registers' members are not in order: %s stands before %s", list[i-1], m)
			}
		}
	}
	return nil
}
