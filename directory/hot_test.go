package directory

import (
	"testing"

	"dmalloc/company"
	"dmalloc/internal/allocs"
	"dmalloc/message"
)

// hot is what each node does again and again about the directory of 20 nodes, and the price of one change of it.
func hot(tb testing.TB) []allocs.Operation {
	d := &message.Directory{Epoch: 1}
	for i := range message.NodeID(20) {
		d.Nodes = append(d.Nodes, message.Node{ID: i})
		c := message.Company{ID: message.CompanyID(i), Next: 4}
		for j := range message.NodeID(3) {
			c.Owners = append(c.Owners, message.Owner{Node: (i + j) % 20, Replica: uint64(j) + 1})
		}
		d.Companies = append(d.Companies, c)
	}
	s, boot := New(d), uint64(0)
	change := func(m *message.Message) company.Result {
		return s.Apply(s.index+1, &message.Batch{Messages: []*message.Message{m}}).Results[0]
	}
	ask := message.New(message.DIRECTORY)
	return []allocs.Operation{
		{Name: "answer with all of it", Most: 82, Do: func() { s.Read(ask) }},
		{Name: "a node starts", Most: 115, Do: func() {
			boot++
			if r := change(boots(7, boot, 0, "127.0.0.1:7007")); r.Code != message.Done {
				tb.Fatal(r)
			}
		}},
	}
}

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
