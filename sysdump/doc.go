// Package sysdump collects what a cluster says of itself into one archive, for whoever looks into what went
// wrong, perhaps elsewhere and later.
//
//	Source ── STATUS STATS METRICS ELECTIONS SQL LOG GOROUTINES JOURNAL ──▶ each node, 5 s, all at once
//	   │  └── Status, Nodes, Companies, Directory ────────────────────────▶ the cluster as this client sees it
//	   ▼
//	archive: index.txt  problems.txt  cluster/…  nodes/0/…  nodes/1/…      .tar.gz
//
//	D1  What cannot be collected stands in problems.txt with the reason; it never ends the collecting.
//	D2  It ends: a node has NodeTime, a file maxFile bytes, a node maxNode, all together maxAll.
//	D3  No secrets: values of JSON members that are called token, secret, password or key are left out, and no
//	    environment, command line or byte of the heap and of registers is asked for.
//
// It asks nothing that needs a majority, so it works while nothing else does.
//
// Goroutines: one a node that is being asked, at most width of them; Write waits for all.
package sysdump
