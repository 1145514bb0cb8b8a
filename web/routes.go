package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"dmalloc/client"
	"dmalloc/health"
	"dmalloc/message"
)

// route is one thing that can be asked. Dispatch, the index, /openapi.json and the metrics read it here (W4).
type route struct {
	method   string // GET serves HEAD too
	path     string // with {addr}, {id} and {name} for one segment each
	name     string // the operation's id
	about    string
	query    []param
	body     []field // a JSON object of these
	bytes    bool    // the body is bytes
	most     int64   // of the body, if not what Limits say
	status   int     // of success
	kind     string  // content type of success; "" is JSON
	answer   any     // a value of the type that success answers; nil is no body, or what kind says
	codes    []message.Code
	keyed    bool          // takes an Idempotency-Key
	patience time.Duration // what it gives the heap unless ?timeout= says otherwise; 0 is 5 s
	always   bool          // also while too many requests are under way
	handle   func(*call) error

	segments []string // of path
}

// param is a parameter of the query.
type param struct{ name, about string }

var (
	memoryCodes   = []message.Code{message.NotAllocated, message.OutOfBounds, message.Leased}
	registerCodes = []message.Code{message.NotWritten}
	jobCodes      = []message.Code{message.NoSuchJob}
	faultCodes    = []message.Code{message.Unsupported}
	memberCodes   = []message.Code{message.NoSuchNode, message.Unsupported}
	nodeCodes     = []message.Code{message.NoSuchNode, message.AlreadyDead, message.AlreadyAlive, message.Unsupported}
)

// routes is the table. It is a function, because the index walks the table that holds it.
func routes() []route {
	all := []route{
		{method: "POST", path: "/v1/malloc", name: "malloc", about: "allocate size bytes, zeroed", keyed: true,
			body: []field{{"size", count, must, "bytes, at least 1"}}, status: http.StatusCreated, answer: allocated{},
			codes: []message.Code{message.OutOfMemory}, handle: (*call).malloc},
		{method: "GET", path: "/v1/allocations", name: "listAllocations", about: "list allocations by address, a page at a time",
			query: []param{{"from", "the first address to list"}, {"limit", "how many to list, 1 to 1000; 100 if not given"},
				{"company", "only those with a block in this company"}, {"node", "only those with a block on this node"},
				{"state", "only those in this state: allocated, reserved, part or freeing"}},
			status: http.StatusOK, answer: page{}, handle: (*call).list},
		{method: "GET", path: "/v1/allocations/{addr}", name: "getAllocation", about: "the allocation that holds an address, and who owns and leads it",
			status: http.StatusOK, answer: described{}, codes: memoryCodes[:1], handle: (*call).describe},
		{method: "DELETE", path: "/v1/allocations/{addr}", name: "free", about: "free the allocation that starts at the address", keyed: true,
			status: http.StatusNoContent, codes: []message.Code{message.NotAllocated, message.AlreadyFree, message.Leased}, handle: (*call).free},
		{method: "GET", path: "/v1/memory/{addr}", name: "read", about: "read bytes; each piece of 1 MiB is linearizable",
			query:  []param{{"size", "how many bytes: 100, 4k, 1MiB; to the end of the allocation if not given"}},
			status: http.StatusOK, kind: "application/octet-stream", codes: memoryCodes, handle: (*call).read},
		{method: "PUT", path: "/v1/memory/{addr}", name: "write", about: "write the body's bytes; each piece of 1 MiB is linearizable. A body over 1 MiB needs a Content-Length", keyed: true,
			bytes: true, status: http.StatusOK, answer: written{}, codes: memoryCodes, handle: (*call).write},
		{method: "POST", path: "/v1/memory/{addr}/cas", name: "compareAndSwap", about: "replace the 8 bytes (little endian) at a multiple of 8 by new, if they are old", keyed: true,
			body:   []field{{"old", word, must, "what must stand there"}, {"new", word, must, "what shall stand there"}},
			status: http.StatusOK, answer: swapped{}, codes: memoryCodes, handle: (*call).compareAndSwap},
		{method: "POST", path: "/v1/memory/{addr}/add", name: "fetchAdd", about: "add delta to the 8 bytes (little endian) at a multiple of 8; the sum wraps around", keyed: true,
			body:   []field{{"delta", delta, must, "what is added; may be negative"}},
			status: http.StatusOK, answer: added{}, codes: memoryCodes, handle: (*call).fetchAdd},
		{method: "GET", path: "/v1/leases", name: "listLeases", about: "the leases of all nodes, by address",
			status: http.StatusOK, answer: leaseList{}, handle: (*call).leases},
		{method: "POST", path: "/v1/leases", name: "lease", about: "lease the pages of the block that holds an address to this node: r to read them, w to write them alone",
			body:   []field{{"address", word, must, "in the heap"}, {"mode", text, must, "r or w"}, {"length_ms", count, may, "how long, up to 30000; 10000 if not given"}},
			status: http.StatusCreated, answer: message.Lease{}, codes: []message.Code{message.NotAllocated, message.Leased, message.Fenced}, handle: (*call).lease},
		{method: "DELETE", path: "/v1/leases/{addr}", name: "release", about: "give back this node's lease on the page at the address",
			status: http.StatusOK, answer: message.Lease{}, codes: []message.Code{message.Fenced}, handle: (*call).release},
		{method: "POST", path: "/v1/sync", name: "sync", about: "write back what this node has absorbed under its leases",
			body:   []field{{"address", word, may, "only of the block that holds it"}},
			status: http.StatusOK, answer: synced{}, codes: []message.Code{message.NotAllocated, message.Fenced}, handle: (*call).sync},
		{method: "GET", path: "/read/{addr}", name: "readRegister", about: "a register's value and its tag; data has it in base64 where it is not UTF-8",
			status: http.StatusOK, answer: register{}, codes: registerCodes, handle: (*call).readRegister},
		{method: "POST", path: "/write", name: "writeRegister", about: "write a register; linearizable", most: maxWrite,
			body:   []field{{"addr", word, must, "which register"}, {"value", text, may, "up to 1 MiB in UTF-8"}, {"data", coded, may, "the same in place of value, for any bytes"}},
			status: http.StatusOK, answer: tagged{}, handle: (*call).writeRegister},
		{method: "GET", path: "/registers/{addr}", name: "storedRegister", about: "what this very node stores of a register",
			status: http.StatusOK, answer: register{}, codes: registerCodes, handle: (*call).storedRegister},
		{method: "GET", path: "/v1/registers", name: "listRegisters", about: "list the registers that one node stores, by address, a page at a time",
			query:  []param{{"from", "the first address to list"}, {"limit", "how many to list, 1 to 1000; 100 if not given"}, {"node", "which node; the one that is asked if not given"}},
			status: http.StatusOK, answer: registerPage{}, codes: []message.Code{message.NoSuchNode}, handle: (*call).listRegisters},
		{method: "GET", path: "/v1/registers/{addr}/place", name: "registerPlace", about: "which nodes keep a register",
			status: http.StatusOK, answer: client.RegisterPlace{}, handle: (*call).registerPlace},
		{method: "GET", path: "/v1/register-members", name: "registerMembers", about: "among which nodes the registers are spread",
			status: http.StatusOK, answer: message.Registers{}, handle: (*call).registerMembers},
		{method: "PUT", path: "/v1/register-members", name: "spreadRegisters", about: "keep the registers on exactly these nodes from now on, and wait until they are there",
			body:   []field{{"nodes", nodeIDs, must, "all that shall keep registers"}},
			status: http.StatusOK, answer: spread{}, codes: []message.Code{message.NoSuchNode}, patience: spreadTime, handle: (*call).spreadRegisters},
		{method: "GET", path: "/v1/jobs", name: "listJobs", about: "the jobs that can be run: those built in and the modules",
			status: http.StatusOK, answer: jobList{}, handle: (*call).listJobs},
		{method: "POST", path: "/v1/jobs", name: "runJob", about: "run a job on the node that holds most of the addresses", most: maxJob,
			body:   []field{{"job", text, must, "one of GET /v1/jobs"}, {"addresses", addresses, must, "what it may touch: registers and heap addresses"}, {"args", anything, may, "what the job makes of it, up to 64 KiB"}},
			status: http.StatusOK, answer: message.JobResult{}, codes: append(jobCodes, message.JobFailed), patience: jobTime, handle: (*call).runJob},
		{method: "PUT", path: "/v1/jobs/{name}", name: "addJob", about: "add a job, or put another in its place: the body is a WebAssembly module", bytes: true, most: message.MaxJobModule,
			status: http.StatusOK, answer: message.Job{}, patience: maxTimeout, handle: (*call).addJob},
		{method: "DELETE", path: "/v1/jobs/{name}", name: "dropJob", about: "remove a module of jobs",
			status: http.StatusNoContent, codes: jobCodes, handle: (*call).dropJob},
		{method: "GET", path: "/v1/nodes", name: "listNodes", about: "every node and whether it is alive",
			status: http.StatusOK, answer: nodeList{}, handle: (*call).nodes},
		{method: "GET", path: "/v1/status", name: "clusterStatus", about: "how the cluster is, without a quorum too: a verdict, what is missing, and which nodes would restore it",
			status: http.StatusOK, answer: health.Report{}, always: true, handle: (*call).clusterStatus},
		{method: "POST", path: "/v1/nodes", name: "addNode", about: "start another node, and wait until it takes part; companies move to it afterwards",
			body:   []field{{"host", text, may, "where; a host that has room if not given"}},
			status: http.StatusCreated, answer: client.Node{}, codes: memberCodes, patience: memberTime, handle: (*call).addNode},
		{method: "DELETE", path: "/v1/nodes/{id}", name: "removeNode", about: "drain a node, and wait until it is gone; a request that ends early ends only the waiting",
			status: http.StatusOK, answer: client.Removal{}, codes: memberCodes, patience: memberTime, handle: (*call).removeNode},
		{method: "POST", path: "/v1/nodes/{id}/kill", name: "kill", about: "end the node's process with SIGKILL",
			body:   []field{backAfter},
			status: http.StatusOK, answer: ordered{}, codes: nodeCodes, handle: (*call).kill},
		{method: "POST", path: "/v1/nodes/{id}/revive", name: "revive", about: "start the node's process again, and wait until it has caught up",
			status: http.StatusOK, answer: ordered{}, codes: nodeCodes, patience: maxTimeout, handle: (*call).revive},
		{method: "POST", path: "/v1/nodes/{id}/pause", name: "pause", about: "stop the node's process with SIGSTOP",
			body:   []field{backAfter},
			status: http.StatusOK, answer: ordered{}, codes: nodeCodes, handle: (*call).pause},
		{method: "POST", path: "/v1/nodes/{id}/resume", name: "resume", about: "continue the node's process with SIGCONT",
			status: http.StatusOK, answer: ordered{}, codes: nodeCodes, handle: (*call).resume},
		{method: "POST", path: "/v1/nodes/{id}/corrupt", name: "corrupt", about: "flip bits in the kept files of a node that is dead",
			body:   []field{{"seed", count, may, "the same seed does the same to the same files; drawn if not given"}},
			status: http.StatusOK, answer: damaged{}, codes: nodeCodes, handle: (*call).corrupt},
		{method: "GET", path: "/v1/faults", name: "listFaults", about: "the faults that last",
			status: http.StatusOK, answer: faultList{}, codes: faultCodes, handle: (*call).faults},
		{method: "POST", path: "/v1/faults", name: "beginFault", about: "begin a fault, and wait until the nodes have taken it in",
			body:   []field{{"fault", text, must, "such as slow 0 1 50ms, partition 0,1|2,3 or disk full 2; `h` in the shell lists them"}, {"for", text, may, "when it ends by itself, such as 5s"}},
			status: http.StatusCreated, answer: client.Fault{}, codes: append(faultCodes, message.NoSuchNode), handle: (*call).beginFault},
		{method: "DELETE", path: "/v1/faults", name: "healAll", about: "end all faults",
			status: http.StatusOK, answer: healedList{}, codes: faultCodes, handle: (*call).heal},
		{method: "DELETE", path: "/v1/faults/{id}", name: "heal", about: "end one fault",
			status: http.StatusOK, answer: healedList{}, codes: faultCodes, handle: (*call).heal},
		{method: "GET", path: "/v1/companies", name: "listCompanies", about: "every company: window, owners, leader, term, use",
			status: http.StatusOK, answer: companyList{}, handle: (*call).companies},
		{method: "POST", path: "/v1/companies/{id}/recover", name: "recover", about: "restore a company that has lost a majority of its owners for good, from what survives; the refusal says what may be lost, until yes is true",
			body:   []field{{"yes", flag, may, "whether what may be lost may be lost"}},
			status: http.StatusOK, answer: client.Recovery{}, codes: faultCodes, patience: maxTimeout, handle: (*call).recover},
		{method: "GET", path: "/v1/leaders", name: "listLeaders", about: "elections so far: who led which company when",
			status: http.StatusOK, answer: leaderList{}, handle: (*call).leaders},
		{method: "GET", path: "/v1/graph.dot", name: "graph", about: "a picture in DOT",
			query:  []param{{"what", "allocations (if not given), cluster or elections"}},
			status: http.StatusOK, kind: "text/vnd.graphviz; charset=utf-8", handle: (*call).graph},
		{method: "GET", path: "/v1", name: "index", about: "what can be asked", status: http.StatusOK, answer: index{}, handle: (*call).index},
		{method: "GET", path: "/metrics", name: "metrics", about: "this node's numbers in the Prometheus text format",
			status: http.StatusOK, kind: "text/plain; version=0.0.4; charset=utf-8", always: true, handle: (*call).metrics},
		{method: "GET", path: openPath, name: "healthz", about: "the process lives", status: http.StatusOK, answer: vital{}, always: true, handle: (*call).healthz},
		{method: "GET", path: "/status/", name: "status", about: "the process lives, in a word", status: http.StatusOK, kind: "text/plain; charset=utf-8", always: true, handle: (*call).pong},
		{method: "GET", path: "/readyz", name: "readyz", about: "each company of this node has a leader; 503 otherwise. Companies with fewer live owners than they should have are named, and served", status: http.StatusOK, answer: vital{}, always: true, handle: (*call).readyz},
		{method: "GET", path: "/openapi.json", name: "openapi", about: "this description", status: http.StatusOK, kind: "application/json", always: true, handle: (*call).openapi},
	}
	for i := range all {
		all[i].segments = strings.Split(all[i].path, "/")
	}
	return all
}

func (rt *route) variable(segment string) bool { return strings.HasPrefix(segment, "{") }

// match says whether the path is the route's, and what stands for its braces.
func (rt *route) match(segments []string) (vars []string, ok bool) {
	if len(segments) != len(rt.segments) {
		return nil, false
	}
	for i, s := range rt.segments {
		switch {
		case rt.variable(s) && segments[i] != "":
			vars = append(vars, segments[i])
		case s != segments[i]:
			return nil, false
		}
	}
	return vars, true
}

// longest is what ?timeout= may ask for.
func (rt *route) longest() time.Duration { return max(maxTimeout, rt.patience) }

func (rt *route) parameters() string {
	names := "timeout"
	for _, p := range rt.query {
		names += ", " + p.name
	}
	return names
}

// find picks the route of a request.
func (s *Server) find(a *answer, r *http.Request) (*route, []string, error) {
	segments := strings.Split(r.URL.Path, "/")
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	for i := range s.routes {
		rt := &s.routes[i]
		vars, ok := rt.match(segments)
		if ok && rt.method == method {
			return rt, vars, nil
		}
		if ok {
			allowed = append(allowed, rt.method)
			if rt.method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 0 {
		return nil, nil, &failure{http.StatusNotFound, "not_found", "there is nothing at " + message.Quote(r.URL.Path) + "; GET /v1 lists what there is"}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	a.Header().Set("Allow", allow)
	return nil, nil, &failure{http.StatusMethodNotAllowed, "method_not_allowed", message.Quote(r.Method) + " does not go with " + message.Quote(r.URL.Path) + "; use " + allow}
}
