package repl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/chzyer/readline"
)

// terminal is the LineReader over chzyer/readline. What is peculiar here answers defects of that library:
//
//   - Close hangs while the library waits in a read, so the input is stopped first.
//   - A NUL byte counts as the end of the input, Ctrl-Z stops the parent too, and Delete on an empty line
//     leaves, so the input keeps these keys back.
//   - It creates history files that everybody may read, and saves answers to questions, so the
//     history is ours and the library is only told the lines.
type terminal struct {
	rl     *readline.Instance
	in     *input
	resize chan os.Signal
	wait   sync.WaitGroup
	quit   chan struct{}

	hint   *hinter
	prompt atomic.Value // string. No lock: the library asks for it while it holds its own
}

// newTerminal edits lines on the terminal of o.In and o.Out, which are files.
func newTerminal(ctx context.Context, o Options, live *live, past []string) (*terminal, error) {
	file, ok := o.In.(*os.File)
	if !ok {
		return nil, errors.New("a terminal is needed to edit lines")
	}
	in, err := newInput(ctx, file)
	if err != nil {
		return nil, err
	}
	t := &terminal{in: in, resize: make(chan os.Signal, 1), quit: make(chan struct{})}
	keys := &keys{in: in}
	fd := int(file.Fd())
	var saved *readline.State
	cfg := &readline.Config{
		Prompt:                 "dmalloc> ",
		HistoryLimit:           pastLines,
		DisableAutoSaveHistory: true,
		HistorySearchFold:      true,
		InterruptPrompt:        "^C",
		EOFPrompt:              "exit",
		AutoComplete:           &completer{live: live},
		Stdin:                  keys,
		Stdout:                 o.Out,
		Stderr:                 o.Err,
		FuncIsTerminal:         func() bool { return true },
		FuncGetWidth:           func() int { return max(terminalWidth(o.Out), 20) },
		FuncMakeRaw: func() (err error) {
			saved, err = readline.MakeRaw(fd)
			return err
		},
		FuncExitRaw: func() error {
			if saved == nil {
				return nil
			}
			return readline.Restore(fd, saved)
		},
		FuncOnWidthChanged: func(changed func()) {
			signal.Notify(t.resize, syscall.SIGWINCH)
			t.wait.Go(func() {
				for {
					select {
					case <-t.quit:
						return
					case <-t.resize:
						changed()
					}
				}
			})
		},
	}
	cfg.SetListener(func(line []rune, _ int, _ rune) ([]rune, int, bool) {
		keys.empty.Store(len(line) == 0)
		return nil, 0, false
	})
	t.prompt.Store(cfg.Prompt)
	t.hint = &hinter{width: cfg.FuncGetWidth, prompt: t.promptNow, shown: func() bool { return false }}
	cfg.Painter = t.hint
	if t.rl, err = readline.NewEx(cfg); err != nil {
		_ = in.Close()
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	for _, line := range past {
		_ = t.rl.SaveHistory(line) // without a file it cannot fail
	}
	return t, nil
}

func (t *terminal) ReadLine() (string, error) {
	line, err := t.rl.Readline()
	if errors.Is(err, readline.ErrInterrupt) {
		return line, errInterrupted
	}
	return line, err
}

// Ask puts a question in the prompt's place.
func (t *terminal) Ask(question string) (string, error) {
	was := t.promptNow()
	t.SetPrompt(question)
	defer t.SetPrompt(was)
	return t.ReadLine()
}

// SetPrompt changes the prompt, also while a line is being edited.
func (t *terminal) SetPrompt(prompt string) {
	t.prompt.Store(prompt)
	t.rl.SetPrompt(prompt)
	t.rl.Refresh()
}

func (t *terminal) promptNow() string { return t.prompt.Load().(string) }

func (t *terminal) Remember(line string) {
	if line != "" && len(line) <= pastLength {
		_ = t.rl.SaveHistory(line)
	}
}

func (t *terminal) Stdout() io.Writer { return t.rl.Stdout() }
func (t *terminal) Stderr() io.Writer { return t.rl.Stderr() }

// Close gives the terminal back as it was. The goroutine that reads lines calls it.
func (t *terminal) Close() error {
	t.in.Stop()
	err := t.rl.Close()
	signal.Stop(t.resize)
	close(t.quit)
	t.wait.Wait()
	return errors.Join(err, t.in.Close())
}

// keys is the input without the keys that the library mistakes.
type keys struct {
	in    *input
	empty atomic.Bool // nothing stands in the line
}

// deleteKey is what terminals send for it.
var deleteKey = []byte("\x1b[3~")

func (k *keys) Read(p []byte) (int, error) {
	for {
		n, err := k.in.Read(p)
		kept := bytes.ReplaceAll(p[:n], []byte{0}, nil)
		kept = bytes.ReplaceAll(kept, []byte{readline.CharCtrlZ}, nil)
		if k.empty.Load() && bytes.HasPrefix(kept, deleteKey) {
			kept = kept[len(deleteKey):]
		}
		if len(kept) > 0 || err != nil || n == 0 {
			return copy(p, kept), err
		}
	}
}

func (k *keys) Close() error {
	k.in.Stop()
	return nil
}
