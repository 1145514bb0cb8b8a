package repl

import (
	"context"
	"os"
	"os/signal"
	"sync"
)

// interrupts turns Ctrl-C into the end of the command that runs. Between commands the terminal is raw and
// Ctrl-C is a key; a signal that comes then changes nothing. A nil *interrupts leaves signals alone.
type interrupts struct {
	signals chan os.Signal
	quit    chan struct{}
	wait    sync.WaitGroup

	mu     sync.Mutex // guards cancel
	cancel context.CancelCauseFunc
}

// catchInterrupts starts the goroutine that waits for signals; stop ends it.
func catchInterrupts() *interrupts {
	i := &interrupts{signals: make(chan os.Signal, 1), quit: make(chan struct{})}
	signal.Notify(i.signals, os.Interrupt)
	i.wait.Go(i.run)
	return i
}

func (i *interrupts) run() {
	for {
		select {
		case <-i.quit:
			return
		case <-i.signals:
			i.mu.Lock()
			if i.cancel != nil {
				i.cancel(errCanceled)
			}
			i.mu.Unlock()
		}
	}
}

// during names the command that an interrupt ends, until the function it returns is called.
func (i *interrupts) during(cancel context.CancelCauseFunc) func() {
	if i == nil {
		return func() {}
	}
	set := func(c context.CancelCauseFunc) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.cancel = c
	}
	set(cancel)
	return func() { set(nil) }
}

func (i *interrupts) stop() {
	signal.Stop(i.signals)
	close(i.quit)
	i.wait.Wait()
}
