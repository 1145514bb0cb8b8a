// Package web serves the heap over HTTP and JSON on every node, for curl, browsers, probes and languages
// without a client of their own. Any node serves any request: behind it is the same client that the shell uses.
//
//	request ─▶ same site? ─▶ token? ─▶ find the route ─▶ room? ─▶ strict parsing ─▶ handler ─▶ Heap, Control
//	             403           401        404, 405         503        400, 413, 408      │
//	answer  ◀── status by message.Code, or {"error":{"code":…,"message":…}} ◀────────────┘
//
//	W1  A request that is refused has changed nothing.
//	W2  Whatever waits has an end: headers, bodies that make no progress, readers that take nothing, and the
//	    time that a request gives the heap.
//	W3  Whatever is kept has a bound: connections, requests under way, large buffers, headers, bodies.
//	W4  One table of routes (routes.go) feeds dispatch, the index, the OpenAPI description and the metrics.
//	W5  No page of another site reaches the heap through a visitor's browser: Host and Origin are judged
//	    before anything else is looked at.
//	W6  No input makes a handler panic; if one does, the answer is 500 without a stack, and it is counted.
//	W7  With Config.Tokens nothing but /healthz is told to who shows none of them, not even what there is. With
//	    Config.TLS that requires certificates, no byte of HTTP is read from who has none.
//
// Bytes of the heap travel in pieces of 1 MiB, and each piece is linearizable, not the whole. A write is
// compared with its allocation before its first piece, so what does not fit changes nothing (W1); what fails
// half-way says how much was written.
//
// An Idempotency-Key makes a repeated POST, PUT or DELETE of the heap harmless, at whichever node it arrives: key, verb,
// path and arguments together become the client id under which the companies remember the answer. A key that
// is used for a second, different request therefore never gets the first one's answer.
//
// Registers, jobs and leases remember no keys: a repeated write is a second write. Their routes refuse a key, for who
// sends one relies on it.
//
// JSON of requests is read where it lies (json.go): a body may be megabytes of one string, and a request holds
// one copy of it. What encoding/json would silently replace or merge is refused: bytes that are not UTF-8, half
// of a surrogate pair, a name that stands there twice.
//
// The package starts no goroutine but those of net/http, which Close ends and waits for. Content-Type is not
// looked at, neither is what a client accepts.
//
// Next: routes.go, then package client, which does the work.
package web
