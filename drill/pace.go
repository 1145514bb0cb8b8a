package drill

import "time"

const (
	usual   = 852500 * time.Microsecond // the mean of what gap draws
	middle  = 1800 * time.Millisecond   // the mean of the lengths that Steps draws
	fastest = 50 * time.Millisecond
	slowest = time.Hour
	revival = 300 * time.Millisecond // that a node needs until it has caught up, most often
	longer  = 15                     // that no fault lasts longer than, times what it usually does
)

// pace is how the usual pauses and lengths are stretched or pressed together.
type pace struct {
	gap   float64
	hold  float64
	spare time.Duration // between the end of a fault and what relies on it
	back  time.Duration // that a revive is given before the next fault may rely on its node
}

// pace finds lengths with which the faults leave each other room: of those that take nodes out only so many
// may last at once (S2). A plan that asks for no pace has as few faults as its lengths allow.
func (p Plan) pace(rows []kindRow) pace {
	if p.Pace == 0 {
		return pace{gap: 1, hold: 1, spare: spare}
	}
	out, back := 0, 0
	for _, r := range rows {
		if r.out > 0 || r.alone {
			out++
		}
		if r.back {
			back++
		}
	}
	c := pace{gap: float64(p.Pace) / float64(usual), spare: min(spare, stretched(p.Pace, 1.0/8)), back: min(revival, stretched(p.Pace, 1.0/3))}
	c.hold = min(c.gap, longer)
	if out > 0 {
		room := float64(p.Pace) * float64(max(1, p.Minority())) * float64(len(rows)) / float64(out) // for one of them
		taken := float64(c.spare) + float64(c.back)*float64(back)/float64(out)
		c.hold = min(c.hold, (0.85*room-taken)/float64(middle)) // not all of it, for lengths are irregular
	}
	return c
}

func stretched(d time.Duration, by float64) time.Duration {
	return max(time.Millisecond, time.Duration(float64(d)*by).Truncate(time.Millisecond))
}

// scaled is a usual length at this pace.
func (c pace) scaled(d time.Duration) time.Duration { return stretched(d, c.hold) }

// pause is a usual pause at this pace.
func (c pace) pause(d time.Duration) time.Duration { return stretched(d, c.gap) }

// next goes on to where the next fault shall begin. At a pace that was asked for, what came late because others
// left no room does not make the rest later.
func (g *planner) next() {
	gap := g.pace.pause(g.gap())
	if g.Pace == 0 {
		g.at += gap
		return
	}
	g.due += gap
	g.at = max(g.at+g.pace.pause(20*time.Millisecond), g.due)
}

// moment is when something was planned and when it was done.
type moment struct{ planned, done time.Duration }

// timetable tells when the steps of a plan are to be done on a machine that is slower than the plan thinks. A step
// that is late does not make those behind it late, but every fault lasts as long as it should, and none
// begins before those have ended that the plan lets end before (S2, S3).
type timetable struct {
	begin time.Duration
	at    time.Duration // of the step, as planned, since begin
	spare time.Duration
	began map[int]moment // by victim
	ends  []moment
}

// due is when a step shall be done, which is perhaps over.
func (t *timetable) due(s Step) time.Duration {
	t.at += s.After
	due := t.begin + t.at
	c := s.Command
	if m, some := t.began[c.victim()]; some && c.ends() {
		return max(due, m.done+t.at-m.planned)
	}
	if c.Kind() == "" {
		return due
	}
	for _, m := range t.ends {
		if m.planned+t.spare <= t.at {
			due = max(due, m.done+t.spare)
		}
	}
	return due
}

// done notes when a step was done.
func (t *timetable) done(c Command, now time.Duration) {
	if c.ends() {
		t.note(moment{t.at, now})
		return
	}
	if c.moves() {
		t.note(moment{t.at, now})
	}
	if c.For > 0 {
		t.note(moment{t.at + c.For, now + c.For})
	}
	if v := c.victim(); v != 0 { // of a full disk too: its node is revived when it has room again
		t.began[v] = moment{t.at, now}
	}
}

func (t *timetable) note(m moment) {
	const most = 64 // ends that may still lie ahead are far fewer
	if len(t.ends) == most {
		t.ends = t.ends[1:]
	}
	t.ends = append(t.ends, m)
}

// victim is the first one of the command, 0 if there is none.
func (c Command) victim() int {
	if len(c.Who) == 0 {
		return 0
	}
	return c.Who[0].Victim
}

// ends says whether the command ends what one before it has begun, or goes on with it.
func (c Command) ends() bool { return c.Verb == "revive" || c.Verb == "resume" || c.Verb == "corrupt" }
