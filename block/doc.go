// Package block says where free space is in a company's window: extents by address and by size, best
// fit, merging of neighbours. It knows no bytes, no owners and no budget.
//
//	base                                                        limit
//	 |###....####......##########..............................|      # taken   . free
//	     A       B               C
//	byAddr   A B C          finds the neighbours to merge with
//	byPages  the whole pages inside B and C: best fit for a page and more
//	byEdges  the rest of them, in pages that something else is in: best fit for less than a page
//	bySize   A B C          for less than a page where no edge will do; the lowest address on a tie
//
// A page allocation starts on a page, so what an extent offers it is not its size but the whole pages
// inside it. A third index by that measure keeps page allocations at best fit without a search. Small ones go where
// pages are in use already, so that as few pages as can be are broken into: what exists of a company is whole pages,
// and its budget counts them.
//
//	B1  Free extents are inside the window, aligned to 16 bytes, and no two overlap or touch.
//	B2  The three indexes describe the same extents.
//	B3  Free is the sum of their sizes.
//	B4  High never falls: it is the end of the highest extent ever taken.
//	B5  The free extents depend on what is taken, not on the order in which it was taken.
//	B6  Whole is the sum of the pages of which all is free; Take makes it less by what Opens says.
//
// All operations take O(log n) steps. Next: package page, the bytes; package company, which uses both.
package block
