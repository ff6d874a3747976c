package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Somebody deleted the DaemonSet: ReasonDaemonSetTerminating holds its rollout
// until it is gone, and ReasonDaemonSetGone until it is made again.
const (
	ReasonDaemonSetTerminating = "DaemonSetTerminating"
	ReasonDaemonSetGone        = "DaemonSetGone"
)

// goneGrace is for how long a DaemonSet may be gone without a word: a first
// install makes its NodeRollout before it, and `kubectl replace --force` deletes
// it before it creates it.
const goneGrace = 2 * time.Second

// gone says of a rollout without a DaemonSet which nodes have no agent, and asks
// so for a pass. What is recorded stays for the DaemonSet that is made again. It
// returns after how long to look again.
func (r *Rollouts) gone(ctx context.Context, n *v1alpha1.NodeRollout, now time.Time) (time.Duration, error) {
	if n.DeletionTimestamp != nil {
		return 0, nil // it goes too
	}
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	since := r.missing.note(key, errors.New("there is no DaemonSet"), now).since
	if left := since.Add(goneGrace).Sub(now); left > 0 {
		return left, nil
	}
	live, err := r.live(ctx, n)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, r.stuck(ctx, n, wrap("get daemonset", key, err), now)
	}
	why, uid := absence{reason: ReasonDaemonSetGone, words: "there is no DaemonSet"}, types.UID("")
	switch {
	case err != nil:
	case live.DeletionTimestamp == nil:
		return settlePoll, nil // it was made again just now
	default:
		why, uid = absence{reason: ReasonDaemonSetTerminating, words: "the DaemonSet is being deleted"}, live.UID
	}
	why.foreign = n.Labels[v1alpha1.LabelOwner] == ""
	fleet, err := r.left(ctx, n, uid)
	if err != nil {
		return 0, r.stuck(ctx, n, err, now)
	}
	next := n.DeepCopy()
	next.Status = goneStatus(n.Status, fleet, why, since, now)
	if !equality.Semantic.DeepEqual(next.Status, n.Status) {
		if _, err := r.Kinds.NodeRollouts(n.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager}); err != nil {
			return 0, r.stuck(ctx, n, wrap("write status of noderollout", key, err), now)
		}
	}
	r.unrecorded.note(key, nil, now)
	r.announce(&view{key: key, rollout: n, input: rollout.Input{Now: now}}, next.Status)
	return heldRefresh, nil
}

// absence is how a DaemonSet is missing.
type absence struct {
	reason, words string
	// foreign is whether another tool makes it again.
	foreign bool
}

// left are all nodes as the version that belongs on them sees them, with what is
// left of the DaemonSet's pods; nil when the template of that version is not
// known.
func (r *Rollouts) left(ctx context.Context, n *v1alpha1.NodeRollout, uid types.UID) ([]health.Node, error) {
	s := store{r.Kube, types.NamespacedName{Namespace: n.Namespace, Name: n.Name}}
	want, err := s.declared(ctx)
	if err != nil {
		return nil, err
	}
	rec, _, err := s.recorded(ctx)
	if err != nil {
		return nil, err
	}
	digest := ""
	switch {
	case n.Status.Proven != nil:
		digest = n.Status.Proven.Digest
	case want != nil:
		digest = want.Digest
	}
	t, known := newBook(rec, want, spelling{}).templates[digest]
	if !known {
		return nil, nil
	}
	return r.Fleet.Nodes(uid, watch.NewPlacement(&t), nil, func(string) string { return "" }), nil
}

// goneStatus changes what explains a status, and nothing that a decision goes by.
// Of which nodes are eligible it keeps what was known if the fleet is nil.
func goneStatus(old v1alpha1.NodeRolloutStatus, fleet []health.Node, why absence, since, now time.Time) v1alpha1.NodeRolloutStatus {
	out := *old.DeepCopy()
	out.Phase, out.Reason = v1alpha1.PhaseHeld, why.reason
	if old.Phase != out.Phase || old.Reason != out.Reason {
		out.Since = metav1.NewTime(since).Rfc3339Copy()
	}
	out.Nodes = v1alpha1.NodeCounts{Eligible: old.Nodes.Eligible, Held: old.Nodes.Held, Unreachable: old.Nodes.Unreachable}
	if fleet != nil {
		out.Nodes = v1alpha1.NodeCounts{}
	}
	out.Failing = nil
	for i := range fleet {
		n := &fleet[i]
		if n.Held {
			out.Nodes.Held++
		}
		if !n.Eligible {
			continue
		}
		out.Nodes.Eligible++
		if !n.Ready {
			out.Nodes.Unreachable++
		}
		if n.Present() {
			out.Nodes.Present++
			continue
		}
		if len(out.Failing) < rollout.MaxFailing {
			out.Failing = append(out.Failing, v1alpha1.NodeProblem{Node: n.Name, Reason: why.reason, Message: why.words, Since: out.Since})
		}
	}
	out.Nodes.Absent, out.Nodes.Failed = out.Nodes.Eligible-out.Nodes.Present, old.Nodes.Failed
	out.Message = fmt.Sprintf("%s: %d of %d eligible nodes have an agent of it; once it is gone the next pass of its GitSync makes it again%s: "+
		"resume the GitSync if it is suspended, fix what is refused if its status says so, or delete this NodeRollout if no GitSync declares it any more",
		why.words, out.Nodes.Present, out.Nodes.Eligible, provenWords(old.Proven))
	if why.foreign {
		out.Message = fmt.Sprintf("%s: %d of %d eligible nodes have an agent of it; rollcall makes none that another tool applies: apply it again, or delete this NodeRollout", why.words, out.Nodes.Present, out.Nodes.Eligible)
	}
	out.Conditions = conditions(old.Conditions, out, now)
	return out
}

// provenWords say as which version a DaemonSet is made again.
func provenWords(proven *v1alpha1.Version) string {
	switch {
	case proven == nil:
		return ""
	case proven.Commit == "":
		return " as it was proven"
	default:
		return " as commit " + short(proven.Commit) + " proved it"
	}
}
