//go:build planted

package company

// plantedTwice is a planted bug, to show that a drill finds it: a request that is sent again is done again.
var plantedTwice bool

// Plant makes every company of this process wrong in the named way, and says whether the name is known. It is
// called before anything runs.
func Plant(name string) bool {
	plantedTwice = plantedTwice || name == "double-apply"
	return name == "double-apply"
}

// Plants are the names that Plant knows.
func Plants() []string { return []string{"double-apply"} }
