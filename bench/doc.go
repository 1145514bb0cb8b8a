// Package bench measures a running heap from the outside: any mix of operations, sizes and numbers of
// clients, with a warm-up that does not count and percentiles of what does.
//
//	clients ──▶ op drawn from the mix ──▶ Heap ──▶ latency into a recorder ──▶ Report
//
// Each client waits for its answer before it asks again, so with K clients K operations are under way.
// Latencies are kept exactly, not in buckets. Nothing here knows how a heap works.
package bench
