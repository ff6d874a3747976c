package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// verdict is what becomes of a DaemonSet. The set is closed.
type verdict string

const (
	willInstall  verdict = "FirstInstall" // it does not exist yet
	willAdopt    verdict = "Adopted"      // it runs already as declared, and is proven as it runs
	willStay     verdict = "Proven"       // the declared version is the proven one
	isUnderWay   verdict = "UnderWay"     // the declared version is the candidate
	isRejected   verdict = "Rejected"     // the declared version failed before: it is not tried again by itself
	willRoll     verdict = "Rollout"
	wouldBeHeld  verdict = "Held"    // a rollout that would not begin
	cannotBeMade verdict = "Refused" // the API server does not take it
)

// forecast is what will become of one DaemonSet.
type forecast struct {
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
	Source    string  `json:"source"`
	Verdict   verdict `json:"verdict"`
	// Message explains the verdict; empty when it says it all.
	Message string `json:"message,omitempty"`
	Digest  string `json:"digest"`
	// Proven is the digest that the nodes run now; empty when that is unknown.
	Proven string             `json:"proven,omitempty"`
	Fields []diff.FieldChange `json:"-"`
	// Causes are what makes it another version; empty where the version is the same, or nothing is known of the other one.
	Causes []cause `json:"causes,omitempty"`
	Policy string  `json:"policy,omitempty"`
	// After are the DaemonSets that it comes after on each node.
	After []string `json:"after,omitempty"`
	// Nodes are the eligible ones; those of Lost have no agent any more when it is over, and those of Won have one more.
	Nodes int            `json:"nodes"`
	Lost  []string       `json:"lost,omitempty"`
	Won   []string       `json:"won,omitempty"`
	Waves []waveForecast `json:"waves,omitempty"`
	// AtLeast is how long the waves take if every agent is Ready at once, and nothing else holds them.
	AtLeast metav1.Duration `json:"atLeast,omitzero"`
	// MaxUnavailable is in nodes.
	MaxUnavailable int `json:"maxUnavailable,omitempty"`
	// change is the DaemonSet as an object, and pins are the copies of config that it would read.
	change diff.Change
	pins   []render.Reference
	// rests is whether the proven version is declared and the rollout at rest.
	rests bool
}

// waveForecast is one wave of a rollout to come.
type waveForecast struct {
	Name string `json:"name"`
	// Nodes are those that the wave adds, UpTo those that run the candidate when
	// it is complete.
	Nodes int `json:"nodes"`
	UpTo  int `json:"upTo"`
	// Names are the nodes that it would take if it began now, and each of them could be picked.
	Names []string        `json:"names,omitempty"`
	Soak  metav1.Duration `json:"soak"`
	// Select are the labels of the only nodes that it takes; empty for any.
	Select string `json:"select,omitempty"`
	// EachGroup is of how many groups it takes nodes, each counted by itself; 0 when
	// it counts them together.
	EachGroup int `json:"eachGroup,omitempty"`
	// OneGroupAtATime is through how many groups it goes, one after the other; 0
	// when it takes them together. The soak is then that of each.
	OneGroupAtATime int `json:"oneGroupAtATime,omitempty"`
	// Approval is whether it waits for a person.
	Approval bool `json:"approval,omitempty"`
	// Empty waves find no node and must not be empty: the rollout is held there.
	Empty bool `json:"empty,omitempty"`
}

// forecast says what will become of a DaemonSet.
func (p *planner) forecast(ctx context.Context, ds render.DaemonSet, nodes []corev1.Node, after map[types.NamespacedName][]types.NamespacedName, configChanged bool) (forecast, error) {
	out := forecast{Namespace: ds.GetNamespace(), Name: ds.GetName(), Source: ds.Source, Digest: ds.Digest, pins: ds.Pins}
	out.comesAfter(after[keyOf(ds)])
	seen, err := p.find(ctx, ds)
	if refused := refusal(err); refused != nil {
		out.Verdict, out.Message = cannotBeMade, refused.Reason+": "+refused.Message
		return out, nil //nolint:nilerr // what the API server refuses is what is foretold
	}
	if err != nil {
		return out, err
	}
	seen.same = seen.same && !configChanged
	out.decide(seen)
	seen.settle(out.Verdict)
	if out.change, err = seen.change(ds, p.gitsync == nil); err != nil {
		return out, err
	}
	out.Fields = out.change.Fields
	lost, won := out.place(seen, nodes)
	if out.Verdict != willRoll && out.Verdict != willInstall {
		return out, nil
	}
	if seen.live != nil {
		out.Lost, out.Won = lost, won
	}
	err = p.waves(ctx, ds, seen, nodes, lost, won, &out)
	out.heldBy(apply.Dependency(p.declaration(ds).Owner, keyOf(ds), after))
	return out, err
}

func (f *forecast) comesAfter(keys []types.NamespacedName) {
	for _, key := range keys {
		f.After = append(f.After, key.String())
	}
}

// heldBy is a rollout that a block would hold; nil holds none.
func (f *forecast) heldBy(b *rollout.Block) {
	if b != nil {
		f.Verdict, f.Message = wouldBeHeld, b.Reason+": "+b.Message
	}
}

// waves resolves the policy for the nodes.
func (p *planner) waves(ctx context.Context, ds render.DaemonSet, seen *found, nodes []corev1.Node, lost, won []string, f *forecast) error {
	policy, err := p.hold(ctx, ds, lost, won, f)
	if err != nil || policy == nil {
		return err
	}
	f.Policy = policy.Name
	f.Waves = wavesOf(policy.Waves, nodesOf(nodes, seen.want, policy.GroupBy), ds.Digest)
	if f.Verdict != willInstall {
		f.MaxUnavailable = rollout.Resolve(policy.MaxUnavailable, f.Nodes)
	}
	f.AtLeast.Duration = f.atLeast(policy.Health.ReadyFor)
	return nil
}

// refusal is why the DaemonSet cannot be made as it is declared; nil when there
// is another reason why nothing is known of it.
func refusal(err error) *apply.Error {
	var e *apply.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Reason {
	case apply.ReasonInvalid, apply.ReasonImmutable, apply.ReasonConflict, apply.ReasonOwnedByAnother:
		return e
	default:
		return nil
	}
}

// place counts the eligible nodes, and names those that only the old or only the
// new placement wants.
func (f *forecast) place(seen *found, nodes []corev1.Node) (lost, won []string) {
	after := watch.NewPlacement(seen.want)
	before := after
	if seen.old != nil {
		before = watch.NewPlacement(seen.old)
	}
	for i := range nodes {
		is, was := after.Eligible(&nodes[i]), before.Eligible(&nodes[i])
		if is {
			f.Nodes++
		}
		switch {
		case is && !was:
			won = append(won, nodes[i].Name)
		case was && !is:
			lost = append(lost, nodes[i].Name)
		}
	}
	return lost, won
}

// decide compares digests, as the controller does.
func (f *forecast) decide(seen *found) {
	n := seen.rollout
	switch {
	case n == nil || n.Status.Proven == nil && n.Status.Candidate == nil:
		f.decideWithoutRollout(seen)
		return
	case n.Status.Proven != nil:
		f.Proven = n.Status.Proven.Digest
	}
	r := rejection(n, f.Digest)
	switch {
	case f.Proven == f.Digest && n.Status.Candidate != nil:
		f.Verdict, f.Message = willStay, "nodes that run another candidate return to it"
	case f.Proven == f.Digest:
		f.Verdict, f.rests = willStay, n.Status.Phase == v1alpha1.PhaseProven
	case r != nil:
		f.Verdict, f.Message = isRejected, fmt.Sprintf("it failed before, %s: %s; it is not tried again unless asked: rollcall retry", r.Reason, clean(r.Message))
	case n.Status.Candidate != nil && n.Status.Candidate.Digest == f.Digest:
		f.Verdict, f.Message = isUnderWay, whereItStands(n)
	default:
		f.Verdict = willRoll
	}
}

func (f *forecast) decideWithoutRollout(seen *found) {
	switch {
	case seen.live == nil:
		f.Verdict = willInstall
	case seen.same:
		f.Verdict, f.Message = willAdopt, "it runs as declared, no pod is touched"
	default:
		f.Verdict, f.Message = willRoll, "what runs is adopted as proven first"
	}
}

// hold says what would hold the rollout, and returns the policy that it would go
// by; nil when there is none.
func (p *planner) hold(ctx context.Context, ds render.DaemonSet, lost, won []string, f *forecast) (*rollout.Policy, error) {
	d := p.declaration(ds)
	policy, block, err := p.rollouts.Policy(ctx, d)
	if err != nil {
		return nil, err
	}
	move := rollout.Move{Name: ds.GetNamespace() + "/" + ds.GetName(), Wave: policy.Waves[0].Name, Lost: lost, Won: won,
		Budget: rollout.Resolve(policy.MaxUnavailable, f.Nodes+len(lost)-len(won)), Surge: policy.Surge}
	switch held := move.Hold(); {
	case block != nil:
	case held != nil:
		block = held
	case len(lost)+len(won) > 0:
		f.Message = rollout.PlacementWords(lost, won) + ", within maxUnavailable"
	default:
		if closed := policy.Calendar.Closed(time.Now()); closed != nil {
			f.Message = closed.Reason + ": " + closed.Message
		}
	}
	install := f.Verdict == willInstall
	f.heldBy(block)
	if install && policy.InstallAll {
		return nil, nil
	}
	if block != nil && block.Reason == apply.ReasonPolicyNotFound {
		f.Policy = d.Policy
		return nil, nil
	}
	return &policy, nil
}

// nodesOf are the nodes as the DaemonSet of that template will see them.
func nodesOf(nodes []corev1.Node, template *corev1.PodTemplateSpec, groupBy []string) []health.Node {
	all := make([]*corev1.Node, 0, len(nodes))
	for i := range nodes {
		all = append(all, &nodes[i])
	}
	return watch.Join(all, nil, watch.NewPlacement(template), groupBy, nil)
}

// wavesOf counts the nodes of each wave.
func wavesOf(waves []rollout.Wave, fleet []health.Node, digest string) []waveForecast {
	var out []waveForecast
	upTo := 0
	for i, p := range rollout.Portions(waves, fleet, digest) {
		w := waves[i]
		upTo += p.Nodes
		next := waveForecast{Name: w.Name, Nodes: p.Nodes, UpTo: upTo, Names: p.Names, Soak: metav1.Duration{Duration: w.Soak}, Select: w.Select, Approval: w.Approval, Empty: p.Empty}
		if w.EachGroup {
			next.EachGroup = p.Groups
		}
		if w.OneGroupAtATime {
			next.OneGroupAtATime = p.Groups
		}
		out = append(out, next)
	}
	return out
}

// notes are what else there is to know of the wave.
func (w *waveForecast) notes() string {
	var out []string
	if w.EachGroup > 0 {
		out = append(out, fmt.Sprintf("in each of %d groups", w.EachGroup))
	}
	if w.Select != "" {
		out = append(out, "of "+w.Select)
	}
	if w.OneGroupAtATime > 0 {
		out = append(out, fmt.Sprintf("%d groups one after the other", w.OneGroupAtATime))
	}
	if w.Approval && w.Nodes > 0 {
		out = append(out, "after approval")
	}
	if w.Empty {
		out = append(out, rollout.ReasonNoCanary+": no node is left for it, and it must have one")
	}
	return strings.Join(out, ", ")
}

// begins is whether something is begun by it that ends only after proof.
func (f *forecast) begins() bool {
	switch f.Verdict {
	case willInstall, willAdopt, willRoll, wouldBeHeld, cannotBeMade:
		return true
	case willStay, isUnderWay, isRejected:
	}
	return f.changes()
}

// changes is whether the cluster changes by it, beyond what it is doing already.
func (f *forecast) changes() bool {
	switch f.Verdict {
	case willInstall, willRoll, wouldBeHeld:
		return true
	case willAdopt, willStay, isUnderWay, isRejected, cannotBeMade:
	}
	return f.change.Reason == diff.ReasonLetsGo || slices.ContainsFunc(f.Fields, func(c diff.FieldChange) bool { return !inTemplate(c) })
}

// atLeast is how long the waves take if each agent is Ready at once: a place of
// the budget is free again when the agent on it has been Ready for that long.
func (f *forecast) atLeast(readyFor time.Duration) time.Duration {
	sum := f.soaking()
	for _, w := range f.Waves {
		batches := min(w.Nodes, 1)
		if f.MaxUnavailable > 0 {
			batches = (w.Nodes + f.MaxUnavailable - 1) / f.MaxUnavailable
		}
		sum += readyFor * time.Duration(max(batches, min(w.Nodes, w.OneGroupAtATime)))
	}
	return sum
}

// soaking is how long the waves soak at least.
func (f *forecast) soaking() time.Duration {
	var sum time.Duration
	for _, w := range f.Waves {
		if w.Nodes > 0 {
			sum += w.Soak.Duration * time.Duration(max(1, w.OneGroupAtATime))
		}
	}
	return sum
}
