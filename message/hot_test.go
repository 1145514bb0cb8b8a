package message

import (
	"testing"

	"dmalloc/internal/allocs"
)

// hot is what every request and every answer goes through.
func hot(tb testing.TB) []allocs.Operation {
	request := &Message{Op: WRITE, Client: ClientID{1}, Seq: 1, Low: 1, Source: NoNode, Target: 1, Final: NoNode, Address: HeapBase, Size: 16, Data: make([]byte, 16), Company: 1}
	batch := &Batch{Origin: 1, Number: 2, Term: 3, Node: 1}
	for range 16 {
		batch.Messages = append(batch.Messages, request)
	}
	answer := request.Answer(Done, "")
	buf := make([]byte, 0, 4096)
	encode := func(f func([]byte) ([]byte, error)) []byte {
		b, err := f(buf[:0])
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	encoded, answered, entry := clone(encode(request.Append)), clone(encode(answer.Append)), clone(encode(batch.Append))
	decode := func(b []byte) func() {
		return func() {
			if _, err := Decode(b); err != nil {
				tb.Fatal(err)
			}
		}
	}
	var reader BatchReader
	return []allocs.Operation{
		{Name: "encode a write", Most: 0, Do: func() { encode(request.Append) }},
		{Name: "decode a write", Most: 1, Do: decode(encoded)},
		{Name: "answer a write", Most: 1, Do: func() { kept = request.Answer(Done, "") }},
		{Name: "encode an answer", Most: 0, Do: func() { encode(answer.Append) }},
		{Name: "decode an answer", Most: 1, Do: decode(answered)},
		{Name: "encode an entry of 16 writes", Most: 0, Do: func() { encode(batch.Append) }},
		{Name: "decode an entry of 16 writes", Most: 3, Do: func() {
			if _, err := DecodeBatch(entry); err != nil {
				tb.Fatal(err)
			}
		}},
		{Name: "decode entries of 16 writes", Most: 0, Do: func() {
			if _, err := reader.Read(entry); err != nil {
				tb.Fatal(err)
			}
		}},
	}
}

var kept *Message // or an answer would not outlive its call, as those do that are sent

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// What this package is asked again and again allocates no more than it did.
func TestAllocations(t *testing.T) { allocs.Test(t, hot(t)...) }

func BenchmarkHot(b *testing.B) { allocs.Bench(b, hot(b)...) }
