//go:build planted

package company

// Planted bugs, to show that a drill or a test finds them.
var (
	plantedTwice   bool // a request that is sent again is done again
	plantedForget  bool // the answers that make a repetition harmless are not in snapshots
	plantedDirty   bool // what is freed is not zeroed
	plantedOverlap bool // of what is allocated the second half stays free
	plantedShort   bool // a snapshot lacks what the last entry did
	plantedRevive  bool // a COMMIT that comes late makes an allocation of a transaction that was aborted
)

func plants() map[string]*bool {
	return map[string]*bool{"double-apply": &plantedTwice, "forget-answers": &plantedForget, "freed-bytes": &plantedDirty,
		"overlap": &plantedOverlap, "short-snapshot": &plantedShort, "revive-commit": &plantedRevive}
}

// Plant makes every company of this process wrong in the named way, and says whether the name is known. It is
// called before anything runs.
func Plant(name string) bool {
	bug := plants()[name]
	if bug != nil {
		*bug = true
	}
	return bug != nil
}

// Plants are the names that Plant knows.
func Plants() []string {
	return []string{"double-apply", "forget-answers", "freed-bytes", "overlap", "short-snapshot", "revive-commit"}
}

// before is what a company was when its last entry came; only a snapshot that lacks it asks for that.
var before = map[*Company]*Snapshot{}

func (c *Company) keepBefore() { before[c] = c.moment() }

// short is a snapshot that says it has the last entry, and has not.
func (c *Company) short() *Snapshot {
	s := before[c]
	if s == nil {
		return c.moment()
	}
	late := *s
	late.index, late.clock, late.lead = c.index, c.clock, c.lead
	return &late
}
