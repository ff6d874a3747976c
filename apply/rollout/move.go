package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/health"
)

// A candidate may want to run on other nodes than the proven version. The DaemonSet
// controller acts on a placement on all nodes at once, so no template is written with
// that of the candidate before it is proven:
//
//	a node that both want ... is given the candidate as in any other rollout
//	a node that is won ...... is named in the templates from its wave on: its first pod
//	                          comes in a pulse, gated, and nothing is taken for it
//	a node that is lost ..... loses its agent in a pulse, within the budget, and the gate
//	                          of its next one is never opened: it has left
//	proven .................. the candidate is written as it is, and the gated pods go
//	rejected ................ the proven template is written as it is: the nodes won
//	                          lose their agents, and the gated pods on those lost are
//	                          strays, that come back proven
//
// Nodes that are won are chosen like any others. Those that are lost give no evidence,
// so that they are no canaries and come after the others that a wave may take.

// isMoving is whether nodes are lost or won by the version on its way.
func isMoving(in *Input) bool {
	return in.State.Proven != nil && !in.Foreign && slices.ContainsFunc(in.Fleet, func(n health.Node) bool { return n.Lost || n.Won })
}

// moves is whether the candidate moves, or has moved and stays so for a person to look at.
func (p *pass) moves() bool {
	return p.moving && p.next.Proven != nil && p.next.Candidate != nil && p.candidate() != p.rest() &&
		(p.next.rejection(p.candidate()) == nil || p.staysRejected())
}

// placeNodes has the nodes that are taken in count as eligible, and those that have left
// no more.
func (p *pass) placeNodes() {
	if !p.moving {
		return
	}
	p.in.Fleet = slices.Clone(p.in.Fleet)
	another := p.in.Want != nil && p.in.Want.Digest != p.candidate() // by which nodes are lost and won now
	if p.in.State.About != p.candidate() || another || !p.moves() {
		return
	}
	held := p.heldWon()
	for i := range p.in.Fleet {
		p.placeNode(&p.in.Fleet[i], held)
	}
}

func (p *pass) placeNode(n *health.Node, held []string) {
	switch {
	case n.Won:
		r := p.record(n)
		if n.Eligible = r != nil && r.Failed == ""; n.Eligible {
			p.turnAway(r, n, held)
		}
	case n.Lost && p.hasLeft(n):
		n.Eligible, p.record(n).Left = false, true
	}
}

// hasLeft is whether nothing but a gated pod stands where the agent of the lost node was.
func (p *pass) hasLeft(n *health.Node) bool {
	a := n.Agent()
	return a != nil && p.leaves(n, a) && !slices.ContainsFunc(n.Agents, func(a health.Agent) bool { return !a.Gated })
}

// leaves is whether the gated pod stands for the agent of a lost node, which was taken.
func (p *pass) leaves(n *health.Node, a *health.Agent) bool {
	r := p.record(n)
	return n.Lost && p.moves() && r != nil && !r.Touched.IsZero() && a.Gated && a.Digest == p.candidate()
}

// mayEnter is whether the gated pod is the first one of a node that is won.
func (p *pass) mayEnter(n *health.Node, a *health.Agent) bool {
	r := p.record(n)
	return n.Won && p.moves() && p.next.rejection(p.candidate()) == nil && r != nil && r.First && r.Failed == "" && a.Digest == p.candidate() &&
		p.openable(&InFlight{At: r.Touched}, a)
}

// enterable is whether the node is won, in no wave yet, and can be given an agent now.
func (p *pass) enterable(n *health.Node) bool {
	return n.Won && p.goal == goalForward && len(n.Agents) == 0 && n.Ready && n.Schedulable && !n.Held && p.record(n) == nil
}

// entering are the nodes of the waves so far that are won and not yet taken in.
func (p *pass) entering() []*Record {
	var out []*Record
	for i := 0; i < len(p.next.Records) && p.moving; i++ {
		r := &p.next.Records[i]
		n := p.node(r.Node, r.UID)
		if n == nil || !p.isOutside(r, n) || r.Failed != "" {
			continue
		}
		if r.Tries < maxTries && p.isNext(r) && !(p.tailWaits && r.tail()) && !p.waitsForOthers(n) {
			out = append(out, r)
		}
	}
	return out
}

// enter records that the nodes are taken in: nothing is taken for that.
func (p *pass) enter(records []*Record) {
	for _, r := range records {
		r.Touched, r.First = p.in.Now, true
		r.Tries++
	}
}

// awaitedEntries counts the nodes that are to get their first pods in the pulse.
func (p *pass) awaitedEntries() (waiting []*Record) {
	for i := 0; i < len(p.next.Records) && p.moving; i++ {
		r := &p.next.Records[i]
		n := p.node(r.Node, r.UID)
		if n != nil && n.Won && r.First && !r.Ran && r.Failed == "" && n.Agent() == nil && p.reachable(n) && p.in.Now.Before(r.Touched.Add(pulseSlack)) {
			waiting = append(waiting, r)
		}
	}
	return waiting
}

// won are the names of the nodes that the templates take in, joined by commas: in a
// pulse all that are recorded, and at rest those that have got a pod in one, or the
// proven version would come to them.
func (p *pass) won(pulse bool) string {
	if !p.moves() {
		return ""
	}
	var names []string
	held := p.heldWon()
	for i := range p.next.Records {
		r := &p.next.Records[i]
		n := p.node(r.Node, r.UID)
		if n == nil || !n.Won || r.Touched.IsZero() || r.Failed != "" {
			continue
		}
		if _, in := slices.BinarySearch(held, n.Name); pulse || in || len(n.Agents) > 0 {
			names = append(names, n.Name)
		}
	}
	return strings.Join(names, ",")
}

// heldWon are the nodes that the template at rest takes in.
func (p *pass) heldWon() []string {
	if p.in.Live.Gated || p.in.Live.Won == "" {
		return nil
	}
	return strings.Split(p.in.Live.Won, ",")
}

// writeRest is the step that has the DaemonSet hold what it is to hold outside a pulse.
func (p *pass) writeRest(digest string, gated bool) Step {
	won := p.won(false)
	return Step{Action: WriteTemplate, Digest: digest, Gated: gated, Moved: won != "", Won: won}
}

// turnAway has a node taken in by another pulse that got no pod in its own, or that
// another template has put out.
func (p *pass) turnAway(r *Record, n *health.Node, held []string) {
	if _, in := slices.BinarySearch(held, n.Name); in || p.in.Live.Gated || len(n.Agents) > 0 || r.Touched.IsZero() {
		return
	}
	if p.in.Now.Before(r.Touched.Add(pulseSlack)) {
		r.Tries = max(r.Tries-1, 0) // it was none
	}
	r.Touched, r.First, r.Ran, r.Well, r.Breaks = time.Time{}, false, false, false, 0
}

// sayMoved adds to what a rollout says how far its change of placement is.
func (p *pass) sayMoved() {
	if !p.moves() || p.next.Waves == nil {
		return
	}
	lost, won, left, entered := 0, 0, 0, 0
	for i := range p.in.Fleet {
		n := &p.in.Fleet[i]
		switch {
		case n.Lost:
			lost++
			if p.hasLeft(n) {
				left++
			}
		case n.Won:
			won++
			if p.runsCandidate(n) {
				entered++
			}
		}
	}
	p.d.Message += fmt.Sprintf("; placement: %d of %d nodes lost have left, %d of %d won have the candidate", left, lost, entered, won)
}

// losing are the lost nodes that have an agent still: the template of the candidate
// alone would take them all.
func (p *pass) losing() (out []*health.Node) {
	removes := p.removes()
	for i := 0; i < len(p.in.Fleet) && (p.moving || removes); i++ {
		if n := &p.in.Fleet[i]; (n.Lost || removes) && isServed(n) && !p.isVacant(i) {
			out = append(out, n)
		}
	}
	return out
}

// isServed is whether an agent runs on the node, well or not.
func isServed(n *health.Node) bool {
	return n.Eligible && n.Ready && n.Agent() != nil && !n.Agent().Gated
}

// losesTooMany is whether the candidate, written as it is, takes more agents than the
// budget leaves.
func (p *pass) losesTooMany() bool {
	room := p.beside(p.downNodes())
	for _, n := range p.losing() {
		if !room.has(n) || p.keeps(n) {
			return true
		}
		room.take(n)
	}
	return false
}

func (p *pass) sayLosing() {
	nodes := p.losing()
	p.say(Held, ReasonPlacementChange, fmt.Sprintf("wave %s: %s that the candidate loses with an agent still (first %s), and with its proof all of these would go at once: those held out by the label rollcall.dev/hold have to be released or leave, others have to be reachable",
		p.waveName(), counted(len(nodes)), nodes[0].Name))
}

// onlyLoses is whether all nodes of the wave in progress are lost: none of them gives
// evidence, and those of the waves before have.
func (p *pass) onlyLoses() bool {
	for i := range p.next.Records {
		r := &p.next.Records[i]
		if n := p.node(r.Node, r.UID); r.Wave == p.next.Wave && (n == nil || !n.Lost || !p.moving) {
			return false
		}
	}
	return true
}

// expel has a node that is won and failed lose its place: it has no proven version to
// go back to.
func (p *pass) expel(r *Record) {
	if n := p.node(r.Node, r.UID); n != nil && n.Won && p.moving {
		n.Eligible = false
	}
}

// explained is whether the node has no agent, or one that waits, because the candidate
// wins or loses it.
func (p *pass) explained(n *health.Node) bool {
	return p.moves() && (n.Lost && p.hasLeft(n) || n.Won && !n.Present() && p.mayComeYet(n))
}

// mayComeYet is whether nothing was let start on the node that is won.
func (p *pass) mayComeYet(n *health.Node) bool {
	r := p.record(n)
	return r == nil || !r.Ran && r.Failed == ""
}

// comesBack is whether the gated pod, a stray, stands in the place of an agent that was
// taken for good: what comes in its stead is awaited like any other on the way back.
func (p *pass) comesBack(n *health.Node) bool {
	if r := p.record(n); r != nil {
		return r.Left
	}
	return slices.ContainsFunc(p.next.Owed, func(o Owed) bool { return o.Node == n.Name && o.UID == n.UID && o.Left })
}

// awaitBack records that the nodes are to have an agent again. What stands there served
// nobody, and what it stands for did.
func (p *pass) awaitBack(nodes []*health.Node) {
	p.take(nodes)
	for _, n := range nodes {
		p.inFlight(n).Idle = false
		if r := p.record(n); r != nil {
			r.Left = false
		}
	}
}

// anyStays is whether a node of the waves so far is not lost.
func (p *pass) anyStays() bool {
	return slices.ContainsFunc(p.next.Records, func(r Record) bool {
		n := p.node(r.Node, r.UID)
		return n != nil && !n.Lost && !r.Self
	})
}

// isOutside is whether the node is won and not taken in yet: what it waits for, others
// say.
func (p *pass) isOutside(r *Record, n *health.Node) bool {
	return n.Won && r.Touched.IsZero() && len(n.Agents) == 0 && p.reachable(n)
}

func (b *blocked) addOutside(p *pass, r *Record, n *health.Node) {
	switch {
	case r.Tries >= maxTries:
		b.tried++
	case p.isNext(r) && p.kept(n):
		p.keep(&b.keeping, n)
	}
}

// vacated is whether a gated pod stands where the agent of a node was that is lost.
func vacated(n *health.Node) bool {
	a := n.Agent()
	return n.Lost && a != nil && a.Gated
}

// tellNothing is whether only nodes that are lost could be taken, and none is in a wave
// that tells anything of the candidate.
func (p *pass) tellNothing(others [][]*health.Node) bool {
	return p.moving && len(slices.Concat(others...)) == 0 && !p.anyStays()
}

// isMoved is whether the node is lost, or won and to be taken in.
func (p *pass) isMoved(n *health.Node) bool {
	return p.moving && (n.Lost || n.Won && n.Agent() == nil)
}

// rankMoved is that of a node that is lost, or won and to be taken in.
func (p *pass) rankMoved(n *health.Node, canaries bool) int {
	switch {
	case n.Lost && canaries:
		return rankNever
	case n.Lost:
		return rankLost
	default:
		return p.rankWon(n, canaries)
	}
}

// staysLeft is whether the node has left, or is about to have an agent again.
func (p *pass) staysLeft(r *Record, n *health.Node) bool {
	return n.Lost && p.hasLeft(n) || r.Left && n.Eligible && !n.Present()
}
