package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"dmalloc/message"
)

// first is the address of the first allocation of a fakeHeap.
const first = "0x500000001000"

// newServer is a Server over a heap with one allocation of 100 bytes.
func newServer(t testing.TB, change func(*Config)) (*Server, *fakeHeap) {
	t.Helper()
	h := newFakeHeap()
	if _, err := h.Malloc(context.Background(), 100); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Heap: h, Control: &fakeControl{}, Node: 2, Names: []string{"Heap.Example."},
		Graph:   func(_ context.Context, what string) (string, error) { return "graph " + what + " {}\n", nil },
		Metrics: func(w io.Writer) { fmt.Fprintln(w, "node_says 1") }}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s, h
}

// ask makes one request without a network. Headers are "Name: value".
func ask(s *Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://127.0.0.1:8000/", strings.NewReader(body))
	r.Method = method // any word, which NewRequest would not take
	raw, query, _ := strings.Cut(path, "?")
	r.URL.Path, r.URL.RawQuery = raw, query
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// refusal reads an error's answer.
func refusal(t testing.TB, w *httptest.ResponseRecorder) (code, text string) {
	t.Helper()
	var body struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error.Code == "" || body.Error.Message == "" {
		t.Fatalf("status %d without an error object: %q (%v)", w.Code, w.Body, err)
	}
	return body.Error.Code, body.Error.Message
}

// goodRequest is a request to a route and what answers it; "…" stands for anything.
type goodRequest struct {
	name, method, path, body string
	status                   int
	want                     string
}

// badRequest is a request that is refused, and what the error says.
type badRequest struct {
	method, path, body string
	status             int
	code, says         string
}

func TestGoodRequests(t *testing.T) {
	described := `{"address":"` + first + `","size":100,"state":"allocated","blocks":[{"address":"` + first + `","size":100,"company":1,"nodes":[0,1]}]`
	// In this order: later rows meet what earlier ones made.
	rows := []goodRequest{
		{"malloc", "POST", "/v1/malloc", `{"size":100}`, 201,
			`{"address":"0x500000002000","size":100,"blocks":[{"address":"0x500000002000","size":100,"company":2,"nodes":[0,2]}]}`},
		{"malloc", "POST", "/v1/malloc?timeout=30", " {\n\"size\" : 1 } ", 201, `{"address":"0x500000003000",…`},
		{"listAllocations", "GET", "/v1/allocations?limit=1", "", 200, `{"allocations":[` + described + `}],"next":"0x500000002000"}`},
		{"listAllocations", "GET", "/v1/allocations?from=0x500000000000&company=2&node=2&state=allocated", "", 200, `{"allocations":[{"address":"0x500000002000",…}]}`},
		{"listAllocations", "GET", "/v1/allocations?state=part", "", 200, `{"allocations":[]}`},
		{"getAllocation", "GET", "/v1/allocations/0x500000001010", "", 200, described + `,"companies":[{"id":1,"owners":[0,1],"leader":1,"term":7}]}`},
		{"write", "PUT", "/v1/memory/" + first, "hello", 200, `{"address":"` + first + `","size":5,"index":1}`},
		{"read", "GET", "/v1/memory/87960930226176?size=5&timeout=500ms", "", 200, "hello"},
		{"read", "GET", "/v1/memory/0x500000001003", "", 200, "lo" + strings.Repeat("\x00", 95)},
		{"compareAndSwap", "POST", "/v1/memory/0x500000001008/cas", `{"old":"0","new":"0xFFFFFFFFFFFFFFFF"}`, 200, `{"address":"0x500000001008","swapped":true,"current":"18446744073709551615"}`},
		{"compareAndSwap", "POST", "/v1/memory/0x500000001008/cas", `{"new":5,"old":0}`, 200, `{"address":"0x500000001008","swapped":false,"current":"18446744073709551615"}`},
		{"fetchAdd", "POST", "/v1/memory/0x500000001008/add", `{"delta":3}`, 200, `{"address":"0x500000001008","old":"18446744073709551615"}`},
		{"fetchAdd", "POST", "/v1/memory/0x500000001008/add", `{"delta":"-1"}`, 200, `{"address":"0x500000001008","old":"2"}`},
		{"free", "DELETE", "/v1/allocations/" + first, "", 204, ""},
		{"listNodes", "GET", "/v1/nodes", "", 200, `{"nodes":[{"id":0,"state":"alive","pid":42,…"leads":[],"owns":[],…]}`},
		{"clusterStatus", "GET", "/v1/status", "", 200, `{"verdict":"unavailable: the directory (company 0) has no majority; revive 0",…"revive":[[0]],…}`},
		{"listCompanies", "GET", "/v1/companies", "", 200, `{"companies":[{"id":0,…"owners":[0,1],"leader":1,"term":7,…]}`},
		{"listLeaders", "GET", "/v1/leaders", "", 200, `{"leaders":[]}`},
		{"graph", "GET", "/v1/graph.dot", "", 200, "graph allocations {}"},
		{"graph", "GET", "/v1/graph.dot?what=cluster", "", 200, "graph cluster {}"},
		{"addNode", "POST", "/v1/nodes", `{"host":"alpha"}`, 201, `{"id":3,"state":"alive",…`},
		{"addNode", "POST", "/v1/nodes", "", 201, `{"id":3,…`},
		{"removeNode", "DELETE", "/v1/nodes/2", "", 200, `{"node":2,"done":true,"left":0,"of":2,"text":""}`},
		{"kill", "POST", "/v1/nodes/0/kill", "", 200, `{"node":0,"ms":…}`},
		{"revive", "POST", "/v1/nodes/1/revive", "{}", 200, `{"node":1,"ms":…}`},
		{"pause", "POST", "/v1/nodes/2/pause", "", 200, `{"node":2,…`},
		{"kill", "POST", "/v1/nodes/0/kill", `{"for":"5s"}`, 200, `{"node":0,"ms":…}`},
		{"pause", "POST", "/v1/nodes/2/pause", `{"for":"50ms"}`, 200, `{"node":2,…`},
		{"pause", "POST", "/v1/nodes/2/pause", `{}`, 200, `{"node":2,…`},
		{"resume", "POST", "/v1/nodes/2/resume", "", 200, `{"node":2,…`},
		{"index", "GET", "/v1", "", 200, `{"node":2,"routes":[{"method":"POST","path":"/v1/malloc",…`},
		{"metrics", "GET", "/metrics", "", 200, `…dmalloc_http_requests_total{route="POST /v1/malloc",code="201"} 2…node_says 1`},
		{"healthz", "GET", "/healthz", "", 200, `{"ok":true,"node":2}`},
		{"readyz", "GET", "/readyz", "", 200, `{"ok":true,"node":2}`},
		{"openapi", "GET", "/openapi.json", "", 200, `…"openapi": "3.1.0"…`},
	}
	s, _ := newServer(t, nil)
	rows = slices.Concat(rows, goodRegisterRequests, goodFaultRequests, goodLeaseRequests, goodRecoverRequests)
	seen := map[string]bool{}
	for _, row := range rows {
		seen[row.name] = true
		w := ask(s, row.method, row.path, row.body, "Content-Type: nonsense")
		got := strings.TrimSuffix(w.Body.String(), "\n")
		if w.Code != row.status || !like(row.want, got) {
			t.Errorf("%s %s: %d %.300q; want %d %q", row.method, row.path, w.Code, got, row.status, row.want)
		}
		if w.Code == 200 && w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%s %s: Content-Length %q of %d bytes", row.method, row.path, w.Header().Get("Content-Length"), w.Body.Len())
		}
		rt, _, err := s.find(newAnswer(httptest.NewRecorder(), 0), httptest.NewRequest(row.method, strings.Split(row.path, "?")[0], nil))
		if err != nil || rt.name != row.name {
			t.Errorf("%s %s goes to %v, %v; want %s", row.method, row.path, rt, err, row.name)
			continue
		}
		if rt.answer != nil {
			conforms(t, rt, w.Body.Bytes())
		}
		if rt.method == "GET" && w.Header().Get("Content-Type") == "" {
			t.Errorf("%s %s has no content type", row.method, row.path)
		}
	}
	for _, rt := range s.routes {
		if !seen[rt.name] {
			t.Errorf("no request of this table goes to %s", rt.name)
		}
	}
}

// like compares with a pattern in which … stands for anything.
func like(pattern, s string) bool {
	parts := strings.Split(pattern, "…")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

func TestBadRequests(t *testing.T) {
	long := strings.Repeat(" ", 64<<10) + `{"size":1}`
	rows := []badRequest{
		{"POST", "/v1/malloc", "", 400, "invalid_argument", "not one JSON value"},
		{"POST", "/v1/malloc", "{", 400, "invalid_argument", "not one JSON value"},
		{"POST", "/v1/malloc", "[]", 400, "invalid_argument", "not a JSON object"},
		{"POST", "/v1/malloc", "100", 400, "invalid_argument", "not a JSON object"},
		{"POST", "/v1/malloc", "{}", 400, "invalid_argument", `"size" is missing`},
		{"POST", "/v1/malloc", `{"size":0}`, 400, "invalid_argument", "at least 1"},
		{"POST", "/v1/malloc", `{"size":-1}`, 400, "invalid_argument", "not -1"},
		{"POST", "/v1/malloc", `{"size":1e30}`, 400, "invalid_argument", "not 1e30"},
		{"POST", "/v1/malloc", `{"size":1.5}`, 400, "invalid_argument", "not 1.5"},
		{"POST", "/v1/malloc", `{"size":18446744073709551616}`, 400, "invalid_argument", "whole number"},
		{"POST", "/v1/malloc", `{"size":"100"}`, 400, "invalid_argument", "whole number"},
		{"POST", "/v1/malloc", `{"size":null}`, 400, "invalid_argument", "not null"},
		{"POST", "/v1/malloc", `{"size":true}`, 400, "invalid_argument", "not true"},
		{"POST", "/v1/malloc", `{"size":[1]}`, 400, "invalid_argument", "not an array"},
		{"POST", "/v1/malloc", `{"size":{}}`, 400, "invalid_argument", "not an object"},
		{"POST", "/v1/malloc", `{"Size":1}`, 400, "invalid_argument", `"Size" is not known`},
		{"POST", "/v1/malloc", `{"size":1,"align":2}`, 400, "invalid_argument", `"align" is not known`},
		{"POST", "/v1/malloc", `{"size":1,"size":1}`, 400, "invalid_argument", "twice"},
		{"POST", "/v1/malloc", `{"size":1}{"size":1}`, 400, "invalid_argument", "not one JSON value"},
		{"POST", "/v1/malloc", `{"size":1} x`, 400, "invalid_argument", "not one JSON value"},
		{"POST", "/v1/malloc", "\xef\xbb\xbf{\"size\":1}", 400, "invalid_argument", "not one JSON value"},
		{"POST", "/v1/malloc", long, 413, "too_large", "64KiB"},
		{"POST", "/v1/malloc", `{"size":18446744073709551615}`, 507, "out_of_memory", ""},
		{"POST", "/v1/malloc?size=1", `{"size":1}`, 400, "invalid_argument", "timeout"},
		{"POST", "/v1/malloc?timeout=31", `{"size":1}`, 400, "invalid_argument", "30s"},
		{"POST", "/v1/malloc?timeout=-1s", `{"size":1}`, 400, "invalid_argument", ""},
		{"POST", "/v1/malloc?timeout=1&timeout=2", `{"size":1}`, 400, "invalid_argument", "2 times"},
		{"POST", "/v1/malloc?timeout=%zz", `{"size":1}`, 400, "invalid_argument", "query"},
		{"GET", "/v1/malloc", "", 405, "method_not_allowed", "use POST"},
		{"PUT", "/v1/malloc", "", 405, "method_not_allowed", "use POST"},
		{"OPTIONS", "/v1/nodes", "", 405, "method_not_allowed", "use GET, HEAD"},
		{"POST", "/v1/allocations/" + first, "", 405, "method_not_allowed", "use DELETE, GET, HEAD"},
		{"HEAD", "/v1/nodes/0/kill", "", 405, "method_not_allowed", ""},
		{"GET", "/", "", 404, "not_found", "GET /v1"},
		{"GET", "/v1/", "", 404, "not_found", ""},
		{"GET", "/v1/memory/", "", 404, "not_found", ""},
		{"GET", "/v1/memory//cas", "", 404, "not_found", ""},
		{"GET", "/v2/nodes", "", 404, "not_found", ""},
		{"GET", "/debug/pprof/", "", 404, "not_found", ""},
		{"DELETE", "/v1/allocations/xyz", "", 400, "invalid_argument", "not an address"},
		{"DELETE", "/v1/allocations/0x500000009000", "", 404, "not_allocated", ""},
		{"DELETE", "/v1/allocations/" + first, "{\"force\":1}", 400, "invalid_argument", "no body"},
		{"GET", "/v1/allocations/-1", "", 400, "invalid_argument", ""},
		{"GET", "/v1/allocations/1", "", 404, "not_allocated", ""},
		{"GET", "/v1/allocations?limit=0", "", 400, "invalid_argument", "1 to 1000"},
		{"GET", "/v1/allocations?limit=1001", "", 400, "invalid_argument", ""},
		{"GET", "/v1/allocations?from=x", "", 400, "invalid_argument", "address"},
		{"GET", "/v1/allocations?company=0", "", 400, "invalid_argument", ""},
		{"GET", "/v1/allocations?node=-1", "", 400, "invalid_argument", ""},
		{"GET", "/v1/allocations?state=lost", "", 400, "invalid_argument", "not a state"},
		{"GET", "/v1/memory/zz", "", 400, "invalid_argument", ""},
		{"GET", "/v1/memory/" + first + "?size=0", "", 400, "invalid_argument", "0 bytes"},
		{"GET", "/v1/memory/" + first + "?size=-1", "", 400, "invalid_argument", ""},
		{"GET", "/v1/memory/" + first + "?size=1e30", "", 400, "invalid_argument", ""},
		{"GET", "/v1/memory/" + first + "?size=101", "", 400, "out_of_bounds", "has 100 bytes"},
		{"GET", "/v1/memory/" + first + "?size=18446744073709551615", "", 400, "out_of_bounds", ""},
		{"GET", "/v1/memory/0x500000009000?size=1", "", 404, "not_allocated", ""},
		{"PUT", "/v1/memory/" + first, "", 400, "invalid_argument", "0 bytes"},
		{"PUT", "/v1/memory/" + first, strings.Repeat("x", 101), 400, "out_of_bounds", "has 100 bytes"},
		{"PUT", "/v1/memory/0x500000001063", "xy", 400, "out_of_bounds", "has 1 bytes"},
		{"PUT", "/v1/memory/0", "x", 404, "not_allocated", ""},
		{"PUT", "/v1/memory/0x", "x", 400, "invalid_argument", ""},
		{"POST", "/v1/memory/0x500000001001/add", `{"delta":1}`, 400, "invalid_argument", "multiple of 8"},
		{"POST", "/v1/memory/0x500000001060/add", `{"delta":1}`, 400, "out_of_bounds", ""},
		{"POST", "/v1/memory/" + first + "/add", `{"delta":"x"}`, 400, "invalid_argument", ""},
		{"POST", "/v1/memory/" + first + "/add", `{"delta":"-9223372036854775809"}`, 400, "invalid_argument", ""},
		{"POST", "/v1/memory/" + first + "/cas", `{"old":-1,"new":0}`, 400, "invalid_argument", ""},
		{"POST", "/v1/memory/" + first + "/cas", `{"old":1}`, 400, "invalid_argument", `"new" is missing`},
		{"GET", "/v1/graph.dot?what=moon", "", 400, "invalid_argument", "elections"},
		{"POST", "/v1/nodes/x/kill", "", 400, "invalid_argument", ""},
		{"POST", "/v1/nodes/-1/kill", "", 400, "invalid_argument", ""},
		{"POST", "/v1/nodes/4294967295/kill", "", 404, "no_such_node", ""},
		{"POST", "/v1/nodes/3/kill", "", 404, "no_such_node", ""},
		{"POST", "/v1/nodes/1/kill", "", 409, "already_dead", ""},
		{"POST", "/v1/nodes/0/revive", "", 409, "already_alive", ""},
		{"POST", "/v1/nodes/0/kill", "now", 400, "invalid_argument", ""},
		{"POST", "/v1/nodes/0/kill", `{"for":"0s"}`, 400, "invalid_argument", "such as 5s"},
		{"POST", "/v1/nodes/0/pause", `{"for":5}`, 400, "invalid_argument", "must be a string"},
		{"POST", "/v1/nodes/0/pause", `{"until":"5s"}`, 400, "invalid_argument", ""},
		{"POST", "/v1/nodes/0/eat", "", 404, "not_found", ""},
		{"POST", "/v1/nodes", `{"host":"nowhere"}`, 400, "invalid_argument", "no free slot"},
		{"POST", "/v1/nodes", `{"at":"alpha"}`, 400, "invalid_argument", ""},
		{"DELETE", "/v1/nodes/9", "", 404, "no_such_node", "node 9"},
		{"DELETE", "/v1/nodes/x", "", 400, "invalid_argument", ""},
	}
	s, h := newServer(t, nil)
	for _, row := range slices.Concat(rows, badRegisterRequests, badFaultRequests, badLeaseRequests, badRecoverRequests) {
		w := ask(s, row.method, row.path, row.body)
		code, text := refusal(t, w)
		if w.Code != row.status || code != row.code || !strings.Contains(text, row.says) {
			t.Errorf("%s %s %.40q: %d %s %q; want %d %s …%s…", row.method, row.path, row.body, w.Code, code, text, row.status, row.code, row.says)
		}
		if (w.Code == 405) != (w.Header().Get("Allow") != "") {
			t.Errorf("%s %s: %d with Allow %q", row.method, row.path, w.Code, w.Header().Get("Allow"))
		}
	}
	// W1: nothing has changed.
	if len(h.all) != 1 || len(h.writes) != 0 || string(h.bytes[h.all[0].Address]) != strings.Repeat("\x00", 100) {
		t.Errorf("refused requests left %d allocations and %d writes", len(h.all), len(h.writes))
	}
	if len(h.registers) != 0 || len(h.modules) != 0 || h.members.Epoch != 1 {
		t.Errorf("refused requests left %d registers, %d modules and epoch %d", len(h.registers), len(h.modules), h.members.Epoch)
	}
	if w := ask(s, "DELETE", "/v1/allocations/"+first, ""); w.Code != 204 {
		t.Errorf("free: %d", w.Code)
	}
	if w := ask(s, "DELETE", "/v1/allocations/"+first, ""); w.Code != 409 {
		t.Errorf("free again: %d", w.Code)
	}
}

func TestSameSite(t *testing.T) {
	s, _ := newServer(t, nil)
	for _, row := range []struct {
		headers string
		want    int
	}{
		{"Host: 127.0.0.1:8000", 200},
		{"Host: [::1]:8000", 200},
		{"Host: [::1]", 200},
		{"Host: 10.1.2.3", 200},
		{"Host: localhost:8000", 200},
		{"Host: LOCALHOST.", 200},
		{"Host: heap.example:8000", 200},
		{"Host: evil.example", 403},
		{"Host: evil.example:8000", 403},
		{"Host: localhost.evil.example", 403},
		{"Host: 127.0.0.1.evil.example", 403},
		{"Host: 127.0.0.1:8000|Origin: http://127.0.0.1:8000", 200},
		{"Host: localhost:8000|Origin: http://LOCALHOST:8000", 200},
		{"Host: 127.0.0.1:8000|Origin: http://127.0.0.1:9000", 403},
		{"Host: 127.0.0.1:8000|Origin: http://evil.example", 403},
		{"Host: 127.0.0.1:8000|Origin: null", 403},
		{"Host: 127.0.0.1:8000|Origin: http://127.0.0.1:8000|Origin: http://evil.example", 403},
		{"Host: 127.0.0.1:8000|Origin: %zz", 403},
		{"Host: evil.example|Origin: http://evil.example", 403},
	} {
		for _, path := range []string{"/v1/nodes", "/healthz"} {
			w := ask(s, "GET", path, "", strings.Split(row.headers, "|")...)
			if w.Code != row.want {
				t.Errorf("%s with %s: %d; want %d", path, row.headers, w.Code, row.want)
			}
			if w.Code == 403 {
				if code, _ := refusal(t, w); code != "forbidden" {
					t.Errorf("%s with %s: code %s", path, row.headers, code)
				}
			}
		}
	}
}

func TestErrorsOfTheHeap(t *testing.T) {
	s, h := newServer(t, nil)
	for _, row := range []struct {
		err    error
		status int
		code   string
	}{
		{message.Errorf(message.Unavailable, "company 1 has no majority"), 503, "unavailable"},
		{fmt.Errorf("ask: %w", message.Errorf(message.Timeout, "too late")), 504, "timeout"},
		{context.DeadlineExceeded, 504, "timeout"},
		{context.Canceled, 499, "canceled"},
		{message.Errorf(message.Leased, "leased"), 409, "leased"},
		{errors.New("goroutine 7 [running]"), 500, "internal"},
		{message.Errorf(message.Internal, "goroutine 7 [running]"), 500, "internal"},
	} {
		h.failures["malloc"] = []error{row.err}
		w := ask(s, "POST", "/v1/malloc", `{"size":1}`)
		code, text := refusal(t, w)
		if w.Code != row.status || code != row.code || strings.Contains(text, "goroutine") {
			t.Errorf("%v: %d %s %q; want %d %s", row.err, w.Code, code, text, row.status, row.code)
		}
		if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%v: Retry-After %q", row.err, w.Header().Get("Retry-After"))
		}
	}
}

// A node whose companies lack owners serves, and says which.
func TestUnderReplicated(t *testing.T) {
	thin := []Thin{{Company: 0, Missing: 1}, {Company: 3, Missing: 2}}
	s, _ := newServer(t, func(c *Config) { c.Thin = func() []Thin { return thin } })
	for range 2 {
		want := `{"ok":true,"node":2,"status":"under_replicated","under_replicated":[{"company":0,"missing":1},{"company":3,"missing":2}]}`
		if len(thin) == 0 {
			want = `{"ok":true,"node":2}`
		}
		if w := ask(s, "GET", "/readyz", ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		thin = nil
	}
}

// An unready node and one without a launcher say so.
func TestAbsentParts(t *testing.T) {
	s, _ := newServer(t, func(c *Config) {
		c.Control, c.Graph, c.Metrics = nil, nil, nil
		c.Ready = func() error { return errors.New("company 3 has no leader") }
	})
	for path, want := range map[string]int{"POST /v1/nodes/1/kill": 501, "GET /v1/graph.dot": 501, "GET /metrics": 200, "GET /readyz": 503, "GET /healthz": 200} {
		method, path, _ := strings.Cut(path, " ")
		w := ask(s, method, path, "")
		if w.Code != want {
			t.Errorf("%s: %d; want %d", path, w.Code, want)
		}
		if w.Code == 503 && !strings.Contains(w.Body.String(), "company 3 has no leader") {
			t.Errorf("%s does not say why: %s", path, w.Body)
		}
	}
	if _, err := New(Config{}); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("New without a heap: %v", err)
	}
	if _, err := New(Config{Heap: newFakeHeap(), Limits: Limits{Open: -1}}); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("New with a negative limit: %v", err)
	}
	if err := s.Serve(); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("Serve without a listener: %v", err)
	}
}

// W6: a defect is answered without a stack, counted and reported.
func TestPanicIsAnswered(t *testing.T) {
	var reported string
	s, _ := newServer(t, func(c *Config) {
		c.Graph = func(context.Context, string) (string, error) { panic("secret") }
		c.Report = func(err error, stack []byte) { reported = err.Error() + string(stack) }
	})
	w := ask(s, "GET", "/v1/graph.dot", "")
	code, text := refusal(t, w)
	if w.Code != http.StatusInternalServerError || code != "internal" || strings.Contains(text, "secret") {
		t.Errorf("a panic is answered %d %s %q", w.Code, code, text)
	}
	if !strings.Contains(reported, "secret") || !strings.Contains(reported, "graph") {
		t.Errorf("reported: %.100q", reported)
	}
	if m := ask(s, "GET", "/metrics", "").Body.String(); !strings.Contains(m, "dmalloc_http_panics_total 1") {
		t.Errorf("metrics do not count it:\n%s", m)
	}
	if s.gate.open() != 0 {
		t.Errorf("%d handlers are still inside", s.gate.open())
	}
}

func TestDebugShowsMore(t *testing.T) {
	s, h := newServer(t, func(c *Config) { c.Debug = true })
	if w := ask(s, "GET", "/debug/pprof/cmdline", ""); w.Code != 200 || w.Body.Len() == 0 {
		t.Errorf("profiles: %d", w.Code)
	}
	h.failures["malloc"] = []error{errors.New("the details")}
	if w := ask(s, "POST", "/v1/malloc", `{"size":1}`); !strings.Contains(w.Body.String(), "the details") {
		t.Errorf("an internal error: %s", w.Body)
	}
}
