// Package allocs keeps what hot operations allocate from growing. A package lists its own once, with the most that each may
// allocate, for a test and for a benchmark:
//
//	func hot() []allocs.Operation                              what is done again and again, and its bound
//	func TestAllocations(t *testing.T) { allocs.Test(t, hot()...) }
//	func BenchmarkHot(b *testing.B)    { allocs.Bench(b, hot()...) }
//
// A bound is what was measured when it was written down: less is welcome, and lowers it; more needs a reason in the commit that
// raises it. Counts do not depend on how fast a machine is or what else it does, so they are judged everywhere but under the
// race detector, which allocates by itself.
//
// Only tests import it.
package allocs
