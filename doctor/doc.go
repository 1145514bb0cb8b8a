// Package doctor checks what a cluster stands on before the cluster is blamed: ports, disk, clock, limits,
// versions, tools.
//
//	measure.go   looks at this machine ───┐
//	the command  asks the nodes, hosts ───┼──▶ Facts ──▶ Judge ──▶ Findings: PASS, WARN, FAIL
//
//	E1  Judge is pure: equal facts give equal findings, in the same order.
//	E2  FAIL means that a cluster will not start or not keep its promises here; WARN that it may be slow, or that
//	    something beside it is missing. Every WARN and FAIL says what to do.
//	E3  What was not asked for is not judged: a fact that is nil has no finding.
//	E4  Measuring leaves nothing behind, and nothing in the directory is touched but a file of its own.
//
// Next: package health, which judges the cluster itself.
package doctor
