// Package plot draws measurements: panels side by side, each with a few series over one logarithmic axis, as an SVG
// that a page can show. It is pure: the same series give the same bytes.
//
//	Panels of Series ──▶ axes: whole decades of y, the measured values of x ──▶ SVG
//
// A picture has a background of its own, so it can be read on a light page and on a dark one, and follows the reader's
// choice of colours where the browser tells it. Series differ by colour, by the shape of their points and by their names.
//
// Libraries for this were looked at: gonum.org/v1/plot adds 8 MB of fonts and renderers to a program, and has one set
// of colours. This is all that is needed of one.
package plot
