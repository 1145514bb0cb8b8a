//go:build planted

package node

// plantedDrops is a planted bug of holders, to show that a drill finds it: a lease that is called back is given back
// without what was absorbed under it, and nothing is said.
var plantedDrops bool

// Plant makes every holder of this process wrong in the named way, and says whether the name is known. It is called
// before anything runs.
func Plant(name string) bool {
	if name != "revoke-drops" {
		return false
	}
	plantedDrops = true
	return true
}

// Plants are the names that Plant knows.
func Plants() []string { return []string{"revoke-drops"} }
