package message

import (
	"fmt"
	"net/http"
	"strings"
)

// Explanation is what a person needs to know of a code: what it means, whether anything was done, and what to
// do now.
type Explanation struct {
	Code  string `json:"code"`
	HTTP  int    `json:"http_status"`
	Exit  string `json:"exit_status"` // of a script, a subcommand or a node's process
	Means string `json:"means"`
	Done  string `json:"done"` // whether anything was done
	Do    string `json:"do"`
}

// nothingDone is what most refusals leave behind.
const nothingDone = "Nothing: the request was refused before it changed anything."

// failedExit is the exit status that a failed command gives to its script.
const failedExit = "1 at the end of a script with this answer"

// passing is for codes that the client deals with: who sees one talks to a node without package client.
const passing = "Use a client, which follows it by itself. Seen through one it is a defect: take a `sysdump`."

// explanations has a row for each code; its test holds it against the table of codes.
var explanations = [...]struct{ means, done, do, exit string }{
	Done: {"The request was done.", "All of it.", "Nothing.", "0"},
	InvalidArgument: {"The request makes no sense as it stands: a word, a number, a size or a file is not what the command takes. The text names it and what is allowed.",
		nothingDone, "Correct what the text names. `h COMMAND` shows the forms of a command.", "1 at the end of a script with this answer; 2 where it is the command line that is wrong"},
	NotAllocated: {"No allocation holds the address, and none ever began there.",
		nothingDone, "`t` lists the allocations. `f` takes the first address of one, all other commands any address within.", failedExit},
	AlreadyFree: {"The allocation was freed before.",
		"Nothing: it stays free.", "Nothing, if it was to be free. If not, another client has freed it; `log` shows the last operations.", failedExit},
	OutOfMemory: {"No company has that much free space, nor all of them together.",
		"Nothing: no part of it is kept.", "Free something, ask for less, or add a node. The text names the largest free piece; `companies` shows what is used, its `room` in JSON the largest piece of each. A company counts whole pages: one small allocation keeps its page.", failedExit},
	OutOfBounds: {"The bytes from the address on reach over the end of its allocation.",
		nothingDone, "`who ADDRESS` shows the allocation and its size.", failedExit},
	NoSuchNode: {"The cluster has no node of that number.",
		nothingDone, "`nodes` lists them. How many there are is fixed when a cluster is made.", failedExit},
	AlreadyDead: {"The node's process does not run.",
		nothingDone, "`revive ID` starts it.", failedExit},
	AlreadyAlive: {"The node's process runs already, or is not frozen.",
		nothingDone, "Nothing. `nodes` shows what each process does.", failedExit},
	Unavailable: {"Not enough nodes answer: a company has no majority of its owners or no leader, a register no quorum of its replicas, or nobody answers at all.",
		"What the text says: nothing was changed, or it cannot be known yet. In the second case the change may still appear.",
		"`status` says what is missing and which nodes would restore it; `revive ID` starts a dead one, `resume ID` continues a frozen one. Then repeat the command.",
		"1 at the end of a script with this answer; 3 where no cluster could be started or reached"},
	Timeout: {"Somebody works on it, but has not answered within the command's time.",
		"It may have been done, or may still be. The text says what is known.",
		"Look before you repeat it, or give commands more time with `set timeout 30s` or `--timeout`. If it comes often, `stats` shows where the time goes, and `doctor` how fast the disk is.", failedExit},
	Unsupported: {"This node, shell or cluster cannot do that: it has no launcher, or is of another version.",
		nothingDone, "Processes are killed, revived, paused and resumed only where `dmalloc up` started them. `doctor --connect` compares the versions of the nodes.", failedExit},
	NotLeader: {"The node owns the company, but another one leads it. The answer names that one, if it is known.",
		nothingDone, passing, failedExit},
	Stale: {"The asker goes by a directory, or by a configuration of the registers, that is older than the node's.",
		nothingDone, passing, failedExit},
	Retry: {"The node does not know how the request ended, for its leadership ended meanwhile.",
		"It may have been done.", "Send it again under the same client and sequence number: then it is done once. A client does so by itself.", failedExit},
	TooOld: {"The request's sequence number lies below the oldest one that its client still waits for, so whether it was done is no longer kept.",
		"Nothing now; an earlier copy of the same request may have been done.",
		"A client that gets this reuses numbers, or has been silent for longer than the cluster remembers clients. Start a new client.", failedExit},
	Elsewhere: {"The address is part of an allocation over several companies, and another company has its bytes. The answer names them.",
		nothingDone, passing, failedExit},
	Leased: {"A node holds a lease that forbids this, was asked to give it back, and has not done so within the time of the command.",
		nothingDone, "`leases` shows who holds it and for how long at most; repeat the command when it is over.", failedExit},
	Busy: {"A bounded queue was full.",
		nothingDone, "Try again in a moment; with many clients, have fewer requests under way at once.", failedExit},
	Internal: {"A defect of dmalloc.",
		"It cannot be known from the code alone: read before you repeat a change.",
		"Take `sysdump FILE` while the cluster is as it is, and report it together with the text.", failedExit},
	Corrupt: {"Files that a node keeps were altered or are an older copy: their sums or numbers do not fit.",
		"The node does not serve from them. The other owners go on.",
		"`doctor --data DIR` looks at the disk. If a majority of the other owners lives, `revive ID --wipe` replaces what the node kept by what they have.",
		"1 of the node's process; 3 if a cluster cannot start for it"},
	Canceled: {"Whoever asked has given up: Ctrl-C, a closed connection, or no to a question.",
		"What the text says: before a request leaves, nothing; afterwards it may have been done.", "Look before you repeat it.", failedExit},
	Aborted: {"An allocation over several companies was given up before it could be completed, because its client had been silent for too long.",
		"Nothing is allocated; what was reserved is given back.", "Ask again: it is another allocation.", failedExit},
	Forbidden: {"The caller may not do this: the page that sent the request is of another origin, the peer is not of this cluster, or only nodes and the launcher ask for that.",
		nothingDone, "Ask the node directly, by the address that `nodes` shows. Nodes of another cluster keep out of this one.", failedExit},
	NotWritten: {"The register was never written; or, where one node was asked for what it stores, it stores nothing of it.",
		nothingDone, "`reg r N` reads what the quorum has; `reg who N` shows which nodes keep the register.", failedExit},
	NoSuchJob: {"No built-in job and no module has that name.",
		nothingDone, "`job ls` lists them; `job add MODULE FILE` adds one.", failedExit},
	JobFailed: {"The job ran and failed by itself: its module returned an error, or used up its time or memory.",
		"What the job wrote before it failed stays written.", "The text is the job's own. Run it again with less input, or correct the module.", failedExit},
	Broken: {"A check has found that a promise was not kept: a drill failed, or the owners of a company do not hold the same.",
		"Nothing: the check only looked.", "Keep the data and the script that was printed, take a `sysdump`, and report it. `verify` names the node that is wrong; `revive ID --wipe` has it start anew from the others.", failedExit},
	Fenced: {"The lease under which it was asked is over: it was given back, revoked or has expired.",
		"Nothing was done under the lease. Bytes that a write-back holder had not yet written are lost; the text says which.",
		"Take the lease anew with `lease`, look at what is there now, and repeat the command.", failedExit},
}

// Explain says what a code means. A code of a later version has an explanation, too.
func Explain(c Code) Explanation {
	e := Explanation{Code: c.String(), HTTP: c.HTTPStatus(), Exit: failedExit, Means: "A code of a later version.", Done: "What the text says.", Do: "Use a client of the version of the nodes."}
	if int(c) < len(explanations) {
		x := explanations[c]
		e.Exit, e.Means, e.Done, e.Do = x.exit, x.means, x.done, x.do
	}
	return e
}

// onlyHTTP are the words of refusals that HTTP itself knows. They class no outcome of the cluster.
var onlyHTTP = []Explanation{
	{Code: "not_found", HTTP: http.StatusNotFound, Means: "Nothing can be asked at that path.", Done: nothingDone, Do: "`GET /v1` lists all paths."},
	{Code: "method_not_allowed", HTTP: http.StatusMethodNotAllowed, Means: "The path takes other methods.", Done: nothingDone, Do: "The header `Allow` lists them."},
	{Code: "length_required", HTTP: http.StatusLengthRequired, Means: "A long body came without a Content-Length.", Done: nothingDone, Do: "Send the length, so that nothing is written if it does not fit."},
	{Code: "too_large", HTTP: http.StatusRequestEntityTooLarge, Means: "The body, or a part of it, is longer than this request takes.", Done: nothingDone, Do: "Send less at once; the text says how much fits."},
}

// Explanations lists what can stand in "code" of an answer: every code, then the words that only HTTP uses.
func Explanations() []Explanation {
	var all []Explanation
	for _, c := range Codes() {
		all = append(all, Explain(c))
	}
	return append(all, onlyHTTP...)
}

// FindExplanation finds the explanation of a word.
func FindExplanation(word string) (Explanation, bool) {
	for _, e := range Explanations() {
		if e.Code == word {
			return e, true
		}
	}
	return Explanation{}, false
}

// Page is the explanation as a person reads it.
func (e Explanation) Page() string {
	exit := ""
	if e.Exit != "" {
		exit = ". Exit status: " + e.Exit
	}
	return fmt.Sprintf("%s\n\n  %s\n\n  Was anything done? %s\n  What to do: %s\n  HTTP status: %d%s\n", e.Code, e.Means, e.Done, e.Do, e.HTTP, exit)
}

// ErrorsMarkdown is docs/errors.md: a section a word.
func ErrorsMarkdown() string {
	var b strings.Builder
	b.WriteString(`# Errors

Written by ` + "`dmalloc docs errors`" + `; ` + "`h errors`" + ` and ` + "`h CODE`" + ` show the same in the shell.

Each failure has a code, in ` + "`error.code`" + ` of JSON answers, and a text that names what was asked, what is true and what to do. A code never changes
its meaning; the text may.

| code | number | HTTP | means |
| --- | --- | --- | --- |
`)
	for i, e := range Explanations() {
		number := fmt.Sprint(i)
		if !Code(i).Valid() {
			number = "only HTTP"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d | %s |\n", e.Code, e.Code, number, e.HTTP, e.Means)
	}
	for _, e := range Explanations() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n* **Was anything done?** %s\n* **What to do:** %s\n* **HTTP status:** %d\n", e.Code, e.Means, e.Done, e.Do, e.HTTP)
		if e.Exit != "" {
			fmt.Fprintf(&b, "* **Exit status:** %s\n", e.Exit)
		}
	}
	return b.String()
}
