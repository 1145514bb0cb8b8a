package repl

import "slices"

// verb is one command of the shell: a row that dispatch, usage errors, help, completion, hints and the
// manual are all made from.
//
// A form lists what follows the name. A token in capitals stands for a value (see values), one in lower case for
// itself, a|b for either; [brackets] make it optional, dots behind it allow several, and --flags may stand
// anywhere. DATA, QUERY, TEXT and JSON are the rest of the line.
//
// Where the first word typed is one that a form begins with, only such forms count: `reg ls` is no `reg r`.
type verb struct {
	name     string
	aliases  []string
	forms    []string
	does     string   // one line
	each     []string // what each form does, a line each; nil where does says it
	more     string   // what else help says, and the manual
	examples []string
	run      func(s *Shell, c *call) (result, error)
	tail     func(args []word) bool // whether the rest of the line, after these words, is verbatim; nil: never
	long     bool                   // takes the time it needs; its pieces have deadlines of their own
}

// atOnce makes everything after the verb its tail.
func atOnce(args []word) bool { return len(args) == 0 }

// afterSize makes what follows `w ADDRESS SIZE` its tail.
func afterSize(args []word) bool { return len(args) == 2 && args[1].isNumber() }

// afterRegister makes what follows `reg w REGISTER` its tail.
func afterRegister(args []word) bool {
	return len(args) == 2 && args[0] == word{text: "w"}
}

// afterArgs makes what follows --args its tail.
func afterArgs(args []word) bool {
	return len(args) > 0 && args[len(args)-1] == word{text: "--args"}
}

func (v *verb) tailNow(args []word) bool { return v.tail != nil && v.tail(args) }

// values says what each token of a form may be.
var values = map[string]string{
	"ADDRESS":  "0x and hexadecimal digits, or decimal; _ is the last one that m, t or d printed; +N behind it goes N bytes on",
	"SIZE":     "a number of bytes: 100, 4k, 1MiB",
	"DATA":     "the rest of the line, blanks included, after one blank",
	"FILE":     "a file's name; \"in quotes\" if it holds blanks, ./123 if it looks like a number",
	"ID":       "a node's number, as `nodes` shows it",
	"NODE":     "a node's number, as `nodes` shows it",
	"COMPANY":  "a company's number, as `companies` shows it",
	"COUNT":    "a whole number from 1",
	"HOST":     "a machine's name or address, as in the hostfile",
	"COMMAND":  "a command, as `h` lists them; errors, or the code of one, as `h errors` lists them",
	"QUERY":    "one SELECT, the rest of the line",
	"TEXT":     "the rest of the line",
	"OLD":      "a number of 64 bits: decimal or 0x…",
	"NEW":      "a number of 64 bits: decimal or 0x…",
	"DELTA":    "a number of 64 bits: decimal, also negative, or 0x…",
	"SECONDS":  "0 to 3600, with decimals or without",
	"REGISTER": "a register's number of 64 bits: 0x and hexadecimal digits, or decimal",
	"JOB":      "sum, count, grep, sha256, or a module, as `job ls` shows them",
	"MODULE":   "a module's name: up to 64 letters, digits, - _ and . after the first",
	"INPUT":    "what a job is given: an address in the heap, _ as well, or a register's number; reg:N and heap:A say which",
	"JSON":     "the rest of the line: any JSON, in 'single quotes' if a ';' of -c must not end it",
	"--args":   "gives the job the JSON behind it",
	"OPTION":   drillOptions(),
	"NAME":     "output, timeout, color, errors or yes",
	"VALUE":    "table|json|csv, a duration such as 5s, auto|on|off, go-on|stop, on|off",
	"--yes":    "do not ask",
	"--for":    "ends the fault by itself after the DURATION behind it",
	"--seed":   "makes the same choice as before, with the NUMBER behind it",
	"GROUPS":   "nodes by commas, groups by |, as in 0,1|2,3,4; or one direction, as in 0,1>2",
	"A":        "a node's number, as `nodes` shows it",
	"B":        "another node's number",
	"DURATION": "a number with its unit: 50ms, 1.5s",
	"PERCENT":  "a share of frames, above 0% and up to 100%",
	"OFFSET":   "a number with a sign and its unit: +2s, -500ms",
	"NUMBER":   "a whole number from 1",
	"FAULT":    "the number of a fault, as `faults` shows it, or partition, slow, drop, disk, clock; all if nothing is said",
	"disk":     "both, or only disks that are full or slow",
	diskKinds:  "only disks that are full, or only those that are slow",
	"--wipe":   "throw the node's files away first; it copies everything from the other owners",
	"on|off":   "on or off",
	"r|w":      "r to read, with others; w to write, alone",
	"LENGTH":   "a number with its unit, up to 30s: 500ms, 10s",
	"net":      "all allocations",
	"company":  "only those with a block in one company",
	"node":     "only those with a block that one node owns",
	graphKinds: "what to draw; allocations if nothing is said",
}

// diskKinds are the faults of disks.
const diskKinds = "full|slow"

// graphKinds are the pictures that a Grapher draws.
const graphKinds = "allocations|cluster|elections"

// verbs lists every command in the order of the help. It is a function, because help walks the table that holds it.
func verbs() []verb {
	return slices.Concat(heapVerbs(), leaseVerbs(), registerVerbs(), clusterVerbs(), memberVerbs(), faultVerbs(), drillVerbs(), shellVerbs())
}

func heapVerbs() []verb {
	return []verb{
		{name: "h", aliases: []string{"help", "?"}, forms: []string{"[COMMAND]"}, run: (*Shell).help,
			does:     "every command with a line, or one with examples",
			more:     "`h errors` lists the codes of errors, and `h CODE` says what one means and what to do.",
			examples: []string{"h", "h w", "h errors", "h unavailable"}},
		{name: "t", forms: []string{"[ADDRESS] [COUNT]", "company COMPANY [COUNT]", "node NODE [COUNT]"}, run: (*Shell).table, long: true,
			does:     "table of allocations: address, size, blocks with company and nodes, state",
			more:     "With ADDRESS from there on; a single number below the heap is a COUNT. A long table is printed as it comes. Where there are leases, it shows who holds them.",
			examples: []string{"t", "t 20", "t 0x500000001000 50", "t company 1", "t node 0"}},
		{name: "m", forms: []string{"SIZE"}, run: (*Shell).malloc,
			does:     "allocates SIZE bytes; prints the address",
			more:     "New memory reads as zero.",
			examples: []string{"m 100", "m 4k", "m 1MiB"}},
		{name: "f", forms: []string{"ADDRESS"}, run: (*Shell).free,
			does:     "frees the allocation that starts at ADDRESS",
			more:     "Free already: a warning, nothing changes, and the command counts as failed.",
			examples: []string{"f 0x500000001000", "f _"}},
		{name: "w", forms: []string{"ADDRESS SIZE DATA", "ADDRESS FILE [SIZE]"}, run: (*Shell).write, tail: afterSize, long: true,
			does:     "writes the first SIZE bytes of DATA, or a file, or the first SIZE bytes of a file",
			more:     "What does not fit, or is shorter than SIZE, is refused before anything is written. A second word that is a number is a size; a file with such a name is written ./123. In -c a ';' outside quotes ends DATA. (write-back) says that the node which holds a lease has only absorbed it: see sync.",
			examples: []string{"w 0x500000001000 5 hello", "w _+16 11 hello world", "w _ ./photo.png", `w _ "a name with blanks" 4k`}},
		{name: "r", forms: []string{"ADDRESS SIZE", "ADDRESS FILE [SIZE]"}, run: (*Shell).read, long: true,
			does:     "reads SIZE bytes and prints text as text, anything else as a hex dump; or reads into a file",
			more:     "Into a file: to the end of the allocation, or SIZE bytes. The file is whole or untouched. Over 4 MiB everything is printed as a hex dump.",
			examples: []string{"r 0x500000001000 5", "r _+16 11", "r _ copy.bin", "r _ ./123 4k"}},
		{name: "d", forms: []string{"ADDRESS [FILE]", "net"}, run: (*Shell).dump, long: true,
			does:     "dumps the allocation that holds ADDRESS, or all with net: hex and text",
			more:     "Repeated lines are shown as *. With FILE the dump's text goes there.",
			examples: []string{"d 0x500000001000", "d _ dump.txt", "d net"}},
		{name: "cas", forms: []string{"ADDRESS OLD NEW"}, run: (*Shell).compareAndSwap,
			does:     "replaces the 8 bytes at ADDRESS by NEW if they are OLD, in one step",
			more:     "ADDRESS is a multiple of 8; the bytes are a little-endian number. Prints whether it was swapped, and what it holds otherwise.",
			examples: []string{"cas 0x500000001000 0 1", "cas _ 1 0xff"}},
		{name: "add", forms: []string{"ADDRESS DELTA"}, run: (*Shell).fetchAdd,
			does:     "adds DELTA to the 8 bytes at ADDRESS, in one step; prints what they were",
			more:     "ADDRESS is a multiple of 8; the bytes are a little-endian number that wraps around.",
			examples: []string{"add 0x500000001000 1", "add _+8 -5"}},
		{name: "who", forms: []string{"ADDRESS"}, run: (*Shell).who,
			does:     "the allocation, company, owners and leader behind an address",
			examples: []string{"who 0x500000001000", "who _"}},
	}
}

func registerVerbs() []verb {
	return []verb{
		{name: "reg", run: (*Shell).registers, tail: afterRegister, long: true,
			forms: []string{"r REGISTER [FILE]", "w REGISTER TEXT", "load REGISTER FILE", "ls [NODE]", "at NODE REGISTER",
				"who REGISTER", "members", "spread NODE..."},
			does: "registers: cells with a number, read and written by quorums, without a leader",
			each: []string{
				"prints a register's value, text as text and anything else as a hex dump; or puts it into a file",
				"writes the rest of the line into a register",
				"writes a file into a register",
				"table of the registers that a node stores: this one if none is named",
				"prints what one node stores of a register, which may be older than what `reg r` prints",
				"who keeps a register: its shard, the epoch, its replicas, and those of a change under way",
				"which nodes keep registers",
				"keeps the registers on exactly these nodes from now on; returns when all have moved",
			},
			more:     "A value has up to 1 MiB. TEXT begins after one blank and may hold blanks; an empty or binary value is loaded from a file. In -c a ';' outside quotes ends TEXT. A tag shows the time stamp, the writer's first digits and its operation; JSON and CSV have it all.",
			examples: []string{"reg w 7 hello", "reg r 7", "reg w 1 20", "reg w 2 22", "reg load 8 photo.png", "reg r 8 copy.bin", "reg ls", "reg ls 1", "reg who 7", "reg members", "reg spread 0 1 2"}},
		{name: "job", run: (*Shell).jobs, tail: afterArgs, long: true,
			forms: []string{"JOB INPUT... [--args JSON]", "add MODULE FILE", "rm MODULE", "ls"},
			does:  "jobs: work that is sent to where its data is",
			each: []string{
				"runs a job where most of its inputs are, and prints its answer",
				"adds a module of WebAssembly, to be run as a job of that name",
				"removes a module",
				"table of the jobs that there are: the built-ins and the modules",
			},
			more:     "A job has the time of a command (`set timeout`). A module named words is added with: job add words words.wasm; the names add, rm and ls are taken.",
			examples: []string{"job sum 1 2", "job count 7", "job sha256 7 8", `job grep 7 --args {"pattern":"l+"}`, "job ls"}},
	}
}

func clusterVerbs() []verb {
	return []verb{
		{name: "kill", forms: []string{"ID [--for DURATION] [--yes]"}, run: (*Shell).kill, long: true,
			does:     "kills the node's process with SIGKILL",
			more:     "An interactive shell asks first if a company would lose its majority; --yes does not ask. After --for the launcher revives it.",
			examples: []string{"kill 2", "kill 2 --yes", "kill 2 --for 5s"}},
		{name: "revive", forms: []string{"ID [--wipe] [--yes]"}, run: (*Shell).revive, long: true,
			does:     "starts the node's process again; ready when it has caught up",
			more:     "--wipe throws away what the node keeps on its disk first; an interactive shell asks before that.",
			examples: []string{"revive 2", "revive 2 --wipe --yes"}},
		{name: "pause", forms: []string{"ID [--for DURATION]"}, run: (*Shell).pause,
			does:     "freezes the node's process (SIGSTOP)",
			examples: []string{"pause 1", "pause 1 --for 5s"}},
		{name: "resume", forms: []string{"ID"}, run: (*Shell).resume,
			does:     "continues a frozen process (SIGCONT)",
			examples: []string{"resume 1"}},
		{name: "nodes", forms: []string{""}, run: (*Shell).nodes,
			does:     "who is alive, with pid, address, memory and companies led",
			examples: []string{"nodes"}},
		{name: "memory", forms: []string{""}, run: (*Shell).memory,
			does:     "what each node's memory is taken by, and the limits it stays within",
			more:     "resident is what the system counts, of limit: pages of the heap of heap_limit (what the node gives), cache of cache_limit, and what the process itself takes. other is what nobody counts: the program, buffers, garbage that is not collected yet.",
			examples: []string{"memory"}},
		{name: "status", forms: []string{""}, run: (*Shell).clusterStatus,
			does:     "how the cluster is: one line of verdict, then what is missing and which nodes would restore it",
			more:     "It asks every node directly, needs no majority of anything, and takes a second at most.",
			examples: []string{"status"}},
		{name: "companies", forms: []string{""}, run: (*Shell).companies,
			does:     "each company's window, owners, leader, term and use",
			examples: []string{"companies", "comp"}},
		{name: "leaders", forms: []string{""}, run: (*Shell).leaders,
			does:     "elections so far: who led which company in which term, and the gaps",
			examples: []string{"leaders"}},
		{name: "lead", forms: []string{"COMPANY NODE"}, run: (*Shell).lead,
			does:     "moves a company's leadership to a node that owns it",
			examples: []string{"lead 1 2"}},
		{name: "graph", forms: []string{"FILE [" + graphKinds + "]"}, run: (*Shell).graph,
			does:     "writes a picture in the DOT language",
			examples: []string{"graph heap.dot", "graph cluster.dot cluster"}},
		{name: "sql", forms: []string{"QUERY"}, run: (*Shell).sql, tail: atOnce,
			does:     "a read-only query on this node's page table",
			more:     "The page table shows what is or was on this node; `t` shows everything. Its tables and views: allocations, blocks, leases, log, and what select * from sqlite_master shows.",
			examples: []string{"sql select * from sqlite_master", "sql select address, mode, holder from leases", "sql select holder, count(*) from leases group by holder"}},
		{name: "log", forms: []string{"[COMPANY] [COUNT]"}, run: (*Shell).log,
			does:     "the last operations of a company, or of all that this node knows",
			more:     "S1 is the node that led the company then. COUNT is 20 if nothing is said.",
			examples: []string{"log", "log 1", "log 1 100"}},
		{name: "trace", forms: []string{"[on|off]"}, run: (*Shell).trace,
			does:     "prints every message that a command causes: time, op, source -> target, final target, size",
			examples: []string{"trace on", "trace off"}},
		{name: "sysdump", forms: []string{"FILE"}, run: (*Shell).sysdump, long: true,
			does:     "collects what every node says of itself into one archive (.tar.gz): status, logs, tables, metrics, goroutines",
			more:     "It needs no majority, takes 5 s at most for each node, all at once, and holds no data of the heap and no secrets. What could not be collected stands in its problems.txt.",
			examples: []string{"sysdump cluster.tar.gz"}},
		{name: "stats", forms: []string{""}, run: (*Shell).stats,
			does:     "operations, latencies (p50, p99), and where the time goes by stage",
			examples: []string{"stats"}},
	}
}

func shellVerbs() []verb {
	return []verb{
		{name: "set", forms: []string{"[NAME] [VALUE]"}, run: (*Shell).settings,
			does:     "shows or changes a setting",
			more:     "output: how results are printed. timeout: how long a command may take. color: on a terminal, always, never. errors: go-on, or stop after the first. yes: on does not ask.",
			examples: []string{"set", "set output json", "set timeout 10s", "set errors stop"}},
		{name: "history", forms: []string{"[COUNT]"}, run: (*Shell).history,
			does:     "the last lines",
			more:     "An interactive shell keeps them between runs in DMALLOC_HISTORY or $XDG_STATE_HOME/dmalloc/history.",
			examples: []string{"history", "history 10"}},
		{name: "sleep", forms: []string{"SECONDS"}, run: (*Shell).sleep, long: true,
			does:     "waits, for scripts",
			examples: []string{"sleep 0.1"}},
		{name: "echo", forms: []string{"TEXT"}, run: (*Shell).echo, tail: atOnce,
			does:     "prints TEXT, for scripts",
			examples: []string{"echo the heap before the kill"}},
		{name: "exit", aliases: []string{"quit"}, forms: []string{""}, run: (*Shell).exit,
			does:     "leaves; so does Ctrl-D",
			examples: []string{"exit"}},
	}
}
