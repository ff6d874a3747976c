package rollout

import (
	"fmt"
	"strings"
)

// ReasonPlacementChange holds a candidate that would run on other nodes.
const ReasonPlacementChange = "PlacementChange"

// cannotMove holds a placement change that no wave can bound.
func (p *pass) cannotMove() *Block {
	if !p.moving || !p.in.Policy.Surge || p.goal != goalForward {
		return nil
	}
	return p.move(p.waves()[0]).Hold()
}

// needsMoveApproval is whether more nodes are lost or won than the budget has, so that a
// person has to approve it before the first wave.
func (p *pass) needsMoveApproval(w Wave) bool {
	if !p.moving || p.next.Waves != nil || p.move(w).Hold() == nil {
		return false
	}
	a := p.in.Approved
	return a == nil || a.Digest != p.candidate() || a.Wave != "" && a.Wave != w.Name
}

func (p *pass) sayNeedsMoveApproval(w Wave) {
	p.d.Awaits = w.Name
	p.sayBlock(p.move(w).Hold())
}

func (p *pass) move(w Wave) Move {
	m := Move{Name: p.in.Name, Wave: w.Name, Budget: p.budget(), Surge: p.in.Policy.Surge}
	m.Lost, m.Won = p.changed()
	return m
}

// Move is a change of placement before its first wave.
type Move struct {
	// Name is the DaemonSet's, as NAMESPACE/NAME, and Wave is that of the first wave.
	Name, Wave string
	// Lost and Won are nodes by name.
	Lost, Won []string
	// Budget is maxUnavailable in nodes, and Surge whether no node may be without an
	// agent.
	Budget int
	Surge  bool
}

// Hold is why it does not begin without a person; nil when it does.
func (m Move) Hold() *Block {
	switch words := PlacementWords(m.Lost, m.Won); {
	case len(m.Lost)+len(m.Won) == 0:
		return nil
	case m.Surge:
		return &Block{Reason: ReasonPlacementChange, Message: words +
			", which no surge can do: revert the placement, or name a RolloutPolicy with replace: delete, and have a maxUnavailable of at least 1, for this commit"}
	case max(len(m.Lost), len(m.Won)) > m.Budget:
		return &Block{Reason: ReasonPlacementChange, Message: words + fmt.Sprintf(", more than maxUnavailable (%d): revert the placement, or approve it; nodes won then get their agents in the waves, and nodes lost lose theirs within maxUnavailable: rollcall approve %s --wave %s",
			m.Budget, m.Name, m.Wave)}
	default:
		return nil
	}
}

// changed are the names of the nodes that are lost and won.
func (p *pass) changed() (lost, won []string) {
	for i := range p.in.Fleet {
		switch n := &p.in.Fleet[i]; {
		case n.Lost:
			lost = append(lost, n.Name)
		case n.Won:
			won = append(won, n.Name)
		}
	}
	return lost, won
}

// PlacementWords say how many nodes a change of placement loses and wins, and name some.
func PlacementWords(lost, won []string) string {
	return fmt.Sprintf("the candidate's nodeSelector, affinity or tolerations lose %s and win %s", someNodes(lost), someNodes(won))
}

// maxNamed is how many nodes of many are named.
const maxNamed = 3

func someNodes(names []string) string {
	if len(names) == 0 {
		return "0 nodes"
	}
	more := ""
	if len(names) > maxNamed {
		more = ", …"
	}
	return fmt.Sprintf("%s (%s%s)", counted(len(names)), strings.Join(names[:min(len(names), maxNamed)], ", "), more)
}
