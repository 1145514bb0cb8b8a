package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmalloc/message"
)

// pipes is a listener without a network, so that its connections live in synctest's time.
type pipes struct {
	dialed chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialed:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.dialed <- there
	return here
}

// slowly runs a story with a server whose hours pass in no time.
func slowly(t *testing.T, story func(t *testing.T, h *fakeHeap, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		h := newFakeHeap()
		if _, err := h.Malloc(t.Context(), 4*message.MaxData); err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{Heap: h, Listener: p})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error)
		go func() { served <- s.Serve() }()
		story(t, h, p)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ended) // there may be clients that still hang on
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

const putHead = "PUT /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"

// W2: a body that moves is taken, however long it takes, and one that stops or trickles is not.
func TestBodiesOfAllSpeeds(t *testing.T) {
	for _, row := range []struct {
		name         string
		pause        time.Duration
		piece, count int
		status       int
	}{
		{"slow", 9 * time.Second, progress, 40, 200},
		{"stops", 11 * time.Second, progress, 3, 408},
		{"trickles", 4 * time.Second, 100, 40, 408},
	} {
		t.Run(row.name, func(t *testing.T) {
			slowly(t, func(t *testing.T, h *fakeHeap, p *pipes) {
				c := p.dial()
				defer c.Close()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					fmt.Fprintf(c, putHead, row.piece*row.count)
					for range row.count {
						if _, err := c.Write(make([]byte, row.piece)); err != nil {
							return // refused meanwhile
						}
						time.Sleep(row.pause)
					}
				}()
				w, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || w.StatusCode != row.status {
					t.Errorf("%v, %v; want %d", w, err, row.status)
				}
				c.Close()
				<-sent
				if (len(h.writes) > 0) != (row.status == 200) {
					t.Errorf("%d pieces written", len(h.writes))
				}
			})
		})
	}
}

// W2: who takes nothing of an answer, says nothing, or stops in the middle of a header is cut off.
func TestIdleClientsAreCut(t *testing.T) {
	for name, request := range map[string]string{
		"silent":         "",
		"half a header":  "GET /v1/nodes HTTP/1.1\r\nHost: loc",
		"reads nothing":  "GET /v1/memory/" + first + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"keeps the line": "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			slowly(t, func(t *testing.T, _ *fakeHeap, p *pipes) {
				c := p.dial()
				defer c.Close()
				if _, err := io.WriteString(c, request); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(request, "HEAD") {
					if _, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "HEAD"}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Minute)
				// A write reaches nobody once the server has closed its end.
				if _, err := c.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("after two minutes: %v", err)
				}
			})
		})
	}
}

// A request gives the heap the time that it says, and an answer may take longer than a body may stall.
func TestTimeouts(t *testing.T) {
	for query, want := range map[string]time.Duration{"": 5 * time.Second, "?timeout=1": time.Second, "?timeout=250ms": 250 * time.Millisecond, "?timeout=30s": 30 * time.Second} {
		slowly(t, func(t *testing.T, h *fakeHeap, p *pipes) {
			h.waiting, h.ended = make(chan struct{}, 1), make(chan error, 1)
			c := p.dial()
			defer c.Close()
			begin := time.Now()
			go fmt.Fprintf(c, "POST /v1/malloc%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{\"size\":1}", query)
			w, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || w.StatusCode != 504 {
				t.Errorf("%q: %v, %v", query, w, err)
			}
			if took := time.Since(begin); took != want { // synctest's time: exact
				t.Errorf("%q: %v; want %v", query, took, want)
			}
		})
	}
}
