package node

import (
	"testing"

	"dmalloc/message"
)

// Who is to lead has applied what there is, and knows of its vote.
func TestReadyToLead(t *testing.T) {
	const applied, order = 5000, 40
	for _, row := range []struct {
		name string
		heir message.ReplicaStatus
		want bool
	}{
		{"it says nothing", message.ReplicaStatus{}, false},
		{"it has all", message.ReplicaStatus{Replica: 4, Applied: applied, Members: order}, true},
		{"it has what came meanwhile, too", message.ReplicaStatus{Replica: 4, Applied: applied + 10, Members: order + 3}, true},
		{"it lags", message.ReplicaStatus{Replica: 4, Applied: applied - lagMost - 1, Members: order}, false},
		{"it does not know that it votes", message.ReplicaStatus{Replica: 4, Applied: applied, Members: order - 1}, false},
		{"it is older than the question", message.ReplicaStatus{Replica: 4, Applied: applied}, true},
	} {
		if got := readyToLead(row.heir, applied, order); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}
