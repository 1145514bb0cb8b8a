package client

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"dmalloc/message"
)

// space is how much one allocation could get within a company.
type space struct {
	id    message.CompanyID
	bytes uint64
	nodes []message.NodeID
	away  bool // it had no leader when it was asked last: what it has room for is not known
}

// spaces lists what is believed of every company, the roomiest first. The lock is held.
func (h *Heap) spaces() []space {
	var all []space
	now := time.Now()
	d := h.directory()
	for id := message.CompanyID(1); int(id) < len(d.Companies); id++ {
		r := h.rooms[id]
		all = append(all, space{id, r.bytes, d.Companies[id].OwnerNodes(), now.Before(r.avoid)})
	}
	slices.SortStableFunc(all, func(a, b space) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}

// placesTold is how many companies a refusal names; `companies` has them all.
const placesTold = 4

// full refuses a size, and says where there is room and what would make some.
func full(size uint64, all []space) error {
	var sum uint64
	var places []string
	var away []string
	for _, s := range all {
		switch {
		case s.away:
			away = append(away, s.id.String())
			continue
		case s.bytes == 0:
			continue
		}
		sum += s.bytes
		switch n := len(places); {
		case n == 0:
			places = append(places, fmt.Sprintf("the largest free piece is %s in company %s (nodes %s)", message.FormatSize(s.bytes), s.id, list(s.nodes)))
		case n < placesTold:
			places = append(places, fmt.Sprintf("%s in company %s (nodes %s)", message.FormatSize(s.bytes), s.id, list(s.nodes)))
		}
	}
	text := message.FormatSize(size) + " were asked for, and "
	if len(places) == 0 {
		text += "every company is full"
	} else {
		text += fmt.Sprintf("no company has as much, nor have all together in whole pages: %s are free in all; %s", message.FormatSize(sum), strings.Join(places, ", then "))
	}
	if len(away) > 0 {
		text += "; without a leader and not asked: company " + strings.Join(away, ", company ")
	}
	if sum > 0 {
		text += "; ask for less, free something with f, or add a node with node add"
	} else {
		text += "; free something with f, or add a node with node add"
	}
	return message.Errorf(message.OutOfMemory, "%s", text)
}
