package member

import "time"

const (
	defaultProbeInterval = 500 * time.Millisecond
	defaultProbeTimeout  = 200 * time.Millisecond

	lookInterval   = 200 * time.Millisecond // a suspect is seen this much late at most
	returnInterval = 2 * time.Second        // between two attempts to join nodes that are not alive
	sleepAfter     = 2 * time.Second        // a watcher that was not scheduled for so long asks what it missed
	sleeperAsks    = 3                      // how many others it asks
	streamTime     = 2 * time.Second        // for a question and its answer
	pushPullEvery  = 15 * time.Second       // between a node's exchanges with one that is alive
	gossipInterval = 200 * time.Millisecond // news that found no probe to ride on waits this long at most
	gossipToDead   = 30 * time.Second       // for so long the dead hear of their death and can refute

	loadSoon  = time.Second     // a load that changed much is spread after so long
	loadLater = 5 * time.Second // one that changed at all after so long

	maxPackets   = 256       // arrived packets that wait for memberlist; further ones are dropped
	maxStreams   = 16        // of each: questions of ours, questions arriving, questions being answered
	partSize     = 16 << 10  // bytes of a stream's message in one packet
	maxMessage   = 128 << 10 // bytes of a stream's message: the table of 1024 nodes has about 90 KiB
	maxParts     = maxMessage / partSize
	maxPacket    = 64 << 10 // bytes of a packet
	maxIndirects = 256      // indirect probes a second done for others; each costs memberlist a goroutine
	maxLogLines  = 20       // lines of memberlist a second that are logged
	maxHandoff   = 256      // memberlist's queue of news not yet digested
)
