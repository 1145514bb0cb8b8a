package member

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"dmalloc/message"
)

const childOf = "MEMBER_TEST_CHILD" // set in the process that is stopped

func TestMain(m *testing.M) {
	if os.Getenv(childOf) != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

// pipe carries packets as: node, length, bytes. What it cannot write at once waits, then is dropped.
type pipe struct{ out chan letter }

func newPipe(w io.Writer) pipe {
	p := pipe{make(chan letter, 1024)}
	go func() {
		for l := range p.out {
			b := binary.LittleEndian.AppendUint32(nil, uint32(l.to))
			b = binary.LittleEndian.AppendUint32(b, uint32(len(l.packet)))
			w.Write(append(b, l.packet...))
		}
	}()
	return p
}

func (p pipe) Send(to message.NodeID, packet []byte) error {
	select {
	case p.out <- letter{to: to, packet: packet}:
	default:
	}
	return nil
}

func readPipe(r io.Reader, take func(message.NodeID, []byte)) {
	in, head := bufio.NewReader(r), make([]byte, 8)
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		packet := make([]byte, binary.LittleEndian.Uint32(head[4:]))
		if _, err := io.ReadFull(in, packet); err != nil {
			return
		}
		take(message.NodeID(binary.LittleEndian.Uint32(head)), packet)
	}
}

// child is node 3. It tells what it believes in packets to nobody: a state for each node.
func child() {
	out := newPipe(os.Stdout)
	m, err := New(Config{Self: 3, Cluster: "0123456789abcdef", Carrier: out, Nodes: ids(0, 4), ProbeInterval: 200 * time.Millisecond})
	if err != nil {
		os.Exit(1)
	}
	go func() {
		for range time.Tick(50 * time.Millisecond) {
			var states []byte
			for _, s := range m.View() {
				states = append(states, byte(s.State))
			}
			out.Send(message.NoNode, states)
		}
	}()
	readPipe(os.Stdin, m.Receive)
	m.Close()
}

// A process that is stopped is found dead, and alive when it goes on; it itself believes the others alive (M5).
func TestStoppedProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process and waits for its death")
	}
	t.Parallel()
	w := newWorld(t, 3, func(c *Config) { c.Nodes = ids(0, 4) })
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childOf+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := newPipe(stdin)
	var mu sync.Mutex
	var believes []byte
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		readPipe(stdout, func(to message.NodeID, b []byte) {
			if to != message.NoNode {
				w.send(letter{3, to, b})
				return
			}
			mu.Lock()
			defer mu.Unlock()
			believes = b
		})
	}()
	defer func() {
		w.setAway(3, nil)
		close(in.out)
		cmd.Process.Kill()
		<-ended
		cmd.Wait()
	}()
	w.setAway(3, func(l letter) { in.Send(l.from, l.packet) }) // to the child, the node named is the sender
	well := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(believes, []byte{byte(Alive), byte(Alive), byte(Alive), byte(Alive)})
	}
	all := w.all(Alive, ids(0, 4), ids(0, 3)...)
	w.await("all alive", func() bool { return well() && all() })
	for range 2 {
		cmd.Process.Signal(syscall.SIGSTOP)
		w.await("stopped process dead", w.all(Dead, ids(3, 4), ids(0, 3)...))
		mu.Lock()
		believes = nil
		mu.Unlock()
		cmd.Process.Signal(syscall.SIGCONT)
		from := time.Now()
		w.await("all alive again", func() bool { return well() && all() })
		t.Logf("alive to all %v after it went on", time.Since(from).Round(time.Millisecond))
	}
}
