package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"dmalloc/message"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// compiled is a module that can be instantiated, any number of times at once. It has an engine of its
// own, so that closing it gives back all that it ever cost.
type compiled struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	entry   []string // functions to call, in order
	memory  bool     // it has one
	cost    int      // bytes that it is counted with in the cache
}

// compile judges a module and makes machine code of it. It cannot be stopped, so it takes no context;
// the bounds in scan.go keep it short.
func compile(module []byte, config wazero.RuntimeConfig, limit uint64) (_ *compiled, err error) {
	ready, err := prepare(module, limit)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	c := &compiled{memory: ready.memory, cost: len(ready.code) * costFactor}
	defer func() {
		if r := recover(); r != nil { // an engine's defect must not end the node
			err = refuse("the engine gave up on it: %v", r)
		}
		if err != nil && c.runtime != nil {
			c.close()
		}
	}()
	if ready.costly {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	c.runtime = wazero.NewRuntimeWithConfig(ctx, config.WithDebugInfoEnabled(false))
	if err := buildHost(ctx, c.runtime); err != nil {
		return nil, &message.Error{Code: message.Internal, Text: "module dmalloc", Err: err}
	}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, c.runtime); err != nil {
		return nil, &message.Error{Code: message.Internal, Text: "WASI", Err: err}
	}
	if c.module, err = c.runtime.CompileModule(ctx, ready.code); err != nil {
		return nil, refuse("%s", cut(err.Error(), 1024))
	}
	if err := c.checkImports(); err != nil {
		return nil, err
	}
	if err := c.findEntry(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *compiled) close() { _ = c.runtime.Close(context.Background()) }

// checkImports compares what the module wants with what there is.
func (c *compiled) checkImports() error {
	if len(c.module.ImportedFunctions()) > 0 && !c.memory {
		return refuse("it imports functions and has no memory, where they find what they work on")
	}
	for _, f := range c.module.ImportedFunctions() {
		module, name, _ := f.Import()
		var have map[string]api.FunctionDefinition
		if m := c.runtime.Module(module); m != nil {
			have = m.ExportedFunctionDefinitions()
		}
		there, ok := have[name]
		if !ok {
			return refuse("it imports %s.%s, which does not exist; there are the functions of %s and of %s", message.Quote(module), message.Quote(name), hostModule, wasi_snapshot_preview1.ModuleName)
		}
		if want, is := signature(f), signature(there); want != is {
			return refuse("it imports %s.%s as %s, which is %s", module, name, want, is)
		}
	}
	return nil
}

func signature(f api.FunctionDefinition) string {
	words := func(types []api.ValueType) string {
		var names []string
		for _, t := range types {
			names = append(names, api.ValueTypeName(t))
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return words(f.ParamTypes()) + " -> " + words(f.ResultTypes())
}

// findEntry decides how the module is started: run, after _initialize if there is one, or _start.
func (c *compiled) findEntry() error {
	exports := c.module.ExportedFunctions()
	switch {
	case exports["run"] != nil && exports["_initialize"] != nil:
		c.entry = []string{"_initialize", "run"}
	case exports["run"] != nil:
		c.entry = []string{"run"}
	case exports["_start"] != nil:
		c.entry = []string{"_start"}
	default:
		return refuse("it exports neither a function run nor _start")
	}
	for _, name := range c.entry {
		if f := exports[name]; len(f.ParamTypes())+len(f.ResultTypes()) > 0 {
			return refuse("its function %s is %s; it must take and return nothing", name, signature(f))
		}
	}
	return nil
}

// run instantiates the module for one task, calls it, and leaves nothing of it behind.
func (c *compiled) run(ctx context.Context, t *task, limit uint64) (result []byte, err error) {
	mem := &memory{ctx: ctx, limit: limit}
	defer mem.release()
	state := &call{task: t}
	out, complaints := &stdout{stopped: t.stopped}, &tail{}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the engine gave up on it: %v", r)
		}
		if err != nil {
			err = failure(ctx, err, state, mem, complaints)
		}
	}()
	ctx = experimental.WithMemoryAllocator(context.WithValue(ctx, callKey{}, state), mem)
	// No files, environment, sockets, and neither real time nor real dice: the engine's own clock and
	// random numbers are the same in each run.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithArgs(t.request.Job).
		WithStdin(bytes.NewReader(t.request.Args)).WithStdout(out).WithStderr(complaints)
	m, err := c.runtime.InstantiateModule(ctx, c.module, config)
	if err == nil {
		defer func() { _ = m.Close(context.Background()) }()
	}
	for i := 0; err == nil && i < len(c.entry); i++ {
		_, err = m.ExportedFunction(c.entry[i]).Call(ctx)
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 0 {
		err = nil
	}
	if err == nil {
		err = context.Cause(ctx) // it was told to stop, and ended by itself before it noticed
	}
	if err != nil {
		return nil, err
	}
	if state.answered {
		return state.result, nil
	}
	return out.Bytes(), nil
}

// failure says why a module failed, as far as it can be known.
func failure(ctx context.Context, err error, state *call, mem *memory, complaints *tail) error {
	cause := context.Cause(ctx)
	var exit *sys.ExitError
	var text string
	switch {
	case errors.Is(err, errTooMuch):
		return tooMuch()
	case cause != nil:
		return cause
	case errors.As(err, &exit):
		text = fmt.Sprintf("it ended with exit code %d", exit.ExitCode())
	default:
		text = trap(err)
	}
	if mem.denied {
		text += fmt.Sprintf("\nit had asked for more memory than the %s that a job may have", message.FormatSize(mem.limit))
	}
	if state.last != nil {
		text += "\nthe last call that was refused: " + cut(state.last.Error(), 512)
	}
	text = cut(text, message.MaxText/2)
	if said := complaints.String(message.MaxText - len(text) - 256); said != "" {
		text += "\nit said: " + said
	}
	return message.Errorf(message.JobFailed, "%s", text)
}

// trap is the engine's error without its own words and without the stack of Go.
func trap(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n\nGo runtime stack trace:")
	s = strings.TrimPrefix(s, "wasm error: ")
	s = strings.ReplaceAll(s, " (recovered by wazero)", "")
	s = strings.ReplaceAll(s, "wasm stack trace:", "in:")
	return "it trapped: " + cut(s, 1024)
}
