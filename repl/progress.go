package repl

import (
	"fmt"
	"sync"
	"time"
)

const (
	quiet     = time.Second            // nothing is said about a command that takes less
	spinEvery = 120 * time.Millisecond // on a terminal
	sayEvery  = 5 * time.Second        // elsewhere
)

// meter tells a person that a command is alive: a spinner on a terminal, a line now and then elsewhere. Elsewhere
// only long commands have one. It belongs to one command; its goroutine ends in stop.
type meter struct {
	con  *console
	name string
	hint string // how it can be ended
	quit chan struct{}
	wait sync.WaitGroup

	mu     sync.Mutex // guards what follows
	text   string
	show   bool // a second has passed
	silent bool // the user is being asked something
}

func newMeter(con *console, v *verb, cancelable bool) *meter {
	m := &meter{con: con, name: v.name, quit: make(chan struct{})}
	if cancelable {
		m.hint = " (Ctrl-C cancels)"
	}
	if con.errTerm || v.long {
		m.wait.Go(m.run)
	}
	return m
}

// set changes what is said.
func (m *meter) set(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = fmt.Sprintf(format, args...)
}

// step is one of the few things that a person should see one after another, such as the stages of a revival.
func (m *meter) step(text string) {
	m.set("%s", text)
	m.mu.Lock()
	show := m.show
	m.mu.Unlock()
	if show && !m.con.errTerm {
		m.con.say(grey, m.name+": "+text)
	}
}

// pause keeps the meter silent while the user is asked something; resume lets it go on.
func (m *meter) pause() {
	m.mu.Lock()
	m.silent = true
	m.mu.Unlock()
	m.con.unspin()
}

func (m *meter) resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = false
}

func (m *meter) stop() {
	close(m.quit)
	m.wait.Wait()
	m.con.unspin()
}

func (m *meter) run() {
	select {
	case <-m.quit:
		return
	case <-time.After(quiet):
	}
	m.mu.Lock()
	m.show = true
	m.mu.Unlock()
	every := sayEvery
	if m.con.errTerm {
		every = spinEvery
	}
	begin := time.Now().Add(-quiet)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		m.draw(i, time.Since(begin).Truncate(time.Second))
		select {
		case <-m.quit:
			return
		case <-tick.C:
		}
	}
}

// draw says once how far the command is. The lock is held so that nothing is drawn after pause.
func (m *meter) draw(i int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := m.text
	if text == "" {
		text = "still at it"
	}
	switch {
	case m.silent:
	case m.con.errTerm:
		m.con.spin(fmt.Sprintf("%c %s: %s, %v%s", `|/-\`[i%4], m.name, text, took, m.hint))
	default:
		m.con.say("", fmt.Sprintf("%s: %s, %v", m.name, text, took))
	}
}
