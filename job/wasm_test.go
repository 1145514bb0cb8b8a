package job

// A tiny assembler: what the tests need to write modules, well-formed and not.

func u(v uint32) []byte { return appendU32(nil, v) }

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func str(s string) []byte { return cat(u(uint32(len(s))), []byte(s)) }

func vec(items ...[]byte) []byte { return cat(u(uint32(len(items))), cat(items...)) }

func section(id byte, content []byte) []byte {
	return cat([]byte{id}, u(uint32(len(content))), content)
}

func con32(v int32) []byte { return appendS64([]byte{0x41}, int64(v)) }
func con64(v int64) []byte { return appendS64([]byte{0x42}, v) }
func callf(i int) []byte   { return cat([]byte{0x10}, u(uint32(i))) }

// store32 stores the number on top of the stack at an address.
func store32(at int32, value []byte) []byte { return cat(con32(at), value, []byte{0x36, 2, 0}) }
func store64(at int32, value []byte) []byte { return cat(con32(at), value, []byte{0x37, 3, 0}) }

var (
	loop        = []byte{0x03, 0x40}
	end         = []byte{0x0b}
	drop        = []byte{0x1a}
	unreachable = []byte{0x00}
	again       = []byte{0x0c, 0}
)

func typ(params, results []byte) []byte { return cat([]byte{0x60}, vec1(params), vec1(results)) }
func vec1(b []byte) []byte              { return cat(u(uint32(len(b))), b) }

// Imports of every module that asm makes, by index.
const (
	fAddresses = iota
	fKind
	fAddress
	fSize
	fRead
	fWrite
	fArgsSize
	fArgsRead
	fResult
	own // the first function of the module itself
)

// asm is a module to assemble. Its functions take and return nothing; the first is exported as entry.
type asm struct {
	entry   string // "run" if empty
	bodies  [][]byte
	locals  [][]byte // of each body
	pages   uint32   // of memory, 1 if 0
	most    uint32   // of memory, none if 0
	data    string   // at address 0
	start   int      // function that runs at instantiation, none if 0
	imports [][]byte // instead of all functions of dmalloc
	types   [][]byte // theirs, from 1 on
	tables  []byte
	nothing bool // no memory
	custom  []byte
}

func (a asm) bytes() []byte {
	if a.entry == "" {
		a.entry = "run"
	}
	if a.pages == 0 {
		a.pages = 1
	}
	types := append([][]byte{typ(nil, nil)}, a.types...)
	imports := a.imports
	if imports == nil {
		for _, f := range functions() {
			imports = append(imports, cat(str("dmalloc"), str(f.name), []byte{0}, u(uint32(len(types)))))
			types = append(types, typ(f.params, f.results))
		}
	}
	var funcs, code [][]byte
	for i, b := range a.bodies {
		funcs = append(funcs, u(0))
		locals := u(0)
		if i < len(a.locals) && a.locals[i] != nil {
			locals = a.locals[i]
		}
		body := cat(locals, b, end)
		code = append(code, cat(u(uint32(len(body))), body))
	}
	m := cat([]byte("\x00asm\x01\x00\x00\x00"), section(1, vec(types...)), section(2, vec(imports...)), section(3, vec(funcs...)))
	if a.tables != nil {
		m = cat(m, section(4, a.tables))
	}
	exports := [][]byte{cat(str(a.entry), []byte{0}, u(uint32(len(imports))))}
	if !a.nothing {
		limits := cat([]byte{0}, u(a.pages))
		if a.most > 0 {
			limits = cat([]byte{1}, u(a.pages), u(a.most))
		}
		m = cat(m, section(5, vec(limits)))
		exports = append(exports, cat(str("memory"), []byte{2}, u(0)))
	}
	m = cat(m, section(7, vec(exports...)))
	if a.start > 0 {
		m = cat(m, section(8, u(uint32(a.start))))
	}
	m = cat(m, section(10, vec(code...)))
	if a.data != "" {
		m = cat(m, section(11, vec(cat(u(0), con32(0), end, str(a.data)))))
	}
	return cat(m, a.custom)
}

// answer is a call of result with the n bytes at an address.
func answer(at, n int32) []byte { return cat(con32(at), con32(n), callf(fResult)) }
