package directory

import (
	"encoding/json"

	"dmalloc/company"
	"dmalloc/message"
	"dmalloc/ring"
)

// maxGeneration bounds the generations of a company. A log's indexes begin at generation * 2^40 in each, and stay below
// 2^53, beyond which JSON's readers round.
const maxGeneration = 1<<13 - 1

// recoverFrom begins a company's next generation (D11): one owner, in a new replica, with what the named one holds. Its
// other owners are on the list no more, nor is a change of them that was under way. It is refused where the directory
// is not the one for which it was asked, so a repetition does nothing. Whether a majority is lost is not known here:
// who asks has looked.
func recoverFrom(d *message.Directory, data []byte) company.Result {
	var m message.Move
	if err := json.Unmarshal(data, &m); err != nil {
		return refuse(message.InvalidArgument, "the description of a recovery is not JSON")
	}
	c := d.Company(m.Company)
	if c == nil {
		return noCompany(d, m.Company)
	}
	if c.ID == 0 {
		return refuse(message.Unsupported, "the directory cannot be recovered by itself: it would have to agree to that")
	}
	if m.Epoch != d.Epoch {
		return refuse(message.Stale, "D6: a recovery was planned at epoch %d, the directory is at %d", m.Epoch, d.Epoch)
	}
	if o := c.Owner(m.From); o == nil || o.Node != m.Node {
		return refuse(message.InvalidArgument, "company %s has no replica %d on node %s", c.ID, m.From, m.Node)
	}
	n := d.Node(m.Node)
	if n == nil || n.Gone {
		return noNode(d, m.Node)
	}
	if c.Generation >= maxGeneration {
		return refuse(message.OutOfMemory, "company %s has begun anew %d times, more are not possible", c.ID, c.Generation)
	}
	c.Generation++
	c.Owners = []message.Owner{{Node: n.ID, Replica: c.Next}}
	c.Founders = []message.Founder{{Node: n.ID, Replica: c.Next, Incarnation: n.Incarnation, From: m.From}}
	c.Next++
	ring.Share(d)
	return company.Result{Value: c.Generation}
}
