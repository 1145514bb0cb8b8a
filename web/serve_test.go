package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

// listen serves on a port of this machine and returns its address.
func listen(t *testing.T, change func(*Config)) (*Server, *fakeHeap, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, h := newServer(t, func(c *Config) {
		c.Listener = l
		if change != nil {
			change(c)
		}
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		_ = s.Close(context.Background())
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, h, l.Addr().String()
}

// raw sends bytes and reads the status line of the answer, "" if there is none.
func raw(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return ""
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

// do makes a request over the network and returns its status and body, or how much came before it broke off.
func do(t *testing.T, method, url string, body io.Reader) (int, []byte, error) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	return w.StatusCode, b, err
}

func TestLargeTransfers(t *testing.T) {
	_, h, address := listen(t, nil)
	size := 3*message.MaxData + 5
	if _, err := h.Malloc(context.Background(), uint64(size)); err != nil {
		t.Fatal(err)
	}
	url := "http://" + address + "/v1/memory/0x500000002000"
	data := make([]byte, size+1)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}

	// W1: one byte too many changes nothing, and neither does a long body of unknown length.
	if status, body, err := do(t, "PUT", url, bytes.NewReader(data)); status != 400 {
		t.Errorf("a byte too many: %d %s %v", status, body, err)
	}
	if status, body, err := do(t, "PUT", url, struct{ io.Reader }{bytes.NewReader(data[:size])}); status != 411 {
		t.Errorf("a long body without Content-Length: %d %s %v", status, body, err)
	}
	if len(h.writes) != 0 {
		t.Fatalf("refused writes were begun: %v", h.writes)
	}
	if status, body, err := do(t, "PUT", url, struct{ io.Reader }{bytes.NewReader(data[:1000])}); status != 200 {
		t.Errorf("a short body without Content-Length: %d %s %v", status, body, err)
	}

	h.writes = nil
	status, body, err := do(t, "PUT", url, bytes.NewReader(data[:size]))
	if status != 200 || !strings.Contains(string(body), fmt.Sprintf(`"size":%d,"index":5}`, size)) {
		t.Errorf("write: %d %s %v", status, body, err)
	}
	if fmt.Sprint(h.writes) != fmt.Sprint([]int{message.MaxData, message.MaxData, message.MaxData, 5}) {
		t.Errorf("pieces: %v", h.writes)
	}
	status, body, err = do(t, "GET", url, nil)
	if status != 200 || err != nil || !bytes.Equal(body, data[:size]) {
		t.Errorf("read: %d, %d bytes, %v", status, len(body), err)
	}
	w, err := http.Head(url)
	if err != nil || w.StatusCode != 200 || w.ContentLength != int64(size) {
		t.Errorf("head: %v %v", w, err)
	}
}

// A body over the limit is refused by its Content-Length, before it is sent.
func TestBodyOverTheLimit(t *testing.T) {
	_, h, address := listen(t, func(c *Config) { c.Limits.Body, c.Limits.Stall = 10, 200*time.Millisecond })
	for _, request := range []string{
		"PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n",
		"PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n\r\n",
		"POST /v1/malloc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n",
	} {
		if line := raw(t, address, request); !strings.Contains(line, " 413 ") {
			t.Errorf("%q: %s", request, line)
		}
	}
	if len(h.writes)+len(h.all) != 1 {
		t.Errorf("%d writes, %d allocations", len(h.writes), len(h.all))
	}
}

// What fails half-way says how much stands, and bytes that break off do not look whole.
func TestHalfWay(t *testing.T) {
	_, h, address := listen(t, nil)
	if _, err := h.Malloc(context.Background(), 2*message.MaxData); err != nil {
		t.Fatal(err)
	}
	gone := message.Errorf(message.Unavailable, "company 1 has no majority")
	url := "http://" + address + "/v1/memory/0x500000002000"

	h.failures["write"] = []error{nil, gone}
	status, body, err := do(t, "PUT", url, bytes.NewReader(make([]byte, 2*message.MaxData)))
	if status != 503 || !strings.Contains(string(body), "the first 1048576 of 2097152 bytes are written, then: company 1") {
		t.Errorf("write: %d %s %v", status, body, err)
	}
	h.failures["read"] = []error{gone}
	if status, _, _ := do(t, "GET", url, nil); status != 503 {
		t.Errorf("a read that fails at once: %d", status)
	}
	h.failures["read"] = []error{nil, gone}
	if status, body, err := do(t, "GET", url, nil); status != 200 || err == nil || len(body) > message.MaxData {
		t.Errorf("a read that fails half-way: %d, %d bytes, %v", status, len(body), err)
	}
}

// W2: who sends no more of a body is told so.
func TestSlowBody(t *testing.T) {
	_, h, address := listen(t, func(c *Config) { c.Limits.Stall = 50 * time.Millisecond })
	for _, request := range []string{
		"PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
		"PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"POST /v1/malloc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{\"size",
	} {
		if line := raw(t, address, request); !strings.Contains(line, " 408 ") {
			t.Errorf("%q: %s", request, line)
		}
	}
	if len(h.writes)+len(h.all) != 1 {
		t.Errorf("half a body changed something: %d writes, %d allocations", len(h.writes), len(h.all))
	}
	// A body that nobody reads ends too: the connection is closed.
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
	if b, err := io.ReadAll(c); !strings.Contains(string(b), "200 OK") {
		t.Errorf("%q, %v", b, err)
	}
}

// What is no HTTP costs only its connection.
func TestRandomBytes(t *testing.T) {
	_, _, address := listen(t, nil)
	for seed := range uint64(50) {
		dice := rand.New(rand.NewPCG(seed, 1))
		junk := make([]byte, dice.IntN(300)+4)
		for i := range junk {
			junk[i] = byte(dice.Uint32())
		}
		if line := raw(t, address, string(junk)+"\r\n\r\n"); strings.Contains(line, " 200 ") {
			t.Errorf("seed %d: %q is answered %s", seed, junk, line)
		}
	}
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\n\r\n", // no Host
		"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		"PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		if line := raw(t, address, request); !strings.HasPrefix(line, "HTTP/1.1 4") && !strings.HasPrefix(line, "HTTP/1.1 5") {
			t.Errorf("%.80q: %s", request, line)
		}
	}
	if status, _, err := do(t, "GET", "http://"+address+"/healthz", nil); status != 200 {
		t.Errorf("afterwards: %d, %v", status, err)
	}
}

// W3: more requests than may be open get 503, and probes still get through. Close cuts those that are left.
func TestTooManyAtOnceAndClose(t *testing.T) {
	s, h, address := listen(t, func(c *Config) { c.Limits.Open = 2 })
	if _, err := h.Malloc(context.Background(), 2*message.MaxData); err != nil {
		t.Fatal(err)
	}
	h.waiting, h.ended = make(chan struct{}), make(chan error, 2)
	answers := make(chan string, 2)
	for _, request := range []string{
		"POST /v1/malloc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{\"size\":1}",
		// Half of the body is still to come, so net/http does not watch whether the client hangs up.
		"PUT /v1/memory/0x500000002000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2097152\r\n\r\n" + strings.Repeat("x", message.MaxData),
	} {
		go func() { answers <- raw(t, address, request) }()
		<-h.waiting
	}
	r, err := http.Get("http://" + address + "/v1/nodes")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("the third request: %d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status, _, err := do(t, "GET", "http://"+address+path, nil); status != 200 {
			t.Errorf("%s: %d, %v", path, status, err)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	if s.gate.open() != 0 {
		t.Errorf("%d handlers outlive Close", s.gate.open())
	}
	for range 2 {
		if line := <-answers; strings.Contains(line, " 20") {
			t.Errorf("a cut request was answered %s", line)
		}
		if err := <-h.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("what a handler waited for ended with %v", err)
		}
	}
	if w := ask(s, "GET", "/v1/nodes", ""); w.Code != 503 {
		t.Errorf("after Close: %d", w.Code)
	}
}

// W3: large buffers are few; who gets none in time is told to come again.
func TestTooManyTransfers(t *testing.T) {
	s, h := newServer(t, func(c *Config) { c.Limits.Transfers = 1 })
	if _, err := h.Malloc(context.Background(), message.MaxData); err != nil {
		t.Fatal(err)
	}
	s.transfers <- struct{}{}
	for _, method := range []string{"GET", "PUT"} {
		w := ask(s, method, "/v1/memory/0x500000002000?timeout=10ms", strings.Repeat("x", message.MaxData))
		if code, _ := refusal(t, w); w.Code != 503 || code != "busy" {
			t.Errorf("%s: %d %s", method, w.Code, code)
		}
		if w := ask(s, method, "/v1/memory/"+first, "x"); w.Code != 200 {
			t.Errorf("a small %s: %d", method, w.Code)
		}
	}
	<-s.transfers
	if w := ask(s, "GET", "/v1/memory/0x500000002000", ""); w.Code != 200 || w.Body.Len() != message.MaxData {
		t.Errorf("afterwards: %d", w.Code)
	}
	if len(s.transfers) != 0 {
		t.Error("a slot was not given back")
	}
}

// A key names one request: repeated it is done once, and another request under the same key is another one.
func TestIdempotencyKey(t *testing.T) {
	s, h := newServer(t, nil)
	malloc := func(key, body string) string {
		return ask(s, "POST", "/v1/malloc", body, "Idempotency-Key: "+key).Body.String()
	}
	a := malloc("k1", `{"size":10}`)
	if again := malloc("k1", `{ "size": 10 }`); again != a || len(h.all) != 2 {
		t.Errorf("the repetition answers %s after %s; %d allocations", again, a, len(h.all))
	}
	if other := malloc("k2", `{"size":10}`); other == a {
		t.Errorf("another key got %s", other)
	}
	if other := malloc("k1", `{"size":20}`); other == a || !strings.Contains(other, `"size":20`) {
		t.Errorf("another size got %s", other)
	}
	h.ids = nil
	if _, err := h.Malloc(context.Background(), 2*message.MaxData); err != nil {
		t.Fatal(err)
	}
	large := "/v1/memory/" + h.all[len(h.all)-1].Address.String()
	for range 2 {
		if w := ask(s, "PUT", large, strings.Repeat("x", 2*message.MaxData), "Idempotency-Key: k"); w.Code != 200 {
			t.Fatalf("write: %d %s", w.Code, w.Body)
		}
	}
	seen := map[message.ClientID]int{}
	for _, id := range h.ids {
		seen[id]++
	}
	if len(h.ids) != 2*len(seen) || len(seen) != 2 {
		t.Errorf("two writes of two pieces had the ids %v", h.ids)
	}
	for _, row := range []struct{ method, path, body string }{
		{"POST", "/v1/malloc", `{"size":10}`}, {"DELETE", "/v1/allocations/" + first, ""}, {"PUT", "/v1/memory/" + first, "x"},
		{"POST", "/v1/memory/" + first + "/add", `{"delta":1}`},
	} {
		for _, headers := range [][]string{{"Idempotency-Key: "}, {"Idempotency-Key: " + strings.Repeat("k", 256)}, {"Idempotency-Key: a", "Idempotency-Key: b"}} {
			if w := ask(s, row.method, row.path, row.body, headers...); w.Code != 400 {
				t.Errorf("%s %s with %.40q: %d", row.method, row.path, headers, w.Code)
			}
		}
	}
}
