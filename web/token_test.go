package web

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmalloc/message"
)

func tokenFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadTokens(t *testing.T) {
	got, err := ReadTokens(tokenFile(t, "one\r\n\n  two\t\nthree", 0o600))
	if err != nil || len(got) != 3 || string(got[1]) != string(digest("two")) || string(got[0]) != string(digest("one")) {
		t.Errorf("%x, %v", got, err)
	}
	for _, c := range []struct {
		path string
		code message.Code
		says string
	}{
		{filepath.Join(t.TempDir(), "none"), message.InvalidArgument, "is missing"},
		{t.TempDir(), message.InvalidArgument, "is no file"},
		{tokenFile(t, "one", 0o640), message.Forbidden, "mode 0640"},
		{tokenFile(t, "one", 0o604), message.Forbidden, "chmod 600"},
		{tokenFile(t, " \n\r\n", 0o600), message.InvalidArgument, "holds no token"},
		{tokenFile(t, "one\ntwo words\n", 0o600), message.InvalidArgument, ":2: a token has no blanks"},
		{tokenFile(t, "h\xc3\xa4", 0o600), message.InvalidArgument, "visible ASCII"},
		{tokenFile(t, strings.Repeat("x\n", maxTokens+1), 0o600), message.InvalidArgument, ":1001: more than 1000"},
		{tokenFile(t, strings.Repeat("x", maxTokenFile+1), 0o600), message.InvalidArgument, "longer than"},
	} {
		if got, err := ReadTokens(c.path); got != nil || message.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%x, %v; want %v that says %q", got, err, c.code, c.says)
		}
	}
}

// W7: without one of the tokens nothing is told but that the process lives.
func TestTokens(t *testing.T) {
	s, h := newServer(t, func(c *Config) {
		c.Tokens = [][]byte{digest("first"), digest("second")}
		c.Debug = true
	})
	for _, path := range []string{"/v1", "/v1/nodes", "/metrics", "/readyz", "/status/", "/openapi.json", "/debug/pprof/cmdline", "/nosuch", "/healthz/", "//healthz", "/v1/malloc"} {
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer third", "Bearer firs", "Bearer first second", "Bearer FIRST", "Basic first", "first", "Bearer" + "first",
			"Bearer " + string(digest("first"))} {
			var headers []string
			if header != "" {
				headers = append(headers, "Authorization: "+header)
			}
			w := ask(s, "GET", path, "", headers...)
			if code, text := refusal(t, w); w.Code != 401 || code != "unauthorized" || !strings.Contains(text, "Authorization: Bearer") || w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s with %q: %d %s", path, header, w.Code, w.Body)
			}
		}
	}
	if w := ask(s, "GET", "/v1/nodes", "", "Authorization: Bearer first", "Authorization: Bearer first"); w.Code != 401 {
		t.Errorf("two headers: %d", w.Code)
	}
	before := len(h.writes)
	if w := ask(s, "PUT", "/v1/memory/"+first, "hello"); w.Code != 401 || len(h.writes) != before {
		t.Errorf("a write without a token: %d, %v", w.Code, h.writes)
	}
	for _, good := range []string{"Bearer first", "bearer second", "BEARER  second"} {
		if w := ask(s, "GET", "/v1/nodes", "", "Authorization: "+good); w.Code != 200 {
			t.Errorf("%s: %d %s", good, w.Code, w.Body)
		}
	}
	if w := ask(s, "PATCH", "/v1/malloc", "", "Authorization: Bearer first"); w.Code != 405 || w.Header().Get("Allow") == "" {
		t.Errorf("with a token: %d", w.Code)
	}
	for _, method := range []string{"GET", "HEAD"} {
		if w := ask(s, method, "/healthz", ""); w.Code != 200 {
			t.Errorf("%s /healthz: %d", method, w.Code)
		}
	}
	if w := ask(s, "GET", "/healthz", "", "Host: evil.example"); w.Code != 403 { // W5 comes first
		t.Errorf("another site: %d", w.Code)
	}
	if _, err := New(Config{Heap: h, Tokens: [][]byte{[]byte("first")}}); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("a token that is no digest: %v", err)
	}
}

// Whatever the file and the header hold, only who shows one of the file's lines is let in.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("one\ntwo\n"), "Bearer two")
	f.Add([]byte("one two"), "Bearer one")
	f.Add([]byte("\r\n one\t\r\n"), "bearer one")
	f.Add([]byte("\xff\n"), "Bearer \xff")
	s, _ := newServer(f, nil)
	f.Fuzz(func(t *testing.T, file []byte, header string) {
		digests, err := parseTokens("tokens", file)
		if err != nil {
			return
		}
		if len(digests) == 0 || len(digests) > maxTokens {
			t.Fatalf("%d tokens", len(digests))
		}
		s.cfg.Tokens = digests
		let := ask(s, "GET", "/v1/nodes", "", "Authorization: "+header).Code != 401
		scheme, token, _ := strings.Cut(header, " ")
		token = strings.Trim(token, " ")
		known := token != "" && slices.Contains(strings.Split(strings.Map(plain, string(file)), "\n"), token)
		if let != (known && strings.EqualFold(scheme, "bearer")) {
			t.Fatalf("with %q, %q is let in: %v", file, header, let)
		}
	})
}

// plain drops what tokens do not have, but for the ends of lines.
func plain(r rune) rune {
	if r == '\n' || r > ' ' && r <= '~' {
		return r
	}
	return -1
}
