package web

import "testing"

// Requests about faults; the fake keeps what it is told and knows nodes 0 to 2, of which node 1 is dead.
var goodFaultRequests = []goodRequest{
	{"listFaults", "GET", "/v1/faults", "", 200, `{"faults":[]}`},
	{"beginFault", "POST", "/v1/faults", `{"fault":"slow 0 1 50ms","for":"5s"}`, 201, `{"id":1,"kind":"slow","fault":"slow 0 1 50ms","left_ms":5000}`},
	{"beginFault", "POST", "/v1/faults", `{"fault":"partition 0|1"}`, 201, `{"id":2,"kind":"slow","fault":"partition 0|1"}`},
	{"listFaults", "GET", "/v1/faults", "", 200, `{"faults":[{"id":1,"kind":"slow","fault":"slow 0 1 50ms","left_ms":5000},{"id":2,…}]}`},
	{"heal", "DELETE", "/v1/faults/1", "", 200, `{"healed":[{"id":1,…}]}`},
	{"healAll", "DELETE", "/v1/faults", "", 200, `{"healed":[{"id":2,…}]}`},
	{"healAll", "DELETE", "/v1/faults", "{}", 200, `{"healed":[]}`},
	{"corrupt", "POST", "/v1/nodes/1/corrupt", "", 200, `{"node":1,"seed":5,"flips":[{"file":"raft/a.log","offset":7,"bit":3}]}`},
	{"corrupt", "POST", "/v1/nodes/1/corrupt", `{"seed":7}`, 200, `{"node":1,"seed":7,…}`},
}

var badFaultRequests = []badRequest{
	{"POST", "/v1/faults", "", 400, "invalid_argument", "not one JSON value"},
	{"POST", "/v1/faults", "{}", 400, "invalid_argument", `"fault" is missing`},
	{"POST", "/v1/faults", `{"fault":1}`, 400, "invalid_argument", "must be a string"},
	{"POST", "/v1/faults", `{"fault":"burn 1"}`, 400, "invalid_argument", "no fault"},
	{"POST", "/v1/faults", `{"fault":"slow 0 1 1s","for":5}`, 400, "invalid_argument", "must be a string"},
	{"POST", "/v1/faults", `{"fault":"slow 0 1 1s","for":"5"}`, 400, "invalid_argument", "such as 5s"},
	{"POST", "/v1/faults", `{"fault":"slow 0 1 1s","for":"-5s"}`, 400, "invalid_argument", "such as 5s"},
	{"DELETE", "/v1/faults/0", "", 400, "invalid_argument", "not the number of a fault"},
	{"DELETE", "/v1/faults/disk", "", 400, "invalid_argument", "not the number of a fault"},
	{"DELETE", "/v1/faults/77", "", 400, "invalid_argument", "no fault 77"},
	{"DELETE", "/v1/faults", "now", 400, "invalid_argument", ""},
	{"PUT", "/v1/faults", "", 405, "method_not_allowed", ""},
	{"POST", "/v1/nodes/0/corrupt", "", 409, "already_alive", ""},
	{"POST", "/v1/nodes/x/corrupt", "", 400, "invalid_argument", "not a node"},
	{"POST", "/v1/nodes/1/corrupt", `{"seed":-1}`, 400, "invalid_argument", `"seed" must be`},
}

// A node that is taken out for a time is brought back after it; without a time nobody brings it back.
func TestOutForATime(t *testing.T) {
	control := &fakeControl{}
	s, _ := newServer(t, func(c *Config) { c.Control = control })
	for path, body := range map[string]string{"/v1/nodes/0/kill": `{"for":"5s"}`, "/v1/nodes/2/pause": ""} {
		if answer := ask(s, "POST", path, body); answer.Code != 200 {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
	if len(control.back) != 1 || control.back[0] != "0 after 5s" {
		t.Errorf("%q", control.back)
	}
}
