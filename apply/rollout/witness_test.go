package rollout_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// witness watches a cluster and knows nothing of how decisions are made: it
// sees what happens and holds it against the promises of docs/promises.md.
type witness struct {
	cluster *sim.Cluster
	// broken are the promises that were, first first.
	broken []string
	// miscalled is what was wrong with roll calls. It is said last: a rule that looks
	// away from what fails also calls wrongly.
	miscalled []string
	// proven are the digests that ever were, by the record, and those installed
	// before any was.
	proven map[string]bool
	// reach is what each digest may reach and what it has reached, and ran are those
	// that have run anywhere.
	reach map[string]*reach
	ran   map[string]bool
	// taken are the nodes whose available agent rollcall took away, until they
	// have an available one of a proven version again.
	taken map[types.UID]bool
	// orders are by pod what the decision to delete it knew.
	orders map[types.UID]order
	// down are the taken nodes that have had no available agent since.
	down map[types.UID]bool
	// emptied are the nodes whose last pod rollcall deleted, served or not, but for
	// strays.
	emptied map[types.UID]bool
	// opened are the pods whose gate was opened.
	opened map[types.UID]opening
	last   rollout.State
	// eligible are the counts of the last decisions, budgets what they were
	// allowed to take away.
	eligible, budgets []int
	// inSpec is whether a candidate was ever to go from the spec: pods of it may come
	// by themselves, and P1 and P4 hold only for what rollcall does.
	inSpec bool
	// foreign is whether another tool writes the DaemonSet.
	foreign bool
	// groups is what each group was allowed, and moved whether a node's labels ever
	// were: then nobody can tell whose a loss is.
	groups []map[string]int
	moved  bool
	// blocked is whether the last decision had a block, by which an earlier first
	// version may stay.
	blocked bool
	// flipped is whether somebody else wrote the DaemonSet, and perhaps its strategy.
	flipped bool
	// forgotten is whether what is recorded of the nodes was lost, until nodes of a wave
	// are recorded again, and everForgotten whether it ever was.
	forgotten, everForgotten bool
	// swept are the nodes of which a template took the agent in the tick.
	swept map[types.UID]bool
	sweep int
	// declared is what Git declares; a version that it does no more is known by its record.
	declared   string
	stragglers stragglers
	// unrest is for how many ticks the template has not been the rest one while a
	// process was at work.
	unrest int
}

// reach is how far one attempt at a digest has come.
type reach struct {
	// waves are those of the policy when the first one started.
	waves []rollout.Wave
	limit int
	nodes map[types.UID]bool
	// groups are those that the nodes were in when they were picked.
	groups map[types.UID]string
	// begun are the nodes that were first given the digest in it.
	begun map[types.UID]bool
	// last are the nodes that rollcall ran on when they were picked.
	last map[types.UID]bool
	// rejected are the nodes that were touched when the digest was rejected;
	// nil while it is not.
	rejected map[types.UID]bool
}

// order is what a decision to delete a pod knew: which taken nodes had no
// available agent, which machines were broken, and the budget.
type order struct {
	node         types.UID
	lost, broken map[types.UID]bool
	budget       int
	// fails is whether the proven version does, on more nodes than may fail.
	fails bool
}

func broken(n *health.Node) bool {
	return !n.Ready || !n.Schedulable || n.Held
}

// opening is for which attempt a gate was opened, and the node that the pod was
// on at that time.
type opening struct {
	node  types.UID
	reach *reach
}

func newWitness() *witness {
	return &witness{proven: map[string]bool{}, reach: map[string]*reach{}, ran: map[string]bool{}, taken: map[types.UID]bool{}, orders: map[types.UID]order{}, down: map[types.UID]bool{}, emptied: map[types.UID]bool{}, opened: map[types.UID]opening{},
		stragglers: stragglers{late: map[types.UID]bool{}, ready: map[types.UID]bool{}}}
}

func (w *witness) accuse(promise, format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("%s at %ds: ", promise, w.cluster.Now())+fmt.Sprintf(format, args...))
}

// err is the first broken promise.
func (w *witness) err() error {
	if len(w.broken) == 0 {
		return nil
	}
	return fmt.Errorf("%s", w.broken[0])
}

func (w *witness) see(f sim.Fact) {
	switch f.Event {
	case sim.Ran:
		w.seeRun(f)
	case sim.BecameReady:
		delete(w.down, f.NodeUID)
		w.stragglers.ready[f.Pod] = true
		if w.proven[f.Digest] {
			delete(w.taken, f.NodeUID)
		}
	case sim.NodeLeft:
		delete(w.down, f.NodeUID)
		delete(w.taken, f.NodeUID)
		delete(w.emptied, f.NodeUID)
	case sim.Deleted:
		w.seeUntold(f)
		w.seeDeletion(f)
		w.seeStraggler(f)
	case sim.Decided:
		w.seeRollCall(f.Input, f.Decision)
		w.seeDecision(asMeant(f.Input), f.Decision)
	case sim.Recorded:
		w.seeRecord(asMeant(f.Input), f.Decision)
	case sim.Asked:
		if digest, commits := strings.CutPrefix(f.Command, "commit "); commits || f.Command == "revert" {
			w.declared = digest
			if w.forgotten {
				w.seeForgotten()
			}
		}
		if f.Command == "forget" {
			w.seeForgotten()
		}
		w.seeRelabelled(f.Command)
		if name, excluded := strings.CutPrefix(f.Command, "exclude "); excluded {
			delete(w.down, w.uid(name)) // it shall have none
			delete(w.taken, w.uid(name))
			for _, r := range w.reach {
				delete(r.nodes, w.uid(name)) // another one takes its place
			}
		}
	case sim.Opened:
		w.opened[f.Pod] = opening{f.NodeUID, w.reach[f.Digest]}
	case sim.Wrote:
		w.seeFirst(f)
		w.flipped = w.flipped || f.By != sim.Rollcall
	case sim.Died:
	}
}

func (w *witness) uid(name string) types.UID {
	for _, n := range w.cluster.Fleet() {
		if n.Name == name {
			return n.UID
		}
	}
	return ""
}

// seeRun holds P1 and P5: a version that is not proven runs on no more nodes
// than the waves started so far have, and on no new one once it is rejected.
func (w *witness) seeRun(f sim.Fact) {
	if w.proven[f.Digest] || f.Digest == "foreign" {
		w.ran[f.Digest] = true
		return
	}
	if w.inSpec && w.opened[f.Pod].reach == nil {
		w.ran[f.Digest] = true // nobody opened it: what rollcall did for it, it did before
		return
	}
	o := w.opened[f.Pod]
	node, r := o.node, o.reach
	if r == nil {
		w.accuse("P1", "%s runs on %s though no wave opened its gate", f.Digest, f.Node)
		return
	}
	if r.rejected != nil && !r.rejected[node] {
		w.accuse("P5", "%s is rejected and reaches %s", f.Digest, f.Node)
	}
	w.ran[f.Digest] = true
	w.reached(r, node, f.Digest)
}

// reached holds P1: the waves started so far have as many nodes.
func (w *witness) reached(r *reach, node types.UID, digest string) {
	r.nodes[node] = true
	reached := 0
	for _, n := range w.cluster.Fleet() {
		if r.nodes[n.UID] {
			reached++
		}
	}
	if reached > r.limit {
		w.accuse("P1", "%s has run on %d nodes, the waves started have %d", digest, reached, r.limit)
	}
}

// seeDeletion holds P2.
func (w *witness) seeDeletion(f sim.Fact) {
	w.seeSurge(f)
	w.seeMoved(f)
	if f.By != sim.Rollcall {
		delete(w.emptied, f.NodeUID)
		delete(w.taken, f.NodeUID) // what it lacks now, somebody else took
		return
	}
	switch {
	case f.Why == rollout.ForReturn && w.cluster.State().Proven == nil:
		delete(w.emptied, f.NodeUID) // there is no version to wait for
	case f.Why != rollout.ForStray: // whoever made the stray emptied the node
		w.emptied[f.NodeUID] = true
	}
	if w.inSpec && f.Why == rollout.ForReplace && !removing(w.cluster.State()) { // which is never in the spec
		w.seeReplaced(f)
	}
	if !f.Served || w.orders[f.Pod].node != f.NodeUID {
		return // a node that has registered anew since is another one
	}
	w.down[f.NodeUID], w.taken[f.NodeUID] = true, true
	count := 0
	for _, n := range w.cluster.Fleet() {
		if w.isLost(f, &n) {
			count++
		}
	}
	if budget := max(w.orders[f.Pod].budget, share(w.cluster.Policy().MaxUnavailable, slices.Max(w.eligible))); count > budget {
		w.accuse("P2", "%d nodes are without an agent because of rollcall (last %s, for %s), the budget is %d", count, f.Node, f.Why, budget)
	}
	w.seeGroupLoss(f)
}

// isLost is whether the node was without an agent because of rollcall when the pod was
// deleted. A way back does not wait for machines that are broken or held out.
func (w *witness) isLost(f sim.Fact, n *health.Node) bool {
	lost := w.down[n.UID] || w.orders[f.Pod].lost[n.UID] && !n.Present()
	excused := f.Why != rollout.ForReplace && (broken(n) || w.orders[f.Pod].broken[n.UID])
	return n.Eligible && lost && !excused
}

// seeDecision holds P3, P4 and P9 against what was known to the decision.
func (w *witness) seeDecision(in *rollout.Input, d rollout.Decision) {
	eligible := 0
	for _, n := range in.Fleet {
		if n.Eligible || n.Won {
			eligible++
		}
	}
	w.eligible, w.budgets = append(w.eligible, eligible), append(w.budgets, share(in.Policy.MaxUnavailable, eligible))
	w.groups = append(w.groups, groupBudgets(in))
	if len(w.eligible) > 40 {
		w.eligible, w.budgets, w.groups = w.eligible[1:], w.budgets[1:], w.groups[1:]
	}
	if !slices.Contains(phases(), d.Phase) || d.Reason == "" || d.Message == "" {
		w.accuse("P9", "a decision does not speak: %q %q %q", d.Phase, d.Reason, d.Message)
	}
	w.blocked = in.Block != nil
	w.seeVacated()
	w.seeStanding()
	w.seeSteps(in, d)
	w.seeMove(in, d)
	w.seeOthers(in, d)
	w.seeLosses(in, d)
	w.seeBegunStragglers(in, d)
	w.seeEvidence(in, d)
}

// seeLosses learns what a decision knows of the nodes that are down already.
func (w *witness) seeLosses(in *rollout.Input, d rollout.Decision) {
	o := order{lost: map[types.UID]bool{}, broken: map[types.UID]bool{}, budget: w.budgets[len(w.budgets)-1], fails: w.fails(in)}
	for i := range in.Fleet {
		n := &in.Fleet[i]
		o.lost[n.UID] = w.taken[n.UID] && !n.Present()
		o.broken[n.UID] = broken(n)
	}
	for _, s := range d.Steps {
		if i := slices.IndexFunc(in.Fleet, func(n health.Node) bool { return n.Name == s.Node }); s.Action == rollout.DeletePod && i >= 0 {
			o.node = in.Fleet[i].UID
			w.orders[s.PodUID] = o
		}
	}
}

func phases() []rollout.Phase {
	return []rollout.Phase{rollout.Proven, rollout.Waiting, rollout.Replacing, rollout.Soaking, rollout.Returning, rollout.Rejected, rollout.Held}
}

func (w *witness) seeSteps(in *rollout.Input, d rollout.Decision) {
	inFlight := func(node string) bool {
		return slices.ContainsFunc(d.Next.InFlight, func(f rollout.InFlight) bool { return f.Node == node })
	}
	for _, s := range d.Steps {
		w.seeUnknown(in, d, s)
		w.seeInSpec(in, d, s)
		w.seeInstall(in, d, s)
		switch {
		case s.Action == rollout.OpenGate && !inFlight(s.Node) && d.Next.Proven != nil && !nodeOf(in, s.Node).Won:
			w.accuse("P1", "the gate on %s is opened though the node is not in flight", s.Node)
		case s.Action == rollout.DeletePod && s.Why == rollout.ForReturn && d.Next.Proven == nil:
			if n := nodeOf(in, s.Node); n.Present() {
				w.accuse("P2", "the agent on %s serves and is deleted, though there is no proven one to give", s.Node)
			}
		case s.Action == rollout.DeletePod && s.Why != rollout.ForStray && !inFlight(s.Node):
			w.accuse("P2", "the pod on %s is deleted for %s though that is not recorded", s.Node, s.Why)
		case s.Action != rollout.WriteTemplate:
		case s.Gated && d.Next.Proven == nil:
			if in.Policy.InstallAll && in.State.Waves == nil && !mayNotBegin(in) && !in.Live.Gated && !rejects(d.Next, s.Digest) {
				w.accuse("P4", "a first version for all nodes at once is gated")
			}
		case s.Surge && d.Next.Proven != nil && s.Digest == d.Next.Proven.Digest:
			if len(d.Next.InFlight) == 0 {
				w.accuse("P4", "a surge back is opened for nobody")
			}
		case s.Gated && in.Policy.Calendar.Closed(in.Now) != nil:
			w.accuse("P9", "a pulse is opened in a freeze")
		case s.Gated && (len(d.Next.InFlight) == 0 && s.Won == "" || d.Next.Candidate == nil || s.Digest != d.Next.Candidate.Digest):
			w.accuse("P4", "a pulse with %s is opened for nobody", s.Digest)
		case !s.Gated && s.Digest != rest(d.Next) && !inSpecNow(in, d.Next, s.Digest):
			w.accuse("P4", "%s is written, the rest state is %s", s.Digest, rest(d.Next))
		}
	}
}

func nodeOf(in *rollout.Input, name string) *health.Node {
	i := slices.IndexFunc(in.Fleet, func(n health.Node) bool { return n.Name == name })
	return &in.Fleet[i]
}

// seeUnknown holds P3 while it is not known what Git declares: that begins
// nothing, and takes no agent back that serves and that no evidence speaks against.
func (w *witness) seeUnknown(in *rollout.Input, d rollout.Decision, s rollout.Step) {
	if in.Unknown == nil {
		return
	}
	c := d.Next.Candidate
	against := c != nil && rejects(d.Next, c.Digest) ||
		slices.ContainsFunc(d.Next.Records, func(r rollout.Record) bool { return r.Node == s.Node && r.Failed != "" })
	serves := slices.ContainsFunc(in.Fleet, func(n health.Node) bool { return n.Name == s.Node && n.Present() })
	switch {
	case s.Action == rollout.WriteTemplate && s.Gated && d.Next.Proven != nil && s.Digest != d.Next.Proven.Digest:
		w.accuse("P3", "a pulse is opened though nobody knows what Git declares")
	case s.Action == rollout.DeletePod && (s.Why == rollout.ForReturn || s.Why == rollout.ForStraggler) && serves && !against:
		w.accuse("P3", "the agent on %s goes (%s) though nobody knows what Git declares", s.Node, s.Why)
	}
}

// rest is the digest that the template has outside a pulse.
func rest(s rollout.State) string {
	switch {
	case s.Proven != nil:
		return s.Proven.Digest
	case s.Candidate != nil:
		return s.Candidate.Digest
	default:
		return ""
	}
}

// resting is whether the DaemonSet holds the rest version. Before one is recorded,
// what it was made with has to do. Before one is proven any may be there with its
// gate.
func resting(live rollout.Live, s rollout.State) bool {
	if live.Gated {
		return s.Proven == nil
	}
	return live.Digest == rest(s) || rest(s) == ""
}

// rejects is whether the digest is among those that are remembered.
func rejects(s rollout.State, digest string) bool {
	return slices.ContainsFunc(s.Rejected, func(r rollout.Rejection) bool { return r.Digest == digest })
}

// seeRecord learns what was started, rejected and proven.
func (w *witness) seeRecord(in *rollout.Input, d rollout.Decision) {
	s := d.Next
	for _, r := range s.Records {
		if r.KeptOut {
			delete(w.down, r.UID) // lost within the failure budget
			delete(w.taken, r.UID)
			delete(w.stragglers.late, r.UID)
		}
	}
	if s.Proven != nil && !w.proven[s.Proven.Digest] {
		w.proven[s.Proven.Digest] = true
		for _, n := range w.cluster.Fleet() {
			if a := n.Agent(); a != nil && a.Digest == s.Proven.Digest {
				delete(w.taken, n.UID)
			}
		}
	}
	for digest, r := range w.reach {
		if !slices.ContainsFunc(s.Rejected, func(x rollout.Rejection) bool { return x.Digest == digest }) {
			r.rejected = nil
		}
	}
	if s.Candidate == nil {
		w.last = s
		return
	}
	digest := s.Candidate.Digest
	again := w.last.Candidate == nil || w.last.Candidate.Digest != digest || w.last.HandledRetry != s.HandledRetry && rejects(w.last, digest)
	goesOn := !s.WaveStarted.IsZero() && s.WaveStarted.Equal(w.last.WaveStarted)
	if w.reach[digest] == nil || again && !goesOn {
		w.reach[digest] = &reach{nodes: map[types.UID]bool{}, groups: map[types.UID]string{}, begun: map[types.UID]bool{}, last: map[types.UID]bool{}}
	}
	r := w.reach[digest]
	w.inSpec = w.inSpec || in.Policy.NewPodsCandidate
	s.Records = slices.DeleteFunc(slices.Clone(s.Records), func(r rollout.Record) bool { return r.Self })
	if !s.WaveStarted.IsZero() {
		w.forgotten = w.forgotten && len(s.Records) == 0
		if r.waves == nil && len(s.Waves) > 0 {
			r.waves = in.Policy.Waves
		}
	}
	if r.waves != nil && !s.WaveStarted.IsZero() {
		r.limit = max(r.limit, limitOf(r.waves, s.Wave, in.Fleet))
		w.seeWaves(in, s, w.wavesOf(digest, in))
	}
	if r.rejected == nil && slices.ContainsFunc(s.Rejected, func(x rollout.Rejection) bool { return x.Digest == digest }) {
		r.rejected = map[types.UID]bool{}
		for _, x := range d.Next.Records {
			r.rejected[x.UID] = !x.Touched.IsZero()
		}
		// A node that fails between its gate and its pod's start looks like one that the pod broke.
		ofAgents := s.Rejected[0].Reason != health.ReasonNodeVanished && s.Rejected[0].Reason != health.ReasonNodeNotReady
		if s.Proven != nil && !w.ran[digest] && s.Rejected[0].At.Equal(in.Now) && ofAgents {
			w.accuse("P3", "%s is rejected though it ran nowhere: %+v", digest, s.Rejected[0])
		}
	}
	w.seeRemoval(s)
	w.last = s
}

// wavesOf are the waves that the attempt at a digest started with, each with the
// soak and the allowEmpty that the policy has for it now.
func (w *witness) wavesOf(digest string, in *rollout.Input) []rollout.Wave {
	if w.reach[digest] == nil || w.reach[digest].waves == nil {
		return in.Policy.Waves
	}
	out := slices.Clone(w.reach[digest].waves)
	for i := range out {
		for _, now := range in.Policy.Waves {
			if now.Name == out[i].Name {
				out[i].Soak, out[i].AllowEmpty = now.Soak, now.AllowEmpty
			}
		}
	}
	return out
}

// maxUnrest is for how many ticks a process at work may leave another template
// than the rest one: a pulse with the longest grace period of the stories, and
// what it takes to get there.
const maxUnrest = 40

// seeTick holds P4 between pulses.
func (w *witness) seeTick() {
	s, live := w.cluster.State(), w.cluster.Live()
	w.seeStanding()
	switch {
	case resting(live, s), s.Proven == nil && w.blocked, w.foreign, w.inSpec && w.mayHold(live, s), live.Surging && len(s.InFlight) > 0: // a surge takes as long as its agents
		w.unrest = 0
	case w.cluster.Led():
		w.unrest++
	}
	if w.unrest > maxUnrest {
		w.accuse("P4", "for %d seconds the template has been %s, gated %t, instead of %s", w.unrest, live.Digest, live.Gated, rest(s))
	}
}

// share is a count or a percentage of total: rounded down, at least 1.
func share(v intstr.IntOrString, total int) int {
	n := v.IntValue()
	if percent, is := strings.CutSuffix(v.StrVal, "%"); is {
		p, _ := strconv.Atoi(percent)
		n = p * total / 100
	}
	return max(n, 1)
}
