// Package dotgen draws what a cluster holds, how it stands and who has led it, as DOT for graphviz and xdot.
//
//	DrawAllocations   a cluster a company, a box a block, an arrow along each block list
//	DrawCluster       a box a node, an ellipse a company, an arrow from each owner (bold: the leader),
//	                  a line a direct link
//	DrawElections     a cluster a company, a box a tenure in the order of terms, an arrow over each gap
//
//	D1  Equal states give equal bytes, in whatever order the state is told: everything is sorted and
//	    deduplicated by all that is drawn, before the first id is given out.
//	D2  Whatever a name or a state says, it is shown and never obeyed: text goes through quote, and no
//	    shape reads its label's text as a record.
//	D3  Everything is bounded: what is left out is counted or named in a note.
//
// Each box, ellipse and cluster carries an attribute id of our own, such as block_0x500000001000, by which
// an SVG made of the picture can be found one's way in; the numbers n1, n2 are github.com/emicklei/dot's.
// It knows no time and no cluster: what is to be drawn comes in. Next: package client, which collects it.
package dotgen
