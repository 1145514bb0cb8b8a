package register

import (
	"fmt"

	"dmalloc/message"
)

// Kind is what a request asks of a replica.
type Kind uint8

const (
	GetTag Kind = iota + 1 // the tag that it has: the first round of a write
	Get                    // tag and value: the first round of a read
	Put                    // to keep a value under a tag: the second round of both
)

func (k Kind) String() string {
	switch k {
	case GetTag:
		return "GET TAG"
	case Get:
		return "GET"
	case Put:
		return "PUT"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// OpID names one phase of one operation of one client. A reply counts only in the phase that it names:
// a late one of an earlier phase would be poison (R5).
type OpID struct {
	Client message.ClientID
	Seq    uint64
	Phase  uint64
}

func (id OpID) String() string { return fmt.Sprintf("%x/%d.%d", id.Client[:4], id.Seq, id.Phase) }

// Request is what an operation has its driver send.
type Request struct {
	Kind     Kind
	To       message.Member
	Register message.RegisterID
	Epoch    uint64 // of the configuration by which To was chosen
	ID       OpID
	Tag      message.Tag // of a Put
	Value    []byte      // of a Put; never changed by this package, nor by who gets it
	Most     uint64      // of a Get: a larger value is left out of the reply
}

func (q Request) String() string {
	s := fmt.Sprintf("%s of %s to %s in epoch %d", q.Kind, q.Register, q.To, q.Epoch)
	if q.Kind == Put {
		s += " under " + q.Tag.String()
	}
	return s
}

// Reply is what a replica answered.
type Reply struct {
	From     message.Member
	ID       OpID
	Epoch    uint64 // that the replica serves
	Register message.RegisterID
	Tag      message.Tag
	Size     uint64             // of the value
	Value    []byte             // an Operation keeps and returns it, so it must not change any more
	HasValue bool               // Value is there, and not left out for its size
	Behind   bool               // it refused: asker and replica do not have the same epoch, or it is another member
	Config   *message.Registers // of a replica that refused and knows a newer configuration
}

func (r Reply) String() string {
	if r.Behind {
		return fmt.Sprintf("%s refuses, being in epoch %d", r.From, r.Epoch)
	}
	return fmt.Sprintf("%s answers %s in epoch %d", r.From, r.Tag, r.Epoch)
}
