package web

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// Any bytes come back as they were written, however their text is escaped, and at any length up to the largest.
func TestValuesComeBack(t *testing.T) {
	s, h := newServer(t, nil)
	check := func(t rapid.TB, body string, value []byte) {
		if w := ask(s, "POST", "/write", body); w.Code != 200 {
			t.Fatalf("write %.80q: %d %.300s", body, w.Code, w.Body)
		}
		if !bytes.Equal(h.registers[5].Value, value) {
			t.Fatalf("%.80q stores %.80q; want %.80q", body, h.registers[5].Value, value)
		}
		var got struct {
			Addr  uint64
			Value *string
			Data  *[]byte
			Tag   message.Tag
		}
		w := ask(s, "GET", "/read/5", "")
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Addr != 5 || got.Tag != h.registers[5].Tag {
			t.Fatalf("read: %d %.300s, %v", w.Code, w.Body, err)
		}
		switch {
		case (got.Value == nil) == (got.Data == nil) || (got.Value != nil) != utf8.Valid(value):
			t.Fatalf("read answers value %v and data %v for %.80q", got.Value != nil, got.Data != nil, value)
		case got.Value != nil && *got.Value != string(value), got.Data != nil && !bytes.Equal(*got.Data, value):
			t.Fatalf("read answers other bytes than %.80q", value)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
		check(t, `{"data":"`+base64.StdEncoding.EncodeToString(value)+`","addr":5}`, value)
		plain := rapid.String().Draw(t, "text")
		quoted, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		check(t, ` {"value" :`+string(quoted)+"\n,\"\\u0061ddr\":5 }", []byte(plain))
	})
	most := message.MaxData
	check(t, `{"addr":5,"value":"`+strings.Repeat(`\u0000`, most)+`"}`, make([]byte, most))
	check(t, `{"addr":5,"value":"`+strings.Repeat("é", most/2)+`"}`, bytes.Repeat([]byte("é"), most/2))
	check(t, `{"addr":5,"data":"`+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, most))+`"}`, bytes.Repeat([]byte{0xff}, most))
	if len(s.transfers) != 0 || !h.deadline {
		t.Errorf("%d slots are left; each call had a deadline: %v", len(s.transfers), h.deadline)
	}
}

// Bodies of unknown length are read like others, and end at the same limits.
func TestBodiesOfUnknownLength(t *testing.T) {
	s, h, address := listen(t, nil)
	value := strings.Repeat("x", message.MaxData)
	for _, row := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/write", `{"addr":1,"value":"x"}`, 200},
		{"POST", "/write", `{"addr":2,"value":"` + value + `"}`, 200},
		{"POST", "/write", `{"addr":3,"value":"` + value + `x"}`, 413},
		{"POST", "/write", `{"addr":3,"value":"x"}` + strings.Repeat(" ", maxWrite), 413},
		{"PUT", "/v1/jobs/m", strings.Repeat("m", message.MaxJobModule), 200},
		{"PUT", "/v1/jobs/m", strings.Repeat("m", message.MaxJobModule+1), 413},
	} {
		status, body, err := do(t, row.method, "http://"+address+row.path, struct{ io.Reader }{strings.NewReader(row.body)})
		if status != row.status {
			t.Errorf("%s %.40q: %d %.200s, %v; want %d", row.path, row.body, status, body, err, row.status)
		}
	}
	if len(h.registers) != 2 || string(h.registers[2].Value) != value || len(h.modules["m"]) != message.MaxJobModule {
		t.Errorf("%d registers, %d bytes of value, %d of module", len(h.registers), len(h.registers[2].Value), len(h.modules["m"]))
	}
	if len(s.transfers) != 0 {
		t.Errorf("%d slots were not given back", len(s.transfers))
	}
	// Only what proves to be large needs a slot.
	for range cap(s.transfers) {
		s.transfers <- struct{}{}
	}
	for body, want := range map[string]int{`{"addr":1,"value":"y"}`: 200, `{"addr":1,"value":"` + value + `"}`: 503} {
		if status, _, err := do(t, "POST", "http://"+address+"/write?timeout=100ms", struct{ io.Reader }{strings.NewReader(body)}); status != want {
			t.Errorf("%d bytes without a slot: %d, %v; want %d", len(body), status, err, want)
		}
	}
}

// Pages of any size, one after another, are what the node stores, in order.
func TestPagesMakeTheRegisters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newFakeHeap()
		s, err := New(Config{Heap: h})
		if err != nil {
			t.Fatal(err)
		}
		address := rapid.OneOf(rapid.Uint64Range(0, 90), rapid.Uint64Range(1<<64-5, 1<<64-1))
		for range rapid.IntRange(0, 60).Draw(t, "writes") {
			if _, err := h.WriteRegister(t.Context(), address.Draw(t, "address"), nil); err != nil {
				t.Fatal(err)
			}
		}
		var want, got []uint64
		for a := range h.registers {
			if slices.Contains(keepers(a), 1) {
				want = append(want, a)
			}
		}
		slices.Sort(want)
		path := fmt.Sprintf("/v1/registers?node=1&limit=%d", rapid.SampledFrom([]int{1, 2, 7, maxPage}).Draw(t, "limit"))
		for from := ""; ; {
			var p registerPage
			if err := json.Unmarshal(ask(s, "GET", path+from, "").Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			for _, x := range p.Registers {
				got = append(got, x.Address)
			}
			if p.Next == nil {
				break
			}
			from = fmt.Sprintf("&from=%d", *p.Next)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages hold %v; want %v", got, want)
		}
	})
}

// The largest page has no room for the one row more that shows whether there is a next page.
func TestTheLargestPageGoesOn(t *testing.T) {
	s, h := newServer(t, nil)
	for a := range uint64(maxPage + 1) {
		if _, err := h.WriteRegister(t.Context(), 3*a+1, nil); err != nil {
			t.Fatal(err)
		}
	}
	var p registerPage
	if err := json.Unmarshal(ask(s, "GET", "/v1/registers?limit=1000", "").Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Registers) != maxPage || p.Next == nil || *p.Next != p.Registers[maxPage-1].Address+1 {
		t.Errorf("%d registers, next %v", len(p.Registers), p.Next)
	}
	// Behind the last address of all there is none.
	for i := range uint64(maxPage) {
		if _, err := h.WriteRegister(t.Context(), 1<<64-1-3*i, nil); err != nil {
			t.Fatal(err)
		}
	}
	p = registerPage{}
	if err := json.Unmarshal(ask(s, "GET", "/v1/registers?node=0&limit=1000&from=0xffffffff", "").Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Registers) != maxPage || p.Next != nil {
		t.Errorf("at the end: %d registers, next %v", len(p.Registers), p.Next)
	}
}

// registerRequests has one good request for each route of registers and jobs that asks the heap.
var registerRequests = []struct{ method, path, body string }{
	{"GET", "/read/1", ""}, {"POST", "/write", `{"addr":1,"value":"x"}`}, {"GET", "/registers/1", ""}, {"GET", "/v1/registers", ""},
	{"GET", "/v1/registers/1/place", ""}, {"GET", "/v1/register-members", ""}, {"PUT", "/v1/register-members", `{"nodes":[0]}`},
	{"GET", "/v1/jobs", ""}, {"POST", "/v1/jobs", `{"job":"sum","addresses":[]}`}, {"PUT", "/v1/jobs/m", "x"}, {"DELETE", "/v1/jobs/m", ""},
}

// Who sends an Idempotency-Key where nobody remembers it is told so, and nothing is done.
func TestKeysOfRegistersAreRefused(t *testing.T) {
	s, h := newServer(t, nil)
	for _, row := range registerRequests {
		w := ask(s, row.method, row.path, row.body, "Idempotency-Key: k")
		if row.method == "GET" {
			continue
		}
		if code, text := refusal(t, w); w.Code != 400 || code != "invalid_argument" || !strings.Contains(text, "takes no Idempotency-Key") {
			t.Errorf("%s %s: %d %s", row.method, row.path, w.Code, w.Body)
		}
	}
	if len(h.registers)+len(h.modules)+len(h.asked) != 0 || h.members.Epoch != 1 {
		t.Errorf("refused requests changed something")
	}
}

func TestErrorsOfRegisters(t *testing.T) {
	s, h := newServer(t, nil)
	h.broken = message.Errorf(message.Unavailable, "2 of 3 replicas do not answer")
	for _, row := range registerRequests {
		w := ask(s, row.method, row.path, row.body)
		if code, text := refusal(t, w); w.Code != 503 || code != "unavailable" || !strings.Contains(text, "2 of 3") || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s", row.method, row.path, w.Code, w.Body)
		}
	}
	// A node that has nothing says so, also when it cannot find out who has.
	h.broken = message.Errorf(message.NotWritten, "nothing is here")
	if w := ask(s, "GET", "/registers/1", ""); w.Code != 404 || !strings.Contains(w.Body.String(), "nothing is here") {
		t.Errorf("a stored register without its place: %d %s", w.Code, w.Body)
	}
	if !h.deadline {
		t.Error("a call had no deadline")
	}
}

// W3: the routes of registers and jobs count among the requests under way.
func TestTooManyRegisterRequests(t *testing.T) {
	s, h := newServer(t, func(c *Config) { c.Limits.Open = 1 })
	h.held, h.letGo = make(chan struct{}), make(chan struct{})
	done := make(chan int)
	go func() { done <- ask(s, "GET", "/read/1?timeout=30s", "").Code }()
	<-h.held
	for _, row := range registerRequests {
		w := ask(s, row.method, row.path, row.body)
		if code, _ := refusal(t, w); w.Code != 503 || code != "busy" || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s", row.method, row.path, w.Code, w.Body)
		}
	}
	if w := ask(s, "GET", "/status/", ""); w.Code != 200 || w.Body.String() != "pong" {
		t.Errorf("status: %d %s", w.Code, w.Body)
	}
	close(h.letGo)
	if code := <-done; code != 404 {
		t.Errorf("the first request: %d", code)
	}
}

// W3: a body takes a slot for each MiB. Those who need several do not wait for each other with a part each.
func TestLargeBodiesTakeSeveralSlots(t *testing.T) {
	s, h := newServer(t, func(c *Config) { c.Limits.Transfers = 3 })
	body := `{"addr":1,"value":"` + strings.Repeat(`\u0000`, message.MaxData/3) + `"}` // 2 MiB and a little: 3 slots
	s.transfers <- struct{}{}
	if w := ask(s, "POST", "/write?timeout=10ms", body); w.Code != 503 || !strings.Contains(w.Body.String(), "3 MiB") {
		t.Errorf("beside another transfer: %d %s", w.Code, w.Body)
	}
	s.gathering <- struct{}{}
	if w := ask(s, "POST", "/write?timeout=10ms", body); w.Code != 503 {
		t.Errorf("beside another that gathers: %d %s", w.Code, w.Body)
	}
	if len(h.registers) != 0 || len(s.transfers) != 1 {
		t.Errorf("%d registers, %d slots taken", len(h.registers), len(s.transfers))
	}
	<-s.gathering
	<-s.transfers
	codes := make(chan int)
	for range 8 {
		go func() { codes <- ask(s, "POST", "/write?timeout=30s", body).Code }()
	}
	for range 8 {
		if code := <-codes; code != 200 {
			t.Errorf("at once with others: %d", code)
		}
	}
	// What is larger than all slots together takes them all.
	if w := ask(s, "PUT", "/v1/jobs/m", strings.Repeat("m", 5<<20)); w.Code != 200 {
		t.Errorf("5 MiB: %d %s", w.Code, w.Body)
	}
	if len(s.transfers)+len(s.gathering) != 0 {
		t.Errorf("%d slots were not given back", len(s.transfers))
	}
}

// Moves and jobs have more time than other requests, by themselves and if they ask for it.
func TestPatience(t *testing.T) {
	s, _ := newServer(t, nil)
	for name, want := range map[string]time.Duration{"spreadRegisters": 10 * time.Minute, "runJob": 10 * time.Second, "addJob": 30 * time.Second, "readRegister": 0} {
		i := slices.IndexFunc(s.routes, func(rt route) bool { return rt.name == name })
		if s.routes[i].patience != want {
			t.Errorf("%s waits %v", name, s.routes[i].patience)
		}
	}
}

// A body that stops or is too long by its Content-Length is refused before anything is done.
func TestSlowAndLongWrites(t *testing.T) {
	_, h, address := listen(t, func(c *Config) { c.Limits.Stall = 50 * time.Millisecond })
	for request, want := range map[string]string{
		"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n{\"addr\":1,":                             " 408 ",
		"POST /write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n":                    " 408 ",
		"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n\r\n{":                       " 413 ",
		"PUT /v1/jobs/m HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16777217\r\n\r\nx":                               " 413 ",
		"PUT /v1/jobs/m HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16777216\r\n\r\nx":                               " 408 ",
		"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n{":                                  " 413 ",
		"POST /write HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil\r\nContent-Length: 22\r\n\r\n{\"addr\":1,\"val": " 403 ",
	} {
		if line := raw(t, address, request); !strings.Contains(line, want) {
			t.Errorf("%.90q: %q; want%s", request, line, want)
		}
	}
	if len(h.registers)+len(h.modules) != 0 {
		t.Errorf("%d registers, %d modules", len(h.registers), len(h.modules))
	}
}

// A client that hangs up ends what its request waits for.
func TestHangingUpEndsARead(t *testing.T) {
	s, h, address := listen(t, nil)
	h.held = make(chan struct{})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /read/1?timeout=30s HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-h.held
	c.Close()
	s.gate.close() // returns when the handler has
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
		t.Error("an answer came on a closed connection")
	}
}
