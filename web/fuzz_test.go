package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// Whatever the body is, the answer is a success or an error object of the caller's fault, and an object that is
// taken is one that encoding/json takes too.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{`{"size":100}`, `{"old":1,"new":"0x2"}`, `{"delta":"-1"}`, `{}`, `[`, `{"size":1,"size":2}`, `{"size":1e3}`, "\xff", `{"\u0073ize":1}`,
		`{"addr":1,"value":"\ud83d\ude00"}`, `{"addr":"0x1","data":"AA=="}`, `{"addr":1,"value":"\udc00"}`, `{"nodes":[0,1]}`,
		`{"job":"sum","addresses":[1,"reg:2",{}],"args":{"a":["]"]}}`} {
		f.Add(body)
	}
	s, _ := newServer(f, nil)
	paths := []string{"/v1/malloc", "/v1/memory/" + first + "/cas", "/v1/memory/" + first + "/add", "/write", "/v1/jobs", "/v1/register-members", "/v1/nodes/2/kill"}
	methods := map[string]string{"/v1/register-members": "PUT"}
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range paths {
			w := ask(s, cmp.Or(methods[path], "POST"), path, body)
			switch w.Code {
			case 200, 201:
				if path != paths[6] && !json.Valid([]byte(body)) {
					t.Errorf("%s takes %q", path, body)
				}
			case 400, 404, 413, 422, 507:
				refusal(t, w)
			default:
				t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
			}
		}
	})
}

// Whatever the request line is, the answer is JSON, or what a route answers, and never 500.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/v1/memory/"+first, "size=1", "127.0.0.1", "")
	f.Add("DELETE", "/v1/allocations/0x", "timeout=1ns", "[::1]:1", "http://[::1]:1")
	f.Add("HEAD", "/v1/allocations", "limit=1&company=1&node=0&state=part&from=9", "x", "null")
	s, _ := newServer(f, nil)
	f.Fuzz(func(t *testing.T, method, path, query, host, origin string) {
		headers := []string{"Host: " + host}
		if origin != "" {
			headers = append(headers, "Origin: "+origin)
		}
		w := ask(s, method, path+"?"+query, "", headers...)
		if w.Code >= 500 {
			t.Errorf("%q?%q: %d %s", path, query, w.Code, w.Body)
		}
		if w.Code >= 400 {
			refusal(t, w)
		}
	})
}

// Pages of any size, one after another, are the whole list, filtered, in order.
func TestPagesMakeTheList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newFakeHeap()
		var want []message.Addr
		company := rapid.IntRange(0, 3).Draw(t, "company") // 0: not filtered
		for range rapid.IntRange(0, 40).Draw(t, "allocations") {
			x, err := h.Malloc(t.Context(), rapid.Uint64Range(1, 9000).Draw(t, "size"))
			if err != nil {
				t.Fatal(err)
			}
			if company == 0 || x.Blocks[0].Company == message.CompanyID(company) {
				want = append(want, x.Address)
			}
		}
		s, err := New(Config{Heap: h})
		if err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/v1/allocations?limit=%d", rapid.IntRange(1, 12).Draw(t, "limit"))
		if company > 0 {
			path += fmt.Sprintf("&company=%d", company)
		}
		var got []message.Addr
		for from := ""; ; {
			var p page
			if err := json.Unmarshal(ask(s, "GET", path+from, "").Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			for _, x := range p.Allocations {
				got = append(got, x.Address)
			}
			if p.Next == nil {
				break
			}
			from = "&from=" + p.Next.String()
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages hold %v; want %v", got, want)
		}
	})
}

// A filter that nothing passes does not look at more than its bound, and says where to go on.
func TestScanIsBounded(t *testing.T) {
	s, h := newServer(t, nil)
	for i := range maxScan + 5 {
		a := message.Addr(message.HeapBase + message.PageSize*(i+10))
		h.all = append(h.all, message.Allocation{Address: a, Size: 1, State: message.Allocated})
	}
	var p page
	if err := json.Unmarshal(ask(s, "GET", "/v1/allocations?state=part", "").Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Next == nil || *p.Next != h.all[maxScan].Address {
		t.Errorf("next is %v; want %v", p.Next, h.all[maxScan].Address)
	}
}

// Objects are read as encoding/json reads them, where both take them.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"old":1,"new":2}`))
	f.Add([]byte(`{"new":0,"old":18446744073709551615}`))
	fields := []field{{"old", word, must, ""}, {"new", word, must, ""}}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseObject(b, fields)
		if err != nil {
			if message.CodeOf(err) != message.InvalidArgument {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		var plain struct{ Old, New *uint64 }
		if json.Unmarshal(b, &plain) == nil && (*plain.Old != got["old"] || *plain.New != got["new"]) {
			t.Errorf("%q: %v", b, got)
		}
	})
}
