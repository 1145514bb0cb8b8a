package job

import (
	"context"
	"errors"
	"fmt"

	"dmalloc/message"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// hostModule is the name of the module that modules import to reach their data.
const hostModule = "dmalloc"

// call is a running module's side of its task. It travels in the context that the engine hands to the
// functions below, since one set of them serves all instances.
type call struct {
	*task
	buf      []byte // of reads, Go's own: Data never sees the module's memory
	result   []byte // what result was last given
	answered bool
	last     error // the last refusal that a function returned as a number
}

type callKey struct{}

// function is one that modules can import. Arguments and result are in stack, as the engine has it.
type function struct {
	name    string
	params  []api.ValueType
	results []api.ValueType
	run     func(c *call, ctx context.Context, mem api.Memory, stack []uint64)
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// functions is what module dmalloc has. What is not here cannot be done.
func functions() []function {
	return []function{
		{"addresses", nil, []api.ValueType{i32}, func(c *call, _ context.Context, _ api.Memory, stack []uint64) {
			stack[0] = uint64(len(c.request.Addresses))
		}},
		{"kind", []api.ValueType{i32}, []api.ValueType{i32}, (*call).kind},
		{"address", []api.ValueType{i32}, []api.ValueType{i64}, (*call).address},
		{"size", []api.ValueType{i32}, []api.ValueType{i64}, (*call).sizeOf},
		{"read", []api.ValueType{i32, i64, i32, i32}, []api.ValueType{i32}, (*call).readInto},
		{"write", []api.ValueType{i32, i64, i32, i32}, []api.ValueType{i32}, (*call).writeFrom},
		{"args_size", nil, []api.ValueType{i32}, func(c *call, _ context.Context, _ api.Memory, stack []uint64) {
			stack[0] = uint64(len(c.request.Args))
		}},
		{"args_read", []api.ValueType{i32}, []api.ValueType{i32}, (*call).argsRead},
		{"result", []api.ValueType{i32, i32}, nil, (*call).setResult},
	}
}

// buildHost puts the functions into a runtime.
func buildHost(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(hostModule)
	for _, f := range functions() {
		run := f.run
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			run(ctx.Value(callKey{}).(*call), ctx, m.Memory(), stack)
		}), f.params, f.results).Export(f.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// refused is the number that a function returns for an error: its code, negative.
func (c *call) refused(err error) uint64 {
	c.last = err
	return api.EncodeI64(-int64(message.CodeOf(err)))
}

// position is the first argument: which of the addresses is meant.
func (c *call) position(stack []uint64) (int, error) {
	i := api.DecodeU32(stack[0])
	if uint64(i) >= uint64(len(c.request.Addresses)) {
		return 0, message.Errorf(message.OutOfBounds, "it asked for address %d; it was given %d, counted from 0", int32(i), len(c.request.Addresses))
	}
	return int(i), nil
}

// checkOffset refuses what is negative to a module, so that no sum of offset and length overflows.
func checkOffset(offset uint64) error {
	if int64(offset) < 0 {
		return message.Errorf(message.OutOfBounds, "offset %d is negative", int64(offset))
	}
	return nil
}

// view is a piece of the module's own memory. A module that names what it does not have is defect: it
// ends as it would if it had read there itself.
func view(mem api.Memory, what string, ptr, n uint64) []byte {
	p, n32 := uint32(ptr), uint32(n)
	if n32 == 0 {
		return nil
	}
	b, ok := mem.Read(p, n32)
	if !ok {
		panic(fmt.Errorf("%s was given %d bytes at %d, which is outside of the module's %d bytes of memory", what, n32, p, mem.Size()))
	}
	return b
}

func (c *call) kind(_ context.Context, _ api.Memory, stack []uint64) {
	i, err := c.position(stack)
	switch {
	case err != nil:
		stack[0] = uint64(uint32(c.refused(err)))
	case c.request.Addresses[i].Heap:
		stack[0] = 1
	default:
		stack[0] = 0
	}
}

func (c *call) address(_ context.Context, _ api.Memory, stack []uint64) {
	i, err := c.position(stack)
	if err != nil {
		stack[0] = c.refused(err)
		return
	}
	stack[0] = c.request.Addresses[i].Number
}

func (c *call) sizeOf(ctx context.Context, _ api.Memory, stack []uint64) {
	i, err := c.position(stack)
	if err == nil {
		var n uint64
		if n, err = c.size(ctx, i); err == nil {
			stack[0] = n
			return
		}
	}
	stack[0] = c.refused(err)
	if code := message.CodeOf(err); code == message.NotWritten || code == message.NotAllocated {
		stack[0] = api.EncodeI64(-1)
	}
}

func (c *call) readInto(ctx context.Context, mem api.Memory, stack []uint64) {
	to := view(mem, "read", stack[2], stack[3])
	i, err := c.position(stack)
	if err == nil {
		err = checkOffset(stack[1])
	}
	offset, got := stack[1], 0
	for err == nil && got < len(to) {
		if len(c.buf) < min(readSize, len(to)-got) {
			c.buf = make([]byte, min(readSize, max(len(to)-got, 4<<10)))
		}
		piece := c.buf[:min(len(c.buf), len(to)-got)]
		var n int
		n, err = c.readAt(ctx, i, piece, offset+uint64(got))
		got += copy(to[got:], piece[:n])
		if n < len(piece) {
			break
		}
	}
	if err != nil {
		stack[0] = uint64(uint32(c.refused(err)))
		return
	}
	stack[0] = uint64(got)
}

func (c *call) writeFrom(ctx context.Context, mem api.Memory, stack []uint64) {
	from := view(mem, "write", stack[2], stack[3])
	i, err := c.position(stack)
	if err == nil {
		err = checkOffset(stack[1])
	}
	if err == nil {
		err = c.writeAt(ctx, i, from, stack[1])
	}
	if err != nil {
		stack[0] = uint64(uint32(c.refused(err)))
		return
	}
	stack[0] = uint64(len(from))
}

func (c *call) argsRead(_ context.Context, mem api.Memory, stack []uint64) {
	args := c.request.Args
	stack[0] = uint64(copy(view(mem, "args_read", stack[0], uint64(len(args))), args))
}

// setResult keeps a copy; if a module calls it again, the last one counts.
func (c *call) setResult(_ context.Context, mem api.Memory, stack []uint64) {
	if uint32(stack[1]) > message.MaxJobResult {
		panic(errTooMuch)
	}
	c.result = append(c.result[:0], view(mem, "result", stack[0], stack[1])...)
	c.answered = true
}

var errTooMuch = errors.New("too much")
