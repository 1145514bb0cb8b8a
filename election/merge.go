package election

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// Merge makes one history of what several nodes saw, by company and term.
//
// Where they differ: a tenure begins with its first sighting and ends with its last, but no later than the
// next one began; the last one lasts if anybody says so. Of two leaders of one term, which Raft excludes,
// the one whom more nodes name is taken, and of equals the lesser. What cannot be is left out.
func Merge(histories ...[]message.Tenure) []message.Tenure {
	var all []message.Tenure
	for _, h := range histories {
		for _, t := range h {
			if t.Company <= message.MaxCompany && t.Term != 0 && t.Leader != message.NoNode {
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, func(a, b message.Tenure) int {
		return cmp.Or(cmp.Compare(a.Company, b.Company), cmp.Compare(a.Term, b.Term), cmp.Compare(a.Leader, b.Leader))
	})
	out := []message.Tenure{}
	for len(all) > 0 {
		company := all[0].Company
		n := until(all, func(t message.Tenure) bool { return t.Company != company })
		out = append(out, mergeCompany(all[:n])...)
		all = all[n:]
	}
	return out
}

// until is how many come before the first that is other.
func until(all []message.Tenure, other func(message.Tenure) bool) int {
	if i := slices.IndexFunc(all, other); i >= 0 {
		return i
	}
	return len(all)
}

// mergeCompany merges the sightings of one company, which come by term and leader.
func mergeCompany(all []message.Tenure) []message.Tenure {
	var out []message.Tenure
	lasts := false // the last one
	for len(all) > 0 {
		var t message.Tenure
		term := all[0].Term
		n := until(all, func(t message.Tenure) bool { return t.Term != term })
		t, lasts = mergeTerm(all[:n])
		out, all = append(out, t), all[n:]
	}
	for i := 1; i < len(out); i++ {
		before, t := &out[i-1], &out[i]
		t.FromMS = max(t.FromMS, before.FromMS) // clocks differ, terms do not
		if before.ToMS == 0 || before.ToMS > t.FromMS {
			before.ToMS = t.FromMS
		}
		if t.ToMS != 0 {
			t.ToMS = max(t.ToMS, t.FromMS)
		}
		t.GapMS = t.FromMS - before.ToMS
	}
	if lasts {
		out[len(out)-1].ToMS = 0
	}
	return out[max(0, len(out)-maxTenures):]
}

// mergeTerm merges the sightings of one term, which come by leader. It ends with the last end that was
// seen, 0 if none was; lasts says that somebody saw none.
func mergeTerm(all []message.Tenure) (m message.Tenure, lasts bool) {
	best := all[:0]
	for rest := all; len(rest) > 0; {
		leader := rest[0].Leader
		n := until(rest, func(t message.Tenure) bool { return t.Leader != leader })
		if n > len(best) {
			best = rest[:n]
		}
		rest = rest[n:]
	}
	m = sane(best[0])
	for _, t := range best {
		t = sane(t)
		m.FromMS, m.GapMS = min(m.FromMS, t.FromMS), min(m.GapMS, t.GapMS)
		m.ToMS, lasts = max(m.ToMS, t.ToMS), lasts || t.ToMS == 0
	}
	return m, lasts
}

// sane mends a tenure that no History would have written: it came from elsewhere.
func sane(t message.Tenure) message.Tenure {
	t.FromMS, t.GapMS = max(t.FromMS, 1), max(t.GapMS, 0)
	if t.ToMS != 0 {
		t.ToMS = max(t.ToMS, t.FromMS)
	}
	return t
}
