package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// noRoute is where requests are counted that no route answers.
const noRoute = "none"

// stats counts requests by route and status, and times them. Routes and statuses are few, so the names are too:
// nothing that a stranger sends becomes one.
type stats struct {
	set    *metrics.Set
	panics *metrics.Counter
	times  map[string]*metrics.PrometheusHistogram // by route
}

func newStats(routes []route, g *gate) *stats {
	s := &stats{set: metrics.NewSet(), times: map[string]*metrics.PrometheusHistogram{}}
	s.panics = s.set.NewCounter("dmalloc_http_panics_total")
	s.set.NewGauge("dmalloc_http_requests_open", func() float64 { return float64(g.open()) })
	bounds := metrics.ExponentialBuckets(0.0001, 4, 10) // 0.1 ms to 26 s
	for i := range routes {
		label := routes[i].label()
		s.times[label] = s.set.NewPrometheusHistogramExt(fmt.Sprintf("dmalloc_http_request_seconds{route=%q}", label), bounds)
	}
	return s
}

// label is what metrics call the route; nil is the one for requests that have none.
func (rt *route) label() string {
	if rt == nil {
		return noRoute
	}
	return rt.method + " " + rt.path
}

// observe counts a request. One that was cut after its status was sent counts as a status of its own.
func (s *stats) observe(rt *route, status int, took time.Duration, cut bool) {
	code := fmt.Sprint(status)
	switch {
	case cut:
		code = "cut"
	case status == 0:
		code = fmt.Sprint(http.StatusOK) // net/http sends it for a handler that wrote nothing
	}
	s.set.GetOrCreateCounter(fmt.Sprintf("dmalloc_http_requests_total{route=%q,code=%q}", rt.label(), code)).Inc()
	if h := s.times[rt.label()]; h != nil {
		h.Update(took.Seconds())
	}
}
