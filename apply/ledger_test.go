package apply

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

var (
	cni, dns, logs = types.NamespacedName{Namespace: "net", Name: "cni"}, types.NamespacedName{Namespace: "net", Name: "dns"}, types.NamespacedName{Namespace: "obs", Name: "logs"}
	noon           = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
)

// sharing is a fleet of nodes n1, n2 and n3, each with a well agent of v1.
func sharing(key types.NamespacedName, now time.Time) *view {
	var fleet []health.Node
	for _, n := range []string{"n1", "n2", "n3"} {
		fleet = append(fleet, health.Node{Name: n, UID: types.UID("uid-" + n), Ready: true, Eligible: true, Schedulable: true, Created: noon.Add(-time.Hour), Agents: []health.Agent{
			{Name: key.Name + "-" + n, UID: types.UID(key.Name + "-" + n), Digest: "v1", Ready: true, Created: noon.Add(-time.Hour), ReadySince: noon.Add(-time.Hour)}}})
	}
	return &view{key: key, want: &declared{Digest: "v2", Owner: "net.sync"}, input: rollout.Input{
		Name: key.String(), Want: &rollout.Version{Digest: "v2"}, Now: now, Fleet: fleet,
		State: rollout.State{Proven: &rollout.Version{Digest: "v1"}},
		Live:  rollout.Live{Digest: "v1", OnDelete: true, Observed: true},
		Policy: rollout.Policy{Waves: waves("100%"), MaxUnavailable: share("100%"),
			Health: health.Rule{Deadline: time.Minute, Node: true}},
	}}
}

func nodesOf(d rollout.Decision) string {
	out := ""
	for _, f := range d.Next.InFlight {
		out += f.Node + " "
	}
	return out
}

func TestTwoRolloutsNeverTakeOneNode(t *testing.T) {
	r := &Rollouts{}
	first := sharing(cni, noon)
	first.input.Policy.MaxUnavailable = share("2")
	d := r.decide(first)
	if got := nodesOf(d); got != "n1 n2 " && got != "n1 n3 " && got != "n2 n3 " {
		t.Fatalf("the first rollout takes %q", got)
	}
	second := sharing(dns, noon)
	e := r.decide(second)
	if got := nodesOf(e); got == "" || len(got) != len("n1 ") || strings.Contains(nodesOf(d), got) {
		t.Fatalf("the second takes %q beside %q", got, nodesOf(d))
	}
	third := r.decide(sharing(logs, noon))
	if third.Phase != rollout.Waiting || third.Reason != rollout.ReasonNodeBusy || !third.Waits || len(third.Steps) > 0 {
		t.Errorf("the third does not wait: %s %s %s %v", third.Phase, third.Reason, third.Message, third.Steps)
	}
	if want := noon.Add(first.input.Policy.ClaimFor()); !third.Wake.Equal(want) {
		t.Errorf("the third looks again at %s, the claims end at %s", third.Wake, want)
	}
	// The first has recorded that it is through.
	if got := r.ledger.release(cni, rollout.State{Proven: first.input.State.Proven}, noon.Add(time.Second)); !cmp.Equal(got, []types.NamespacedName{dns, logs}) && !cmp.Equal(got, []types.NamespacedName{logs}) {
		t.Errorf("told are %v", got)
	}
	if got := len(nodesOf(r.decide(sharing(logs, noon.Add(time.Second))))); got != len("n1 n2 ") {
		t.Errorf("the third takes %d nodes when the first is through", got/3)
	}
}

func TestClaimsSurviveARestart(t *testing.T) {
	before := &Rollouts{}
	one := sharing(cni, noon)
	d := before.decide(one)
	if got := nodesOf(d); got != "n1 n2 n3 " {
		t.Fatalf("taken are %q", got)
	}
	// A new process knows only what is recorded.
	after := &Rollouts{}
	after.ledger.take(cni, rollout.State{Proven: d.Next.Proven, InFlight: d.Next.InFlight}, noon.Add(time.Minute))
	after.ledger.take(dns, rollout.State{}, noon.Add(time.Minute))
	e := after.decide(sharing(dns, noon.Add(time.Minute)))
	if e.Reason != rollout.ReasonNodeBusy {
		t.Errorf("after a restart: %s %s %q", e.Reason, e.Message, nodesOf(e))
	}
}

func TestWhatIsGoneClaimsNothing(t *testing.T) {
	for reason, want := range map[string]int{"Replacing": 1, ReasonStepFailed: 1, ReasonDaemonSetGone: 0, ReasonDaemonSetTerminating: 0} {
		n := &v1alpha1.NodeRollout{Status: v1alpha1.NodeRolloutStatus{Reason: reason, InFlight: []v1alpha1.InFlight{{Node: "n1", NodeUID: "uid-n1", PodUID: "cni-n1"}}}}
		if got := len(rollout.Claims(shownState(n))); got != want {
			t.Errorf("%s: %d claims, want %d", reason, got, want)
		}
	}
}

func TestClaimsEnd(t *testing.T) {
	r := &Rollouts{}
	one := sharing(cni, noon)
	state := r.decide(one).Next
	// The rollout records the same pods again and again, since nobody can delete them.
	for after := time.Duration(0); after < 3*time.Minute; after += 20 * time.Second {
		again := sharing(cni, noon.Add(after))
		again.input.State = state
		state = r.decide(again).Next
		e := r.decide(sharing(dns, noon.Add(after)))
		if over := after >= one.input.Policy.ClaimFor(); over != (nodesOf(e) != "") {
			t.Errorf("after %s the other takes %q (%s)", after, nodesOf(e), e.Reason)
		}
		if nodesOf(e) != "" {
			return
		}
	}
	t.Error("the other waits for ever")
}

func TestWhatIsRecordedByAnotherLeaderIsSeen(t *testing.T) {
	r := &Rollouts{}
	d := r.decide(sharing(cni, noon))
	mine := map[types.UID]bool{"uid-n2": true}
	theirs := rollout.State{Proven: &rollout.Version{Digest: "v1"}, InFlight: []rollout.InFlight{{Node: "n2", NodeUID: "uid-n2", PodUID: "dns-n2", At: noon}}}
	if got := r.ledger.collision(dns, theirs, mine, noon); got != "n2" {
		t.Errorf("the collision is on %q", got)
	}
	if got := r.ledger.collision(dns, theirs, map[types.UID]bool{"uid-n1": true}, noon); got != "" {
		t.Errorf("there is a collision on %q", got)
	}
	again := sharing(cni, noon.Add(time.Second))
	again.input.State = d.Next
	again.input.Live.Gated, again.input.Live.Digest = true, "v2"
	for _, s := range r.decide(again).Steps {
		if s.Action == rollout.DeletePod && s.Node == "n2" {
			t.Error("the pod is deleted on the node that another rollout has recorded")
		}
	}
	if got := r.ledger.collision(dns, theirs, mine, noon.Add(48*time.Hour)); got != "" {
		t.Errorf("the collision lasts for ever: %q", got)
	}
}

func TestWhatComesAfter(t *testing.T) {
	follow := func(r *Rollouts, digest string, known bool) rollout.Decision {
		v := sharing(dns, noon)
		v.predecessors = predecessors{{key: cni, known: known, digest: digest}}
		return r.decide(v)
	}
	look := func(r *Rollouts, change func(*view)) {
		v := sharing(cni, noon)
		change(v)
		r.decide(v)
		r.ledger.release(cni, rollout.State{Proven: &rollout.Version{Digest: "v1"}}, noon)
	}
	onV2 := func(nodes ...int) func(*view) {
		return func(v *view) {
			for _, i := range nodes {
				v.input.Fleet[i].Agents[0].Digest = "v2"
			}
		}
	}
	for sentence, c := range map[string]struct {
		before        func(*Rollouts)
		digest        string
		unknown       bool
		taken, reason string
		phase         rollout.Phase
		message       string
	}{
		"nobody has looked at it yet":               {before: func(*Rollouts) {}, digest: "v2", phase: rollout.Waiting, reason: rollout.ReasonWaitsForDependency},
		"its rollout has not looked at the new one": {before: func(r *Rollouts) { look(r, onV2(0, 1, 2)) }, digest: "v3", phase: rollout.Waiting, reason: rollout.ReasonWaitsForDependency},
		"what Git declares of it is not known":      {before: func(r *Rollouts) { look(r, onV2(0, 1, 2)) }, digest: "", phase: rollout.Waiting, reason: rollout.ReasonWaitsForDependency},
		"it is nowhere yet":                         {before: func(r *Rollouts) { look(r, onV2()) }, digest: "v2", phase: rollout.Waiting, reason: rollout.ReasonWaitsForDependency},
		"it is healthy on one node":                 {before: func(r *Rollouts) { look(r, onV2(1)) }, digest: "v2", taken: "n2 ", phase: rollout.Replacing, reason: rollout.ReasonReplacing},
		"it is healthy on all":                      {before: func(r *Rollouts) { look(r, onV2(0, 1, 2)) }, digest: "v2", taken: "n1 n2 n3 ", phase: rollout.Replacing, reason: rollout.ReasonReplacing},
		"it is there and not Ready": {before: func(r *Rollouts) {
			look(r, func(v *view) { onV2(0, 1)(v); v.input.Fleet[0].Agents[0].Ready = false })
		}, digest: "v2", taken: "n2 ", phase: rollout.Replacing, reason: rollout.ReasonReplacing},
		"it is rejected": {before: func(r *Rollouts) {
			look(r, func(v *view) {
				v.input.State.Candidate = &rollout.Version{Digest: "v2"}
				v.input.State.Rejected = []rollout.Rejection{{Version: rollout.Version{Digest: "v2"}, Reason: "CannotStart", At: noon}}
			})
		}, digest: "v2", phase: rollout.Held, reason: rollout.ReasonWaitsForDependency, message: "its version of Git is rejected (CannotStart)"},
		"there is none of that name": {before: func(*Rollouts) {}, unknown: true, phase: rollout.Held, reason: ReasonDependencyInvalid, message: "names net/cni, but GitSync net.sync has no DaemonSet net/cni"},
		"it comes after this one": {before: func(r *Rollouts) {
			look(r, func(v *view) { v.predecessors = predecessors{{key: dns, known: true, digest: "v2"}} })
		}, digest: "v2", phase: rollout.Held, reason: ReasonDependencyInvalid, message: "net/dns after net/cni after net/dns"},
	} {
		t.Run(sentence, func(t *testing.T) {
			r := &Rollouts{}
			c.before(r)
			d := follow(r, c.digest, !c.unknown)
			if nodesOf(d) != c.taken || d.Phase != c.phase || d.Reason != c.reason {
				t.Errorf("%s %s %q %s", d.Phase, d.Reason, nodesOf(d), d.Message)
			}
			if !strings.Contains(d.Message, c.message) {
				t.Errorf("the message is %q", d.Message)
			}
		})
	}
}

func TestTheWholeFleetCounts(t *testing.T) {
	r := &Rollouts{}
	limit := share("1")
	breaking := func() *view {
		v := sharing(dns, noon)
		v.input.Policy.MaxSick = &limit
		return v
	}
	r.ledger.take(cni, rollout.State{}, noon)
	if d := r.decide(breaking()); d.Reason != rollout.ReasonBreakerOpen || !strings.Contains(d.Message, "1 rollouts have not been looked at") {
		t.Errorf("before all are looked at: %s %s", d.Reason, d.Message)
	}
	sick := sharing(cni, noon)
	sick.input.Want = &rollout.Version{Digest: "v1"}
	sick.input.Fleet[0].Agents[0].Ready, sick.input.Fleet[2].Agents = false, nil
	r.decide(sick)
	d := r.decide(breaking())
	if d.Reason != rollout.ReasonBreakerOpen || d.Phase != rollout.Held || !strings.Contains(d.Message, "2 of 3 nodes are sick") || !strings.Contains(d.Message, "(1: 1), such as n1, n3: nothing") {
		t.Errorf("with two sick nodes: %s %s %s", d.Phase, d.Reason, d.Message)
	}
	well := sharing(cni, noon)
	well.input.Want, well.input.Fleet[0].Agents[0].Ready = &rollout.Version{Digest: "v1"}, false
	r.decide(well)
	if d := r.decide(breaking()); nodesOf(d) == "" {
		t.Errorf("with one sick node: %s %s", d.Reason, d.Message)
	}
}

func waves(upTo ...string) []rollout.Wave {
	var out []rollout.Wave
	for _, u := range upTo {
		out = append(out, rollout.Wave{Name: "to-" + u, UpTo: share(u)})
	}
	return out
}

func share(s string) intstr.IntOrString { return intstr.Parse(s) }

func TestClaimsThatCannotBeRecordedEnd(t *testing.T) {
	r, refused := &Rollouts{}, errors.New("the API server does not take it")
	for after := time.Duration(0); after < 3*time.Minute; after += 20 * time.Second {
		now := noon.Add(after)
		one := sharing(cni, now) // nothing of the tries before is recorded
		if r.decide(one); after == 0 && nodesOf(r.decide(sharing(dns, now))) != "" {
			t.Fatal("the other takes a node that is about to be recorded")
		}
		r.unrecorded.note(cni, refused, now)
		r.yield(one)
		e := r.decide(sharing(dns, now))
		if over := after >= one.input.Policy.ClaimFor(); over != (nodesOf(e) != "") {
			t.Errorf("after %s the other takes %q (%s)", after, nodesOf(e), e.Reason)
		}
		if nodesOf(e) == "" {
			continue
		}
		if got := nodesOf(r.decide(sharing(cni, now))); got != "" {
			t.Errorf("both take %q", got)
		}
		return
	}
	t.Error("the other waits for ever")
}
