package plot

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func panels() []Panel {
	x := []float64{1, 4, 16, 64, 256, 1024}
	return []Panel{
		{Title: "throughput", X: "operations in flight", Y: "per second", Series: []Series{
			{Name: "writes", X: x, Y: []float64{420, 1500, 5000, 15000, 31000, 33000}},
			{Name: "reads", X: x, Y: []float64{9000, 30000, 0, 88000, 91000, 90000}, Colour: 1},
		}},
		{Title: "latency", X: "operations in flight", Y: "µs", Series: []Series{
			{Name: "writes, p50", X: x, Y: []float64{2300, 2500, 3100, 4000, 8000, 30000}},
			{Name: "writes, p99", X: x, Y: []float64{5000, 5200, 6100, 8000, 16000, 60000}, Dashed: true},
			{Name: "reads <&> p50", X: x, Y: []float64{110, 120, 150, 700, 2800, 11000}, Colour: 1},
		}},
		{Title: "one", X: "x", Y: "y", Series: []Series{{Name: "one", X: []float64{100}, Y: []float64{10}, Colour: 2}}},
		{Title: "none", X: "x", Y: "y", Series: []Series{{Name: "none", X: []float64{0, 1, 2}, Y: []float64{1, 0, math.Inf(1)}}}},
	}
}

func TestSVG(t *testing.T) {
	const file = "testdata/panels.svg"
	got := SVG("Clients & what they get", panels()...)
	if *rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what is drawn (%v); go test ./bench/plot -rewrite, and look at the picture", file, err)
	}
	for range 3 {
		if !bytes.Equal(SVG("Clients & what they get", panels()...), got) {
			t.Fatal("the same series gave another picture")
		}
	}
	for d := xml.NewDecoder(bytes.NewReader(got)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if s := string(got); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
		t.Error("a number that is none")
	}
}

// The order in which points are given is not seen.
func TestOrder(t *testing.T) {
	a := Panel{Series: []Series{{Name: "s", X: []float64{1, 10, 100}, Y: []float64{3, 30, 20}}}}
	b := Panel{Series: []Series{{Name: "s", X: []float64{100, 1, 10}, Y: []float64{20, 3, 30}}}}
	if !bytes.Equal(SVG("t", a), SVG("t", b)) {
		t.Error("it is")
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0.05: "0.05", 1: "1", 20: "20", 999: "999", 1000: "1000", 1024: "1024", 10000: "10k", 2.5e6: "2.5M", 1e9: "1G"} {
		if got := Short(v); got != want {
			t.Errorf("Short(%v) = %q; want %q", v, got, want)
		}
	}
}
