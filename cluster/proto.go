package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"dmalloc/fault"
	"dmalloc/message"
)

// maxLine bounds a line between launcher, warden and node. The longest is an order that carries the
// configuration of a node of a complete network of 1024 nodes.
const maxLine = 64 << 20

// NodeConfig is the first line on a node's standard input: all that it needs to start.
type NodeConfig struct {
	ID          message.NodeID   `json:"id"`
	Settings    message.Settings `json:"settings"`
	Dir         string           `json:"dir"`         // the node's own; also its working directory
	Listen      string           `json:"listen"`      // for messages; port 0 means a free one
	HTTPListen  string           `json:"http_listen"` // for HTTP, likewise
	Control     string           `json:"control"`     // where the launcher takes control messages; empty if nowhere
	Hosts       []string         `json:"hosts"`       // of all nodes, by id
	Temporary   bool             `json:"temporary"`   // the files go with the cluster
	Incarnation uint64           `json:"incarnation"` // counts the disks that the node has lost
	Join        bool             `json:"join"`        // it has lost one: it takes up what the directory gives it
	Debug       bool             `json:"debug"`
	Certs       string           `json:"certs,omitempty"`    // directory with the node's certificate; empty: no TLS
	Insecure    bool             `json:"insecure,omitempty"` // take addresses that others reach, without certificates
	Tokens      [][]byte         `json:"tokens,omitempty"`   // SHA-256 of what HTTP requests may show; empty: they need none
}

// What an Event says.
const (
	Listening = "listening" // both ports are open: Address and HTTP
	Ready     = "ready"     // the node has caught up with its companies
	Faulted   = "faulted"   // it behaves as the faults of Turn say
	Failed    = "failed"    // it cannot go on, and ends: Code and Message
)

// Event is a line on a node's standard output.
type Event struct {
	Event   string `json:"event"`
	Address string `json:"address,omitempty"`
	HTTP    string `json:"http,omitempty"`
	Turn    uint64 `json:"turn,omitempty"`
	Code    string `json:"code,omitempty"` // the word of a message.Code
	Message string `json:"message,omitempty"`
}

// Err is the error that a failed event carries.
func (e *Event) Err() error {
	code, ok := message.ParseCode(e.Code)
	if !ok || code == message.Done {
		code = message.Internal
	}
	return &message.Error{Code: code, Text: e.Message}
}

// Peers is each further line on a node's standard input: where all nodes are now, and what is wrong with this
// one on purpose. A later one replaces all earlier ones, and one that a slow node has not read in time is left out.
type Peers struct {
	Peers  []message.Node   `json:"peers"`
	Down   []message.NodeID `json:"down,omitempty"`   // those that are dead: nothing is relayed through them
	Faults *fault.View      `json:"faults,omitempty"` // nil: nothing is wrong
	Turn   uint64           `json:"turn,omitempty"`   // counts the changes of faults: Faulted answers it
}

// lines cuts a stream into lines of bounded length.
func lines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	return s
}

// writeLine sends a value as a line of JSON, in one Write.
func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// strictJSON refuses fields that it does not know, which another version would send.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value on a line")
	}
	return nil
}
