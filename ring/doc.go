// Package ring says who owns what, and nothing else: given the same nodes it gives the same owners on
// every machine, so nobody has to ask.
//
// It knows two ways, for two needs:
//
//	Owners   one key at a time, for ever      rendezvous hashing: each node draws a weight for the
//	                                          key, the R heaviest own it
//	Replicas a shard of the registers           the same, shard by shard: see Place
//	Plan     the companies of a new cluster   the circle below, dealt out evenly
//
//	          node 0
//	       7         1        company 1 starts at node 0:  owners 0 1 2, led by 0
//	     6             2      company 2 starts at node 1:  owners 1 2 3, led by 1
//	       5         3        …
//	          node 4
//
// On the circle stand the nodes in the order of their ids, or, when they run on several hosts, so that
// neighbours are on different hosts as far as possible: one host that dies takes no majority with it.
//
//	G1  Owners are distinct, and the first of the nodes' weights: the order of the argument is irrelevant.
//	G2  A node that leaves moves only the keys it owned; one that comes moves only those it gets.
//	G3  In a plan the numbers of replicas of any two nodes differ by at most 1, and so do the numbers of
//	    companies that they are first to lead.
//	G4  A company's capacity fits on each owner, whatever else that owner holds.
//	G5  Next ends. A company never gets two owners on one node, nor fewer than a majority of live ones, and no
//	    more is moved than what was on nodes that are lost, and what makes the numbers of G3 differ by 2 or more.
//
// The price of the circle is paid once: it is even, but a node that is added moves more than G2 allows.
// The directory therefore keeps the plan's result and changes it replica by replica: Next says how, and Lead
// how leadership follows.
//
// It sends nothing, keeps nothing and reads no clock. Next: package directory, which keeps the plan.
package ring
