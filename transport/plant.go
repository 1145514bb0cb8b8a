//go:build planted

package transport

// Planted bugs, to show that tests find them.
var (
	plantedMix         bool // an answer goes to another request to the same node
	plantedAnyone      bool // an answer counts whichever node it comes from
	plantedDouble      bool // a frame is delivered twice
	plantedTorn        bool // a frame that a lost connection has cut off is taken for whole
	plantedLoop        bool // a relay passes on what it has passed on before
	plantedName        bool // a certificate is not compared with the name that its holder claims
	plantedIncarnation bool // Raft's frames for another incarnation are delivered
)

// Plant makes every Transport of this process wrong in the named way, and says whether the name is known. It is
// called before anything runs.
func Plant(name string) bool {
	bug := map[string]*bool{
		"mixed-answers":   &plantedMix,
		"any-answerer":    &plantedAnyone,
		"frame-twice":     &plantedDouble,
		"torn-frame":      &plantedTorn,
		"relay-loop":      &plantedLoop,
		"any-name":        &plantedName,
		"any-incarnation": &plantedIncarnation,
	}[name]
	if bug == nil {
		return false
	}
	*bug = true
	return true
}

// Plants are the names that Plant knows.
func Plants() []string {
	return []string{"mixed-answers", "any-answerer", "frame-twice", "torn-frame", "relay-loop", "any-name", "any-incarnation"}
}
