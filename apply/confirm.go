package apply

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A wave passes on what the watches show. One that hangs shows for ever what was
// once true, so the pods that a wave rests on are read live before it passes:
// that is once a wave.

// maxLag is for how long the cache may differ from the cluster before that is a
// trouble.
const maxLag = 10 * time.Second

// pageSize bounds what a list holds in memory at once.
const pageSize = 500

// confirm returns an error while a decision would let a wave pass, or let its time run
// out, and the pods of its nodes are other ones than the decision knew, or have
// changed since.
func (r *Rollouts) confirm(ctx context.Context, v *view, d rollout.Decision) error {
	if !passes(v.input.State, d.Next) && !removes(v.rollout.Status, d) && !runsOut(v.input.State, d.Next) {
		return nil
	}
	versions, err := r.podVersions(ctx, v)
	if err != nil {
		return err
	}
	if late, first := behind(v.input.Fleet, v.input.State, versions); late > 0 {
		return fmt.Errorf("daemonset %s: the wave cannot be judged yet, for the watch of pods is behind the API server: it shows %d of its nodes' pods as they were (first on %s)", v.key, late, first)
	}
	return nil
}

// passes is whether a wave that was in progress is over, or the candidate proven.
func passes(before, after rollout.State) bool {
	c := before.Candidate
	switch {
	case c == nil:
		return false
	case after.Candidate == nil:
		return after.Proven != nil && after.Proven.Digest == c.Digest
	default:
		return after.Candidate.Digest == c.Digest && after.Wave > before.Wave
	}
}

// removes is whether the last wave of a removal passes.
func removes(before v1alpha1.NodeRolloutStatus, d rollout.Decision) bool {
	return d.Reason == rollout.ReasonRemoved && before.Reason != rollout.ReasonRemoved
}

// runsOut is whether the candidate is rejected for what was not seen of a node in
// time. What was seen to fail needs no other look: going back fails open.
func runsOut(before, after rollout.State) bool {
	if len(after.Rejected) == 0 || after.Rejected[0].Reason != health.ReasonDeadlineExceeded {
		return false
	}
	return len(before.Rejected) == 0 || before.Rejected[0].Digest != after.Rejected[0].Digest || !before.Rejected[0].At.Equal(after.Rejected[0].At)
}

// podVersions are the resourceVersions of the DaemonSet's pods by UID, as the API
// server has them now.
func (r *Rollouts) podVersions(ctx context.Context, v *view) (map[types.UID]string, error) {
	out := map[types.UID]string{}
	o := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(v.live.Spec.Selector), Limit: pageSize}
	for {
		page, err := r.Kube.CoreV1().Pods(v.key.Namespace).List(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("list pods of daemonset %s: %w", v.key, err)
		}
		for i := range page.Items {
			out[page.Items[i].UID] = page.Items[i].ResourceVersion
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return out, nil
		}
	}
}

// behind counts the nodes of the waves whose agent is another one by now, or has
// changed, and names the first. Without records, a first install is on every node.
func behind(fleet []health.Node, s rollout.State, versions map[types.UID]string) (late int, first string) {
	touched := make(map[types.UID]bool, len(s.Records))
	for _, r := range s.Records {
		touched[r.UID] = r.Ran
	}
	everywhere := s.Proven == nil && s.Waves == nil
	for i := range fleet {
		n := &fleet[i]
		a := n.Agent()
		if !everywhere && !touched[n.UID] || a == nil || versions[a.UID] == a.Version {
			continue
		}
		if late++; late == 1 {
			first = n.Name
		}
	}
	return late, first
}
