// Package job runs work where its data is: a job is sent to the node that holds most of its addresses,
// and only its answer travels.
//
//	{"job":"sum","addresses":[1,2,3]}
//	      |
//	    Place ─▶ the node that holds most ─▶ Runner ─┬─ waits for one of Config.Jobs places
//	                                                 ├─ built-in: count, grep, sha256, sum
//	                                                 └─ module: WebAssembly, compiled once, kept by its hash
//	                                                       │ functions of module dmalloc, or WASI
//	                                                       ▼
//	                                                     Data: the given addresses, and nothing else
//
// The node implements Data with its client, fetches modules, and says how many of the bytes were local.
//
//	J1  A job reaches its addresses by their position in the request, and nothing else: no file, no socket,
//	    no environment, no other job, no real clock and no real dice. The same job on the same data answers
//	    the same.
//	J2  A job ends: soon after its time, its asker or its Runner ends, whatever its code does. Its code
//	    gives way to the rest of the node every few hundred microseconds, and where it fills or copies all
//	    of its memory at once, after that.
//	J3  A job that fails fails alone, with JobFailed and the reason; refusals that Data made keep their codes.
//	J4  Nothing of a job remains: its memory is the system's again when Run returns, no goroutine is its own.
//	    Modules stay compiled, in bounds, until Close.
//	J5  Nothing is allocated by what a module announces, before it is compared with a bound.
//
// # Modules
//
// A module is WebAssembly (2.0, with vectors; without threads, tail calls and several memories). It exports
// run, which takes and returns nothing, or _start. An _initialize is called before run. It may import, from
// module "dmalloc":
//
//	addresses() -> i32                     how many addresses there are; i below counts them from 0
//	kind(i) -> i32                         0 for a register, 1 for a heap address
//	address(i) -> i64                      its number
//	size(i) -> i64                         bytes, or -1: never written, or not allocated
//	read(i, offset i64, ptr, len) -> i32   bytes that came; fewer than len only at the end
//	write(i, offset i64, ptr, len) -> i32  len; a register takes offset 0 and is replaced
//	args_size() -> i32                     bytes of the arguments, in JSON
//	args_read(ptr) -> i32                  puts them there
//	result(ptr, len)                       the answer: JSON, or text, which becomes a JSON string
//
// All that has no type here is i32. Below zero an answer is a message.Code, negative: -5 (out of bounds)
// for an index that is none of the job's, -24 for a register that was never written. A ptr and len outside
// of the module's memory end the job. Of the writes of a job that fails, those that returned have happened.
//
// A program for WASI preview 1 gets its name as its only argument, the JSON of its arguments on standard
// input, and answers on standard output. What it says on standard error is part of the error if it fails;
// exit codes other than 0 are failures. It can import the functions of dmalloc as well. In Go:
//
//	//go:wasmimport dmalloc size
//	func size(i int32) int64
//
//	GOOS=wasip1 GOARCH=wasm go build -o lines.wasm ./job/testdata/lines
//
// testdata/lines is a whole one.
//
// # How a module is run
//
//	scan.go, body.go   judges its shape and writes pauses into its code (J2, J5)
//	engine.go          has wazero judge the rest and compile it, instantiates it, says why it failed
//	host.go            the functions above
//	memory.go          its memory, and where its pauses come
//	cache.go           compiled modules
//
// wazero's compiler is used where it knows the machine, else its interpreter; that also runs modules whose
// functions have so many branches that compiling them would take long. Measured with two cores that
// others shared: a job costs 30 µs; a loop's turn 1 ns (interpreter: 75); a program in Go of 3 MB 10 ms
// (15) when it is compiled, and compiling takes 1.2 s (0.2), once a node. The compiler won, for jobs are
// there to read much. The first module makes the first engine: a node without jobs pays nothing.
//
// # Goroutines
//
// Run works in its caller's. The only others compile modules; Close waits for them.
//
// # What is not promised
//
// A module's stack of calls is not a part of its memory: the engine lets it grow to about 100 MB, in Go's
// heap, before it says that it overflowed. Compiling cannot be stopped; the bounds in scan.go keep it short,
// one module is compiled at a time, and a job's time does not count it. Whoever may put modules
// may make a node busy.
//
// Next: package message, which has the request and its answer; package node, which serves them.
package job
