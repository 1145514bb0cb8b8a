package peer

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
)

// process is one that a peer is made of. It can be started again after it was killed.
type process struct {
	name    string
	program string
	args    []string
	log     string // a file that gets what it says

	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
	err  error         // how; written before gone is closed
}

// endedError is the end of a process that was meant to stay.
type endedError struct {
	name string
	how  error
	said string
}

func (e *endedError) Error() string { return fmt.Sprintf("%s ended (%v): %s", e.name, e.how, e.said) }

func (e *endedError) Unwrap() error { return e.how }

func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.program, p.args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, Bound()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	gone := make(chan struct{})
	p.cmd, p.gone, p.err = cmd, gone, nil
	go func() { // ends with the process, which kill waits for
		p.err = cmd.Wait()
		close(gone)
	}()
	return nil
}

// kill ends the process, whatever it does, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// ended says how the process ended, nil if it has not.
func (p *process) ended() error {
	select {
	case <-p.gone:
	default:
		return nil
	}
	said, _ := os.ReadFile(p.log)
	said = bytes.TrimSpace(said)
	return &endedError{p.name, p.err, string(said[max(0, len(said)-500):])}
}
