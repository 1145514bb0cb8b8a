package client

import (
	"testing"

	"dmalloc/message"
)

// Who trusts no clock asks for a majority's word with each read, of whatever length, and with nothing else.
func TestConfirm(t *testing.T) {
	for _, confirm := range []bool{false, true} {
		reads := 0
		node := func(m *message.Message) *message.Message {
			if asks := m.Flags&message.Confirm != 0; asks != (confirm && m.Op == message.READ) {
				t.Errorf("confirm %v: %s has the flags %b", confirm, m, m.Flags)
			}
			a := serve(m)
			if m.Op == message.READ {
				reads++
				a.Data = make([]byte, m.Size)
			}
			return a
		}
		h, _ := open(t, map[message.NodeID]func(*message.Message) *message.Message{0: node, 1: node, 2: node})
		h.cfg.Confirm = confirm
		const at = message.HeapBase + message.PageSize
		for range 2 { // the second time in a message that was used before
			if err := h.ReadAt(t.Context(), make([]byte, 16), at); err != nil {
				t.Fatal(err)
			}
			if _, err := h.WriteAt(t.Context(), []byte("x"), at); err != nil {
				t.Fatal(err)
			}
			if _, err := h.FetchAdd(t.Context(), at, 1); err != nil {
				t.Fatal(err)
			}
		}
		if reads != 2 {
			t.Errorf("%d reads came", reads)
		}
	}
}
