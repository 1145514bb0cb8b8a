package cluster

import (
	"dmalloc/client"
	"dmalloc/message"
)

// The launcher speaks with each warden in lines of JSON: orders on the warden's standard input, reports
// on its standard output. Every order is answered by one report with its number; what happens by itself
// has number 0.

// What an order asks.
const (
	doHome    = "home"    // use Dir, or a new temporary directory; answers Dir
	doStart   = "start"   // start a node in Dir, give it Line; answers Pid
	doSend    = "send"    // give a node a further Line, in the place of one that it has not read yet
	doSignal  = "signal"  // send a node Signal: KILL, STOP or CONT
	doCorrupt = "corrupt" // flip bits in the files in Dir by Seed; answers Flips
	doAside   = "aside"   // move a node's Dir out of the way; answers the new name, empty if there was none
	doRemove  = "remove"  // end a node's process, if there is one, politely first, and delete its Dir
	doStop    = "stop"    // end all nodes, remove what is temporary
)

type order struct {
	Number uint64         `json:"number"`
	Do     string         `json:"do"`
	Node   message.NodeID `json:"node,omitempty"`
	Run    uint64         `json:"run,omitempty"` // numbers the starts of a node's processes: reports carry it
	Dir    string         `json:"dir,omitempty"`
	Host   string         `json:"host,omitempty"`   // home: the name that the launcher knows this host by
	Temp   bool           `json:"temp,omitempty"`   // home: remove Dir in the end
	Kept   bool           `json:"kept,omitempty"`   // start: Dir must hold files from before
	Args   []string       `json:"args,omitempty"`   // start: after the program's name
	Line   string         `json:"line,omitempty"`   // start, send: for the node's standard input
	Signal string         `json:"signal,omitempty"` // signal
	Seed   uint64         `json:"seed,omitempty"`   // corrupt
}

// What a report tells that nobody asked for.
const (
	saysHello  = "hello"  // the warden's first line; Version must be the launcher's
	saysLine   = "line"   // a node printed Line
	saysExited = "exited" // a node's process has ended: Text is how, Last its last words
)

type report struct {
	Number  uint64         `json:"number,omitempty"`
	Says    string         `json:"says,omitempty"`
	Version int            `json:"version,omitempty"`
	Node    message.NodeID `json:"node,omitempty"`
	Run     uint64         `json:"run,omitempty"`
	Pid     int            `json:"pid,omitempty"`
	Dir     string         `json:"dir,omitempty"`
	Line    string         `json:"line,omitempty"`
	Text    string         `json:"text,omitempty"`
	Last    string         `json:"last,omitempty"`
	Flips   []client.Flip  `json:"flips,omitempty"`
	Code    string         `json:"code,omitempty"` // an order was refused: the word of a message.Code; Text says why
}

// wardenVersion changes with the meaning of orders and reports.
const wardenVersion = 2

func (r *report) err() error {
	if r.Code == "" {
		return nil
	}
	return (&Event{Code: r.Code, Message: r.Text}).Err()
}
