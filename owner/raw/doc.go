// Package raw measures Dragonboat alone: replicas on loopback, the same log and engine settings as a
// company's, one proposal an operation and a state machine that only counts. It is what a heap on Dragonboat
// is compared with.
//
//	Start   all replicas and the clients in one process
//	Serve   one replica a process; clients outside send it the frames that a node gets (server.go, client.go)
//
// Raft's own traffic is Dragonboat's in both.
package raw
