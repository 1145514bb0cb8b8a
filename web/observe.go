package web

import (
	"bytes"
	"net/http"
	"net/http/pprof"
	"slices"

	"dmalloc/client"
	"dmalloc/message"
)

type nodeList struct {
	Nodes []client.Node `json:"nodes"`
}

type companyList struct {
	Companies []client.Company `json:"companies"`
}

type leaderList struct {
	Leaders []message.Tenure `json:"leaders"`
}

// vital is the answer of /healthz and /readyz. Status and UnderReplicated are of /readyz only, and say that all is
// served, but can lose less than usual.
type vital struct {
	OK              bool           `json:"ok"`
	Node            message.NodeID `json:"node"`
	Status          string         `json:"status,omitempty"` // under_replicated
	UnderReplicated []Thin         `json:"under_replicated,omitempty"`
}

// Thin is a company with fewer live owners than it should have; 0 is the directory.
type Thin struct {
	Company message.CompanyID `json:"company"`
	Missing int               `json:"missing"`
}

// index is the answer of /v1: what can be asked.
type index struct {
	Node   message.NodeID `json:"node"`
	Routes []indexRow     `json:"routes"`
}

type indexRow struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	About  string `json:"about"`
}

// list makes an absent list an empty one.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return slices.Clone(all)
}

func (c *call) nodes() error {
	ctx, cancel := c.context()
	defer cancel()
	all, err := c.s.cfg.Heap.Nodes(ctx)
	if err != nil {
		return err
	}
	all = list(all)
	for i := range all {
		all[i].Leads, all[i].Owns = list(all[i].Leads), list(all[i].Owns)
	}
	return c.json(http.StatusOK, nodeList{all})
}

// clusterStatus answers 200 however the cluster is: the question was answered.
func (c *call) clusterStatus() error {
	ctx, cancel := c.context()
	defer cancel()
	report, err := c.s.cfg.Heap.Status(ctx)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, report)
}

func (c *call) companies() error {
	ctx, cancel := c.context()
	defer cancel()
	all, err := c.s.cfg.Heap.Companies(ctx)
	if err != nil {
		return err
	}
	all = list(all)
	for i := range all {
		all[i].Owners = list(all[i].Owners)
	}
	return c.json(http.StatusOK, companyList{all})
}

func (c *call) leaders() error {
	ctx, cancel := c.context()
	defer cancel()
	all, err := c.s.cfg.Heap.Elections(ctx)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, leaderList{list(all)})
}

func (c *call) graph() error {
	what := c.query.Get("what")
	if what == "" {
		what = "allocations"
	}
	if !slices.Contains([]string{"allocations", "cluster", "elections"}, what) {
		return message.Errorf(message.InvalidArgument, "%s cannot be drawn; use what=allocations, cluster or elections", message.Quote(what))
	}
	if c.s.cfg.Graph == nil {
		return message.Errorf(message.Unsupported, "this node draws no pictures")
	}
	ctx, cancel := c.context()
	defer cancel()
	dot, err := c.s.cfg.Graph(ctx, what)
	if err != nil {
		return err
	}
	return writeWhole(c.answer, http.StatusOK, c.route.kind, []byte(dot))
}

func (c *call) index() error {
	out := index{Node: c.s.cfg.Node, Routes: []indexRow{}}
	for i := range c.s.routes {
		rt := &c.s.routes[i]
		out.Routes = append(out.Routes, indexRow{rt.method, rt.path, rt.about})
	}
	return c.json(http.StatusOK, out)
}

// metrics gathers all numbers before it sends the first, so that the answer is whole or an error.
func (c *call) metrics() error {
	var b bytes.Buffer
	c.s.stats.set.WritePrometheus(&b)
	if c.s.cfg.Metrics != nil {
		c.s.cfg.Metrics(&b)
	}
	return writeWhole(c.answer, http.StatusOK, c.route.kind, b.Bytes())
}

func (c *call) healthz() error { return c.json(http.StatusOK, vital{OK: true, Node: c.s.cfg.Node}) }

// pong answers what older clients ask.
func (c *call) pong() error {
	return writeWhole(c.answer, http.StatusOK, c.route.kind, []byte("pong"))
}

func (c *call) readyz() error {
	if c.s.cfg.Ready != nil {
		if err := c.s.cfg.Ready(); err != nil {
			return &failure{http.StatusServiceUnavailable, message.Unavailable.String(), "not ready: " + err.Error()}
		}
	}
	v := vital{OK: true, Node: c.s.cfg.Node}
	if c.s.cfg.Thin != nil {
		if v.UnderReplicated = c.s.cfg.Thin(); len(v.UnderReplicated) > 0 {
			v.Status = "under_replicated"
		}
	}
	return c.json(http.StatusOK, v)
}

func (c *call) openapi() error {
	b, err := describeAPI(c.s.routes)
	if err != nil {
		return err
	}
	return writeWhole(c.answer, http.StatusOK, c.route.kind, b)
}

// profiles serves Go's profiles of this process. They tell much about it, so only Config.Debug shows them.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func (c *call) profile() error {
	c.s.debug.ServeHTTP(c.answer, c.r)
	return nil
}
