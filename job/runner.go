package job

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"dmalloc/message"

	"github.com/tetratelabs/wazero"
)

const (
	DefaultJobs   = 4
	DefaultQueue  = 64
	DefaultMemory = 64 << 20
	DefaultTime   = 5 * time.Second
	MaxMemory     = 1 << 30
	MaxTime       = 30 * time.Second
)

// Config says what jobs may take of a node.
type Config struct {
	Jobs   int           // that run at once; 0 means DefaultJobs
	Queue  int           // that wait for their turn, beyond it Run says Busy; 0 means DefaultQueue
	Memory uint64        // bytes of a module's linear memory; 0 means DefaultMemory, at most MaxMemory
	Time   time.Duration // from its start to its end; 0 means DefaultTime, at most MaxTime
	Log    *slog.Logger  // nil is silent

	interpret bool // for measuring
}

// WithDefaults is a copy, filled in and within the bounds.
func (c Config) WithDefaults() Config {
	if c.Jobs <= 0 {
		c.Jobs = DefaultJobs
	}
	if c.Queue <= 0 {
		c.Queue = DefaultQueue
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Time <= 0 {
		c.Time = DefaultTime
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Memory = min(c.Memory, MaxMemory) / wasmPage * wasmPage
	c.Time = min(c.Time, MaxTime)
	return c
}

// Module brings a module's bytes and the SHA-256 of them, in hexadecimal.
type Module = func(ctx context.Context) (sha256 string, bytes []byte, err error)

// Runner runs jobs of one node. All its methods may be called at any time from any goroutine.
type Runner struct {
	config  Config
	slots   chan struct{} // one in it for each job that runs
	modules *cache
	ctx     context.Context // ends when the Runner closes
	stop    context.CancelFunc

	mu      sync.Mutex
	waiting int
	closed  bool
	jobs    sync.WaitGroup // in Run
}

// New makes a Runner. It costs nothing until the first module comes.
func New(c Config) *Runner {
	c = c.WithDefaults()
	engine := wazero.NewRuntimeConfig() // the compiler, where it knows the machine
	if c.interpret {
		engine = wazero.NewRuntimeConfigInterpreter()
	}
	r := &Runner{config: c, slots: make(chan struct{}, c.Jobs), modules: newCache(engine, c.Memory, c.Jobs)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Running is how many jobs run now.
func (r *Runner) Running() int { return len(r.slots) }

// Close ends what runs, waits for it, and frees what modules took.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.jobs.Wait()
	r.modules.close()
}

func closing() error {
	return message.Errorf(message.Unavailable, "the node is stopping; ask another one")
}

// Run does a job, waiting for its turn first, and returns its result in JSON and how many bytes it read
// of each address, also when it failed. A nil module asks for the built-in of the request's name.
func (r *Runner) Run(ctx context.Context, q message.JobRequest, module Module, data Data) (result json.RawMessage, read Bytes, err error) {
	read = make(Bytes, len(q.Addresses))
	if err := checkRequest(q); err != nil {
		return nil, read, err
	}
	if err := r.enter(ctx); err != nil {
		return nil, read, told(q.Job, err)
	}
	defer r.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(closing()) })()
	t := &task{request: q, data: data, read: read, stopped: cancel}
	start := time.Now()
	out, err := r.do(ctx, t, module)
	if err == nil {
		result, err = asResult(out)
	}
	r.config.Log.Debug("job ended", "job", q.Job, "addresses", len(q.Addresses), "read", read.Sum(), "took", time.Since(start), "error", err)
	return result, read, told(q.Job, err)
}

// do finds the code and runs it. The time of a job does not count what its module's coming and
// compilation take: they are the node's affair, and the caller's context bounds the wait for them.
func (r *Runner) do(ctx context.Context, t *task, module Module) ([]byte, error) {
	run := func(ctx context.Context) ([]byte, error) { return runBuiltin(ctx, t) }
	if module != nil {
		hash, bytes, err := module(ctx)
		if err != nil {
			return nil, err
		}
		m, release, err := r.modules.get(ctx, hash, bytes)
		if err != nil {
			return nil, err
		}
		defer release()
		run = func(ctx context.Context) ([]byte, error) { return m.run(ctx, t, r.config.Memory) }
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.Time,
		message.Errorf(message.JobFailed, "it ran longer than the %v that a job may take; give it fewer addresses or less to do", r.config.Time))
	defer cancel()
	out, err := run(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause // whatever it says, this is why
	}
	return out, err
}

// enter waits for a place among those that run.
func (r *Runner) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return closing()
	}
	select {
	case r.slots <- struct{}{}:
		r.jobs.Add(1)
		r.mu.Unlock()
		return nil
	default:
	}
	if r.waiting >= r.config.Queue {
		defer r.mu.Unlock()
		return message.Errorf(message.Busy, "%d jobs run here and %d wait, which is as many as may; try again, or another node", r.config.Jobs, r.waiting)
	}
	r.waiting++
	r.jobs.Add(1)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.waiting--
		r.mu.Unlock()
	}()
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		r.jobs.Done()
		return context.Cause(ctx)
	case <-r.ctx.Done():
		r.jobs.Done()
		return closing()
	}
}

func (r *Runner) leave() {
	<-r.slots
	r.jobs.Done()
}

// checkRequest judges a request before it takes a place.
func checkRequest(q message.JobRequest) error {
	switch {
	case len(q.Addresses) > message.MaxJobAddresses:
		return message.Errorf(message.InvalidArgument, "a job is given at most %d addresses, not %d; cut it in several", message.MaxJobAddresses, len(q.Addresses))
	case len(q.Args) > message.MaxJobArgs:
		return message.Errorf(message.InvalidArgument, "a job is given at most %s of arguments, not %d bytes; put the rest into a register", message.FormatSize(message.MaxJobArgs), len(q.Args))
	case len(q.Args) > 0 && !json.Valid(q.Args):
		return message.Errorf(message.InvalidArgument, "the arguments of job %s are not JSON", message.Quote(q.Job))
	}
	return nil
}

// told is an error as the asker sees it: with the job's name and a class.
func told(job string, err error) error {
	if err == nil {
		return nil
	}
	op, code, text := "job "+cut(job, message.MaxJobName), message.JobFailed, err.Error()
	var e *message.Error
	switch {
	case errors.As(err, &e):
		code = e.Code
	case errors.Is(err, context.DeadlineExceeded):
		code, text = message.Timeout, "the time that its asker gave it was over"
	case errors.Is(err, context.Canceled):
		code, text = message.Canceled, "its asker gave up"
	}
	return &message.Error{Op: op, Code: code, Text: cut(text, message.MaxText-len(op)-8), Err: nil}
}

// Check judges a module when it is put: whether it can be parsed and compiled, has a function to start
// with, imports only what exists, and begins with no more memory than a job has by default.
func Check(module []byte) error {
	// The interpreter judges by the same rules, in a fraction of the compiler's time and memory.
	c, err := compile(module, wazero.NewRuntimeConfigInterpreter(), DefaultMemory)
	if err != nil {
		return err
	}
	c.close()
	return nil
}
