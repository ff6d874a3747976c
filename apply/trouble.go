package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// ReasonStepFailed is a rollout that cannot be read, cannot be recorded, or
// whose steps the API server refuses. It is tried again by itself.
const ReasonStepFailed = "StepFailed"

// trouble remembers by DaemonSet what goes wrong, until it does no more. A new
// process learns it again. The zero value is ready.
type trouble struct {
	mu   sync.Mutex
	last map[types.NamespacedName]problem
}

// problem is what goes wrong, fit to be shown, since the first time in a row. The
// zero value is none.
type problem struct {
	words string
	since time.Time
}

// note remembers an error, or that there was none, and returns what goes wrong
// now. After a lost race that is what went wrong before: somebody else wrote, and
// the next look decides anew.
func (t *trouble) note(key types.NamespacedName, err error, now time.Time) problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch before, lasts := t.last[key]; {
	case err == nil:
		delete(t.last, key)
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
	case lasts:
		t.last[key] = problem{words: words(err), since: before.since}
	case t.last == nil:
		t.last = map[types.NamespacedName]problem{key: {words: words(err), since: now}}
	default:
		t.last[key] = problem{words: words(err), since: now}
	}
	return t.last[key]
}

func (t *trouble) of(key types.NamespacedName) problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[key]
}

// forget drops what is known of a rollout that is gone.
func (r *Rollouts) forget(key types.NamespacedName) {
	r.Metrics.forget(key)
	r.learned.forget(key)
	r.shown.forget(key)
	r.deleted.forget(key)
	r.unnamed.forget(key)
	r.enqueue(r.ledger.forget(key))
	for _, t := range []*trouble{&r.unrecorded, &r.untaken, &r.lagging, &r.missing} {
		t.note(key, nil, time.Time{})
	}
}

// stuck says why a rollout could be read or recorded no further: in its status if
// that can be written, in an event, and in the metrics whether or not it can. It
// returns the error, for the next try.
func (r *Rollouts) stuck(ctx context.Context, n *v1alpha1.NodeRollout, err error, now time.Time) error {
	if ctx.Err() != nil {
		return err // stopping: what was not finished is no trouble
	}
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	p := r.unrecorded.note(key, err, now)
	if p == (problem{}) {
		return err
	}
	next := n.DeepCopy()
	want, _ := (store{r.Kube, key}).declared(ctx) // what cannot be read is not known
	next.Status = stuckStatus(n.Status, want, p, now)
	r.Metrics.observe(key, n.Status, next.Status, now)
	if n.Status.Reason != ReasonStepFailed && p.since.Equal(now) {
		r.Events.Event(n, corev1.EventTypeWarning, ReasonStepFailed, next.Status.Message)
	}
	if equality.Semantic.DeepEqual(next.Status, n.Status) {
		return err
	}
	_, failed := r.Kinds.NodeRollouts(n.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	if apierrors.IsConflict(failed) {
		return err
	}
	return errors.Join(err, wrap("write status of noderollout", key, failed))
}

// stuckStatus changes what explains a status, and nothing that a decision goes
// by: that stays as it is recorded. The generation is not observed either. At rest
// a rollout is only as long as Git declares, as far as is known, what is proven.
func stuckStatus(old v1alpha1.NodeRolloutStatus, want *declared, p problem, now time.Time) v1alpha1.NodeRolloutStatus {
	out := *old.DeepCopy()
	out.Reason = ReasonStepFailed
	if old.Phase == v1alpha1.PhaseProven && want != nil && (old.Proven == nil || old.Proven.Digest != want.Digest) {
		out.Phase = v1alpha1.PhaseWaiting
	}
	out.Message = fmt.Sprintf("nothing moves on the %d eligible nodes, for the rollout cannot be read or recorded; it is tried again by itself, at least once a minute: %s",
		old.Nodes.Eligible, p.words)
	if old.Reason != ReasonStepFailed {
		out.Since = metav1.NewTime(p.since).Rfc3339Copy()
	}
	out.Conditions = conditions(old.Conditions, out, now)
	return out
}

// words are what an error says, as far as it can be shown. An admission webhook
// may say anything, and the API server may quote a Secret.
func words(err error) string {
	var status apierrors.APIStatus
	right, missing := deniedIn(err.Error())
	secret := errors.As(err, &status) && aboutSecret(status)
	switch {
	case secret && missing:
		return right.String() + ": " + release(err)
	case secret:
		return unsaid(status) + remedy(err)
	case missing:
		return cut(err.Error()) + ": " + release(err)
	default:
		return cut(err.Error()) + remedy(err)
	}
}
