// Package page is what the bytes of a company are: pages of 4096 bytes over one window, sparse and
// copy-on-write. It knows nothing of allocations.
//
//	top:    [ chunk | - | chunk | … ]              a pointer for each 2 MiB of the window
//	               \
//	chunk:  [ page | page | - | … ]                512 pointers, and one bit each: is the page its own?
//	            \
//	page:   4096 bytes, at least one of them not zero
//
// A snapshot shares everything with the store and costs O(1): it ends a generation. The store's next
// write to a chunk of an older generation copies the chunk's pointers, and the first write to a page that
// the chunk does not own copies the page. So a snapshot can be read in another goroutine for as long as
// it takes, while the store goes on.
//
//	P1  A page exists if and only if a byte of it is not zero. So what a store holds depends on its
//	    bytes, not on how they came there.
//	P2  Nothing that a snapshot can reach is ever written.
//	P3  Resident is the number of pages that exist, in bytes.
//
// Next: package company.
package page
