package web

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

// The fake's leases are those of node 2 and never end; one of 7 s is of a cluster that absorbs writes. What is
// at 0x500000003000 is leased by another node.
func (h *fakeHeap) Lease(_ context.Context, a message.Addr, mode string, length time.Duration) (message.Lease, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x, err := h.find(a)
	if err != nil {
		return message.Lease{}, err
	}
	if x.Address == 0x500000003000 {
		return message.Lease{}, message.Errorf(message.Leased, "%s is leased: node 1 holds it for another 1.5s at most", x.Address)
	}
	if length == 0 {
		length = message.DefaultLease * time.Millisecond
	}
	ms := uint64(length.Milliseconds())
	l := message.Lease{Company: 1, Address: x.Address, Size: message.PageSize, Mode: mode, Token: uint64(17 + len(h.leases)), Holder: 2, Session: 5, LengthMS: ms, LeftMS: ms, WriteBack: ms == 7000}
	h.leases = append(h.leases, l)
	return l, nil
}

func (h *fakeHeap) Release(_ context.Context, a message.Addr) (message.Lease, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, l := range h.leases {
		if a >= l.Address && uint64(a-l.Address) < l.Size {
			h.leases = slices.Delete(h.leases, i, i+1)
			return l, nil
		}
	}
	return message.Lease{}, message.Errorf(message.Fenced, "node 2 has no lease on the page at %s", a)
}

func (h *fakeHeap) Sync(_ context.Context, a message.Addr) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a == 0 {
		return 300, nil
	}
	x, err := h.find(a)
	return x.Size, err
}

func (h *fakeHeap) Leases(context.Context) ([]message.Lease, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leases, nil
}

// absorbs says whether a write goes into the holder's copy only. h.mu is held.
func (h *fakeHeap) absorbs(a message.Addr) bool {
	return slices.ContainsFunc(h.leases, func(l message.Lease) bool {
		return l.WriteBack && a >= l.Address && uint64(a-l.Address) < l.Size
	})
}

// Requests about leases; before them the fake has allocations at 0x500000002000 and 0x500000003000.
var goodLeaseRequests = []goodRequest{
	{"listLeases", "GET", "/v1/leases", "", 200, `{"leases":[]}`},
	{"lease", "POST", "/v1/leases", `{"address":"0x500000002010","mode":"w","length_ms":2000}`, 201,
		`{"company":1,"address":"0x500000002000","size":4096,"mode":"w","token":17,"holder":2,"session":5,"length_ms":2000,"ms_left":2000}`},
	{"listLeases", "GET", "/v1/leases", "", 200, `{"leases":[{"company":1,"address":"0x500000002000",…"ms_left":2000}]}`},
	{"write", "PUT", "/v1/memory/0x500000002000", "hello", 200, `{"address":"0x500000002000","size":5,"index":…}`},
	{"release", "DELETE", "/v1/leases/0x500000002001", "", 200, `{"company":1,"address":"0x500000002000",…`},
	{"lease", "POST", "/v1/leases", `{"address":87960930230272,"mode":"r"}`, 201, `{"company":1,…"mode":"r",…"ms_left":10000}`},
	{"release", "DELETE", "/v1/leases/0x500000002000", "{}", 200, `…"mode":"r"…`},
	{"lease", "POST", "/v1/leases", `{"address":"0x500000002000","mode":"w","length_ms":7000}`, 201, `…"write_back":true}`},
	{"write", "PUT", "/v1/memory/0x500000002000", "hello", 200, `{"address":"0x500000002000","size":5,"index":0,"write_back":true}`},
	{"sync", "POST", "/v1/sync", "", 200, `{"bytes":300}`},
	{"sync", "POST", "/v1/sync", "{}", 200, `{"bytes":300}`},
	{"sync", "POST", "/v1/sync", `{"address":"0x500000002000"}`, 200, `{"bytes":100}`},
}

var badLeaseRequests = []badRequest{
	{"POST", "/v1/leases", "", 400, "invalid_argument", "not one JSON value"},
	{"POST", "/v1/leases", "{}", 400, "invalid_argument", `"address" is missing`},
	{"POST", "/v1/leases", `{"address":"` + first + `"}`, 400, "invalid_argument", `"mode" is missing`},
	{"POST", "/v1/leases", `{"address":"` + first + `","mode":"rw"}`, 400, "invalid_argument", "no mode"},
	{"POST", "/v1/leases", `{"address":"` + first + `","mode":1}`, 400, "invalid_argument", "must be a string"},
	{"POST", "/v1/leases", `{"address":"x","mode":"r"}`, 400, "invalid_argument", "whole number"},
	{"POST", "/v1/leases", `{"address":"` + first + `","mode":"r","length_ms":0}`, 400, "invalid_argument", "1 to 30000"},
	{"POST", "/v1/leases", `{"address":"` + first + `","mode":"r","length_ms":30001}`, 400, "invalid_argument", "1 to 30000"},
	{"POST", "/v1/leases", `{"address":"` + first + `","mode":"r","length_ms":"2s"}`, 400, "invalid_argument", "whole number"},
	{"POST", "/v1/leases", `{"address":"` + first + `","mode":"r","length":5}`, 400, "invalid_argument", "not known"},
	{"POST", "/v1/leases", `{"address":12,"mode":"r"}`, 404, "not_allocated", ""},
	{"DELETE", "/v1/leases/" + first, "", 409, "fenced", "no lease"},
	{"DELETE", "/v1/leases/x", "", 400, "invalid_argument", "not an address"},
	{"DELETE", "/v1/leases/" + first, "now", 400, "invalid_argument", ""},
	{"DELETE", "/v1/leases", "", 405, "method_not_allowed", "POST"},
	{"PUT", "/v1/leases/" + first, "", 405, "method_not_allowed", "DELETE"},
	{"POST", "/v1/sync", `{"address":0}`, 400, "invalid_argument", "without an address"},
	{"POST", "/v1/sync", `{"address":12}`, 404, "not_allocated", ""},
	{"POST", "/v1/sync", `[]`, 400, "invalid_argument", "not a JSON object"},
	{"GET", "/v1/sync", "", 405, "method_not_allowed", "POST"},
}

func TestLeasedElsewhere(t *testing.T) {
	s, _ := newServer(t, nil)
	for range 2 {
		ask(s, "POST", "/v1/malloc", `{"size":100}`)
	}
	w := ask(s, "POST", "/v1/leases", `{"address":"0x500000003000","mode":"r"}`)
	if code, text := refusal(t, w); w.Code != 409 || code != "leased" || !strings.Contains(text, "node 1 holds it") {
		t.Errorf("%d %s %s", w.Code, code, text)
	}
	w = ask(s, "POST", "/v1/leases", `{"address":"0x500000002000","mode":"r"}`)
	if got := w.Header().Get("Location"); w.Code != 201 || got != "/v1/leases/0x500000002000" {
		t.Errorf("%d %q", w.Code, got)
	}
	for _, request := range [][2]string{{"POST", "/v1/leases"}, {"DELETE", "/v1/leases/" + first}, {"POST", "/v1/sync"}} {
		w := ask(s, request[0], request[1], `{"address":"`+first+`","mode":"r"}`, "Idempotency-Key: k")
		if code, text := refusal(t, w); w.Code != 400 || code != "invalid_argument" || !strings.Contains(text, "remember none") {
			t.Errorf("%v: %d %s", request, w.Code, text)
		}
	}
}

// A large write says that some of it was absorbed, whichever piece that was.
func TestAbsorbedPiece(t *testing.T) {
	s, h := newServer(t, nil)
	w := ask(s, "POST", "/v1/malloc", `{"size":2097152}`)
	if w.Code != 201 {
		t.Fatal(w.Body)
	}
	h.leases = []message.Lease{{Address: 0x500000002000, Size: message.PageSize, Mode: "w", WriteBack: true}}
	w = ask(s, "PUT", "/v1/memory/0x500000002000", strings.Repeat("x", 2<<20))
	if got := strings.TrimSpace(w.Body.String()); got != `{"address":"0x500000002000","size":2097152,"index":1,"write_back":true}` {
		t.Errorf("%d %s", w.Code, got)
	}
}
