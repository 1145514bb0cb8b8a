package web

// Requests to recover a company; the fake knows of one without a majority, 2.
var goodRecoverRequests = []goodRequest{
	{"recover", "POST", "/v1/companies/2/recover", `{"yes":true}`, 200, `{"company":2,"generation":1,"node":1,"index":7,"survivors":[{"node":1,"index":7}],"missing":[0,2]}`},
}

var badRecoverRequests = []badRequest{
	{"POST", "/v1/companies/2/recover", "", 400, "invalid_argument", "yes false"},
	{"POST", "/v1/companies/2/recover", "{}", 400, "invalid_argument", "yes false"},
	{"POST", "/v1/companies/2/recover", `{"yes":false}`, 400, "invalid_argument", "yes false"},
	{"POST", "/v1/companies/2/recover", `{"yes":"true"}`, 400, "invalid_argument", "must be true or false"},
	{"POST", "/v1/companies/2/recover", `{"yes":1}`, 400, "invalid_argument", "must be true or false"},
	{"POST", "/v1/companies/2/recover", `{"no":true}`, 400, "invalid_argument", ""},
	{"POST", "/v1/companies/1/recover", `{"yes":true}`, 400, "invalid_argument", "nothing was done"},
	{"POST", "/v1/companies/x/recover", `{"yes":true}`, 400, "invalid_argument", "not a company"},
	{"GET", "/v1/companies/2/recover", "", 405, "method_not_allowed", ""},
}
