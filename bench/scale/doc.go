// Package scale says how the cost of a heap grows: with clients, companies, nodes, replicas and live allocations.
//
//	Sweeps ──▶ Run: each point: a cluster of its shape, at rest, filled, at work ──▶ Results ──▶ Table, JSON
//	              └─ Bench: starts clusters, measures one Task in one               └──▶ Page (Markdown), Pictures (SVG)
//
//	S1  Between the points of a sweep one thing differs. Points of one shape share a cluster, others never do, and one
//	    cluster is up at a time.
//	S2  What failed says why in its place, and the rest is measured.
//	S3  A rate and a latency at rest are measured apart: with many operations in flight a latency says no more than how
//	    many wait. Only the sweep of clients, which is about that, has both of the same measurement.
//	S4  What does not depend on how busy the machine is stands beside: the nodes' processor time, frames and entries.
//
// It starts nothing itself: Bench is its caller's. Why curves bend is not generated: docs/design/scaling.md.
package scale
