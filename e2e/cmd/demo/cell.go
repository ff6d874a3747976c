package main

// state is what a node's agent does. Where a node has two pods, the first of
// these states is the node's.
type state int

// The states. The set is closed, and in the order of bars and of the legend.
const (
	candidateReady state = iota
	starting
	failing
	provenReady
	absent
)

// states in their order.
func states() []state {
	return []state{candidateReady, starting, failing, provenReady, absent}
}

// look is how a state is drawn; the symbols are those of rollcall status.
type look struct {
	symbol string
	ink    ink
	legend string
}

func (s state) look() look {
	switch s {
	case candidateReady:
		return look{"■", green, "new, Ready"}
	case starting:
		return look{"▣", yellow, "being replaced"}
	case failing:
		return look{"✗", red, "failed"}
	case provenReady:
		return look{"□", dim, "proven, Ready"}
	case absent:
		return look{"·", red, "no agent"}
	default:
		return look{"?", plain, "unknown"}
	}
}

// cell is one node as it is drawn.
type cell struct {
	state state
	// label of the version that the node runs.
	label string
	// hurt is whether the act's version failed here, also after it is gone.
	hurt bool
}
