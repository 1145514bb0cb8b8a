// Package health judges a cluster from what each node said of itself: what can be used, what cannot, and which
// nodes would have to come back. It needs no quorum, because it asks for none: whoever calls it has asked every
// node directly and hands over what came.
//
//	View   the directory, the nodes' answers, what the launcher says of processes, clocks
//	  │
//	  ├─ companies   owners that serve, of those that vote ──┐
//	  ├─ registers   replicas that answer, by shard ─────────┼─ Need: any k of these nodes
//	  └─ nodes       state, suspicion, disk, clock           │
//	  ▼                                                      ▼
//	Report: one line of verdict first          restore: the smallest sets that fill every Need
//
//	H1  Healthy means: every owner and every replica is there, and each company has a leader.
//	H2  Unavailable means: some company or register cannot be used now. Everything else is degraded.
//	H3  Each set of Revive restores everything that nodes can restore, and no smaller one does. Where that
//	    would take too long to find out, one set that is enough is given, and the report says so.
//	    Where the network is not a mesh, a node counts as back only if a path of living nodes leads to it.
//	H4  Equal views give equal reports, whatever the order of a map.
//
// It sees what the nodes said a moment ago, not what is true for ever: a node that answers too late counts as
// one that does not answer.
//
// Next: package client, whose Status makes the View.
package health
