package dotgen

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/emicklei/dot"

	"dmalloc/message"
)

// DefaultTenures is how many tenures of each company a picture shows at most, unless it is told otherwise.
const DefaultTenures = 50

// Elections is what DrawElections draws.
type Elections struct {
	Tenures []message.Tenure
	Limit   int // of tenures a company, the last ones; 0 means DefaultTenures
}

// DrawElections draws each company's tenures from left to right. Times are in seconds from the first
// tenure told, so that the picture needs no calendar.
func DrawElections(in Elections) string {
	limit := in.Limit
	if limit <= 0 {
		limit = DefaultTenures
	}
	all := uniqueFunc(in.Tenures, func(a, b message.Tenure) int {
		return cmp.Or(cmp.Compare(a.Company, b.Company), cmp.Compare(a.Term, b.Term), cmp.Compare(a.FromMS, b.FromMS), cmp.Compare(a.Leader, b.Leader),
			cmp.Compare(a.ToMS, b.ToMS), cmp.Compare(a.GapMS, b.GapMS))
	})
	g := newGraph("elections", "label", "seconds since the first election known")
	if len(all) == 0 {
		note(g, "note", "no election is known")
		return write(g, "elections")
	}
	zero := slices.MinFunc(all, func(a, b message.Tenure) int { return cmp.Compare(a.FromMS, b.FromMS) }).FromMS
	for len(all) > 0 {
		id := all[0].Company
		n := slices.IndexFunc(all, func(t message.Tenure) bool { return t.Company != id })
		if n < 0 {
			n = len(all)
		}
		drawTenures(g, all[:n], zero, limit)
		all = all[n:]
	}
	return write(g, "elections")
}

// drawTenures draws one company.
func drawTenures(g *dot.Graph, all []message.Tenure, zero int64, limit int) {
	name := "company_" + all[0].Company.String()
	label := "company " + all[0].Company.String()
	if all[0].Company == 0 {
		label = "directory"
	}
	f := frame(g, name, label)
	var before *dot.Node
	if hidden := len(all) - limit; hidden > 0 {
		n := note(f, name+"_earlier", fmt.Sprintf("%d earlier not shown", hidden))
		before, all = &n, all[hidden:]
	}
	ids := once{}
	for _, t := range all {
		colour := white
		if t.ToMS == 0 {
			colour = green
		}
		n := box(f, ids.id(name+"_term_"+strconv.FormatUint(t.Term, 10)), colour, describeTenure(t, zero, before == nil)...)
		if before != nil {
			e := f.Edge(*before, n)
			if t.GapMS != 0 {
				e.Attr("label", quote(seconds(t.GapMS)+" without a leader"))
				e.Attr("color", dot.Literal("red"))
			}
		}
		before = &n
	}
}

func describeTenure(t message.Tenure, zero int64, first bool) []string {
	lines := []string{"term " + strconv.FormatUint(t.Term, 10), nodeName(t.Leader)}
	if t.ToMS == 0 {
		lines = append(lines, "since "+seconds(t.FromMS-zero))
	} else {
		lines = append(lines, seconds(t.FromMS-zero)+" to "+seconds(t.ToMS-zero), "for "+seconds(t.ToMS-t.FromMS))
	}
	if first && t.GapMS != 0 {
		lines = append(lines, "after "+seconds(t.GapMS)+" without a leader")
	}
	return lines
}
