//go:build planted

package owner

// Planted bugs, to show that a drill finds them.
var (
	plantedEarly bool // a WRITE is acknowledged before its entry is on a majority
	plantedStale bool // any owner answers reads from what it has applied, without asking a quorum
)

// Plant makes every owner of this process wrong in the named way, and says whether the name is known. It is
// called before anything runs.
func Plant(name string) bool {
	bug := map[string]*bool{"early-ack": &plantedEarly, "stale-read": &plantedStale}[name]
	if bug == nil {
		return false
	}
	*bug = true
	return true
}

// Plants are the names that Plant knows.
func Plants() []string { return []string{"early-ack", "stale-read"} }
