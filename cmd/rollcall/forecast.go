package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/diff"
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
	Policy string             `json:"policy,omitempty"`
	Nodes  int                `json:"nodes"`
	Waves  []waveForecast     `json:"waves,omitempty"`
	// MaxUnavailable is in nodes.
	MaxUnavailable int `json:"maxUnavailable,omitempty"`
}

// waveForecast is one wave of a rollout to come.
type waveForecast struct {
	Name string `json:"name"`
	// Nodes are those that the wave adds, UpTo those that run the candidate when
	// it is complete.
	Nodes int             `json:"nodes"`
	UpTo  int             `json:"upTo"`
	Soak  metav1.Duration `json:"soak"`
}

// forecast says what will become of a DaemonSet.
func (p *planner) forecast(ctx context.Context, ds render.DaemonSet, nodes []corev1.Node, configChanged bool) (forecast, error) {
	out := forecast{Namespace: ds.GetNamespace(), Name: ds.GetName(), Source: ds.Source, Digest: ds.Digest}
	seen, err := p.find(ctx, ds)
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		out.Verdict, out.Message = cannotBeMade, err.Error()
		return out, nil
	}
	if err != nil {
		return out, err
	}
	seen.same = seen.same && !configChanged
	out.decide(seen)
	if out.Fields, err = seen.fields(ds, p.gitsync == nil); err != nil {
		return out, err
	}
	if out.Verdict == willAdopt || out.Verdict == willStay {
		out.Fields = slices.DeleteFunc(out.Fields, inTemplate) // what is proven stays as it runs
	}
	lost, won := out.place(seen, nodes)
	if out.Verdict != willRoll {
		return out, nil
	}
	if lost+won > 0 {
		out.Verdict = wouldBeHeld
		out.Message = fmt.Sprintf("%s: the new placement loses %d nodes and wins %d, which Kubernetes does on all of them at once", apply.ReasonPlacementChange, lost, won)
	}
	return out, p.waves(ctx, ds, &out)
}

// place counts the eligible nodes, and those that only the old or only the new
// placement wants.
func (f *forecast) place(seen *found, nodes []corev1.Node) (lost, won int) {
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
			won++
		case was && !is:
			lost++
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
		f.Verdict = willStay
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

// waves resolves the policy for the nodes.
func (p *planner) waves(ctx context.Context, ds render.DaemonSet, f *forecast) error {
	name, named := ds.GetAnnotations()[v1alpha1.AnnotationPolicy], true
	if name == "" {
		name = p.policy
	}
	if name == "" {
		name, named = apply.DefaultPolicyName, false
	}
	f.Policy = name
	policy, err := p.kinds.RolloutPolicies().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && named:
		f.Verdict, f.Message = wouldBeHeld, fmt.Sprintf("%s: there is no RolloutPolicy %q", apply.ReasonPolicyNotFound, name)
		return nil
	case apierrors.IsNotFound(err):
		policy = &v1alpha1.RolloutPolicy{Spec: apply.BuiltInPolicy()}
		f.Policy = "built in"
	case err != nil:
		return fmt.Errorf("get rolloutpolicy %s: %w", name, err)
	}
	f.Waves = wavesOf(policy.Spec.Waves, f.Nodes)
	f.limit(ds, policy)
	f.wait(policy, time.Now())
	return nil
}

// wait says that a rollout would not begin at once.
func (f *forecast) wait(policy *v1alpha1.RolloutPolicy, now time.Time) {
	calendar, err := apply.NewCalendar(policy.Spec)
	if err != nil {
		f.Verdict, f.Message = wouldBeHeld, fmt.Sprintf("%s: RolloutPolicy %q: %v", apply.ReasonPolicyInvalid, f.Policy, err)
		return
	}
	if b := calendar.Closed(now); b != nil && f.Verdict == willRoll {
		f.Message = b.Reason + ": " + b.Message
	}
}

// limit resolves how many nodes may be without their agent: the DaemonSet's own
// word goes before the policy's.
func (f *forecast) limit(ds render.DaemonSet, policy *v1alpha1.RolloutPolicy) {
	most := intstr.FromInt32(1)
	if policy.Spec.MaxUnavailable != nil {
		most = *policy.Spec.MaxUnavailable
	}
	own, set, err := unstructured.NestedFieldNoCopy(ds.Object.Object, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable")
	if set && err == nil {
		most = intstr.Parse(fmt.Sprint(own))
	}
	if s := most.String(); s == "0" || s == "0%" {
		f.Verdict, f.Message = wouldBeHeld, apply.ReasonSurgeNotServed+": the DaemonSet's own maxUnavailable is 0, so that no node may be without its agent"
	}
	f.MaxUnavailable = rollout.Resolve(most, f.Nodes)
}

// wavesOf counts the nodes of each wave.
func wavesOf(waves []v1alpha1.Wave, nodes int) []waveForecast {
	var out []waveForecast
	before := 0
	for i, w := range waves {
		upTo := max(before, rollout.Resolve(w.UpTo, nodes))
		if i == len(waves)-1 {
			upTo = nodes
		}
		out = append(out, waveForecast{Name: w.Name, Nodes: upTo - before, UpTo: upTo, Soak: w.Soak})
		before = upTo
	}
	return out
}

// changes is whether the cluster changes by it, beyond what it is doing already.
func (f *forecast) changes() bool {
	switch f.Verdict {
	case willInstall, willRoll, wouldBeHeld:
		return true
	case willAdopt, willStay, isUnderWay, isRejected, cannotBeMade:
	}
	return slices.ContainsFunc(f.Fields, func(c diff.FieldChange) bool { return !inTemplate(c) })
}

// soaking is how long the waves soak at least.
func (f *forecast) soaking() time.Duration {
	var sum time.Duration
	for _, w := range f.Waves {
		if w.Nodes > 0 {
			sum += w.Soak.Duration
		}
	}
	return sum
}
