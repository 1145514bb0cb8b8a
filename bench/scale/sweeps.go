package scale

import (
	"strings"

	"dmalloc/message"
)

// Shape is the cluster that a point needs. Without a number of companies there are as many as a new cluster gets.
type Shape struct {
	Nodes     int `json:"nodes"`
	Companies int `json:"companies,omitempty"`
	Replicas  int `json:"replicas"`
}

// Pair is the work of allocating and freeing, after which as much is live as before.
const Pair = "pair"

// Task is a work of package peer, done by so many at once.
type Task struct {
	Work     string
	Size     uint64
	InFlight int
}

// Point is one value of what a sweep changes.
type Point struct {
	Value int
	Shape Shape
	Live  int // allocations that there are meanwhile
	Loads []Load
}

// Load is what a point is measured with.
type Load struct {
	Name string
	Busy Task // gives the rate
	Lone Task // gives the latency; none: Busy gives it, too
}

// Sweep is a row of plots and tables.
type Sweep struct {
	Name   string
	Title  string
	Axis   string // what its values are
	Rest   bool   // what a cluster costs that nobody uses is measured, too
	Points []Point
}

const (
	word  = 16  // bytes of a write, a read and an allocation
	many  = 256 // operations in flight where a rate is measured
	three = 3
)

// Sweeps are all of them, in the order in which they are measured.
func Sweeps() []Sweep {
	both := func(busy int, lone bool) (all []Load) {
		for _, l := range []Load{{Name: "write"}, {Name: "read"}} {
			l.Busy = Task{l.Name, word, busy}
			if lone {
				l.Lone = Task{l.Name, word, 1}
			}
			all = append(all, l)
		}
		return all
	}
	sweep := func(name, title, axis string, rest bool, values []int, point func(v int) Point) Sweep {
		s := Sweep{Name: name, Title: title, Axis: axis, Rest: rest}
		for _, v := range values {
			p := point(v)
			p.Value = v
			s.Points = append(s.Points, p)
		}
		return s
	}
	return []Sweep{
		sweep("clients", "operations in flight, 3 nodes", "operations in flight", false, []int{1, 4, 16, 64, 256, 1024}, func(v int) Point {
			return Point{Shape: Shape{Nodes: three, Replicas: three}, Loads: both(v, false)}
		}),
		sweep("companies", "companies on 3 nodes", "companies", true, []int{1, 2, 4, 8, 16, 32, 64}, func(v int) Point {
			return Point{Shape: Shape{Nodes: three, Companies: v, Replicas: three}, Loads: both(many, true)}
		}),
		sweep("nodes", "nodes on one machine, a company for each", "nodes", true, []int{3, 5, 8, 12, 16, 20}, func(v int) Point {
			return Point{Shape: Shape{Nodes: v, Replicas: three}, Loads: both(many, true)}
		}),
		sweep("allocations", "live allocations of 16 B, 3 nodes", "live allocations", false, []int{1e3, 1e4, 1e5, 1e6}, func(v int) Point {
			return Point{Shape: Shape{Nodes: three, Replicas: three}, Live: v,
				Loads: []Load{{"malloc and free", Task{Pair, word, many}, Task{Pair, word, 1}}}}
		}),
		sweep("replicas", "replicas of each company, 5 nodes", "replicas", true, []int{1, 3, 5}, func(v int) Point {
			return Point{Shape: Shape{Nodes: 5, Replicas: v}, Loads: both(many, true)}
		}),
	}
}

// Select are the sweeps with these names, all without any, and of them the points up to most.
func Select(all []Sweep, names []string, most int) (some []Sweep, err error) {
	known := map[string]bool{}
	for _, s := range all {
		known[s.Name] = true
	}
	wanted := map[string]bool{}
	for _, n := range names {
		if !known[n] {
			return nil, message.Errorf(message.InvalidArgument, "%s is no row; there are %s", message.Quote(n), strings.Join(Names(), ", "))
		}
		wanted[n] = true
	}
	for _, s := range all {
		if len(names) > 0 && !wanted[s.Name] {
			continue
		}
		var points []Point
		for _, p := range s.Points {
			if p.Value <= most {
				points = append(points, p)
			}
		}
		if len(points) > 0 {
			s.Points = points
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		return nil, message.Errorf(message.InvalidArgument, "no row has a point up to %d", most)
	}
	return some, nil
}

// Names are those of all sweeps.
func Names() (all []string) {
	for _, s := range Sweeps() {
		all = append(all, s.Name)
	}
	return all
}
