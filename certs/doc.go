// Package certs makes and loads the certificates with which nodes, shells and HTTP clients know each other.
// Make builds a private authority for one heap; Load gives a process what it needs for mutual TLS.
//
//	Make ──▶ ca.key   signs, and is needed for nothing else: keep it off the hosts
//	         ca.crt   what everybody trusts ─────────────────────────────┐
//	         node-0.crt, node-0.key   dmalloc://clusterless/node/0       │
//	         node-1.crt, node-1.key   dmalloc://clusterless/node/1       ├──▶ Load(dir, role) ──▶ Config
//	         launcher.crt, .key       dmalloc://clusterless/launcher     │      Server() for listeners
//	         client.crt, .key         dmalloc://clusterless/client ──────┘      Client() for dialling
//	              │                        shells, HTTP clients                      │
//	              └── Renew signs the same keys again                package transport, package web
//
// A host needs ca.crt and the two files of each role that runs there. The URI says whose a certificate is;
// it is clusterless because certificates are older than the cluster, whose number is drawn when it starts:
// what ties them to one heap is the authority. Certificates of nodes and of the launcher also name hosts,
// as browsers and curl want, and serve both ends of a connection; a client's serves only the client's end.
//
// # What always holds
//
//	C1  Nothing is overwritten by Make. ca.crt is written last: without it nothing loads, so an attempt that
//	    was cut off leaves no half of an authority in use.
//	C2  Every file appears whole or not at all, and a key is never readable by others, not for a moment.
//	C3  A Config holds a certificate, a key and an authority that fit, of the role asked for. What does not is
//	    refused, with the file's name and what to do.
//	C4  Files that changed are taken at the next connection. If they do not fit (yet), what was loaded stays in
//	    use, and Problem says why.
//	C5  A certificate has one URI, and its holder is that role and no other: Whose never guesses.
//
// # What it protects, and what not
//
//	Strangers on the network can neither read, change nor forge what nodes and clients say, nor join: TLS 1.3, both sides verified.
//	A node's key lets its holder be that node, and no other; it also makes a client, which may ask to be admitted. Frames that a node
//	relays are as true as that node.
//	The launcher's key lets its holder give up disks and let nodes go, in the directory.
//	A client's key lets its holder do to the heap whatever users can; it cannot be a node, nor listen as one, nor plan who owns what.
//	The authority's key lets its holder be anybody. There is no revocation: after a theft make a new authority, or wait for the end of the year.
//	Not protected: bytes on disks, who talks to whom and how much, a host's own root, and floods (bounded, not prevented).
//
// It listens and dials nowhere, and starts no goroutine. Next: package transport.
package certs
