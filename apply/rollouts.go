package apply

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health/watch"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Rollouts moves DaemonSets over their nodes: it observes, lets rollout.Decide
// decide, records, and acts. It keeps nothing that a restart could lose.
type Rollouts struct {
	Kube    kubernetes.Interface
	Kinds   *kinds.Client
	Fleet   *watch.Fleet
	Events  record.EventRecorder
	Metrics *Metrics
	Logger  *slog.Logger
	// Objects knows from whom fields may be taken over at an adoption.
	Objects *Applier
	// AccountOf says as whom the GitSync that an owner label names writes. Of one that
	// is gone, recorded tells the account's name. Nil for this process itself, always.
	AccountOf func(ctx context.Context, owner string, recorded func() (string, error)) (account.Account, error)
	// Written is what was done to pods and is not yet seen in the cache.
	Written *Written
	// OwnNode is the node that this process runs on; empty when that is not known.
	OwnNode string

	loop *Loop
	// ledger is what the rollouts know of each other.
	ledger ledger
	// unrecorded is why a rollout could not be read or recorded, untaken why its
	// last steps could not be taken, lagging why a wave could not pass yet, and
	// missing that it has no DaemonSet.
	unrecorded, untaken, lagging, missing trouble
	// learned is what the API server makes of templates.
	learned learned
	// shown is when each status was last written, and deleted is when the API
	// server last deleted a pod.
	shown, deleted pace
	// unnamed is when the owner's account last was refused to label a revision.
	unnamed pace
}

// view is one DaemonSet with everything that a decision about it needs.
type view struct {
	key      types.NamespacedName
	rollout  *v1alpha1.NodeRollout
	live     *appsv1.DaemonSet
	want     *declared
	recorded recorded
	// stateMap is what recorded was read from; it guards the next write.
	stateMap  *corev1.ConfigMap
	book      book
	revisions revisions
	policy    chosen
	// predecessors are the DaemonSets that this one comes after; rests is whether there
	// is nothing to begin, so that nobody has asked for them.
	predecessors predecessors
	rests        bool
	input        rollout.Input
	// untaken is why the last steps could not be taken; zero when they were.
	untaken problem
	// handedOver is whether want is not what the DaemonSet's owner declares.
	handedOver bool
	// foreign is whether another tool writes the DaemonSet.
	foreign bool
}

// Reconcile decides once for one DaemonSet and executes the decision. It
// returns after how long to look again without an event; 0 for never.
func (r *Rollouts) Reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		r.forget(key)
		return r.sweep(ctx, key)
	case err != nil:
		return 0, fmt.Errorf("get noderollout %s: %w", key, err)
	case n.Status.Phase == "":
		r.enqueue(r.ledger.forget(key))
		return r.beginForeign(ctx, n) // it has not begun, and an open pulse is not its own
	}
	now := time.Now()
	v, err := r.observe(ctx, n, now)
	switch {
	case err != nil:
		return 0, r.stuck(ctx, n, err, now)
	case v == nil:
		r.enqueue(r.ledger.forget(key))
		return r.gone(ctx, n, now)
	case v.unbegun():
		return r.beginForeign(ctx, n)
	}
	r.missing.note(key, nil, now)
	d := r.decide(v)
	err = r.confirm(ctx, v, d)
	if p := r.lagging.note(key, err, now); err != nil {
		if now.Sub(p.since) < maxLag {
			return settlePoll, nil
		}
		return 0, r.stuck(ctx, n, err, now)
	}
	next := v.status(d)
	left, err := r.record(ctx, v, d, next)
	if err != nil {
		err = r.stuck(ctx, n, err, now)
		r.yield(v)
		return 0, err
	}
	r.unrecorded.note(key, nil, now)
	r.announce(v, next)
	return r.act(ctx, v, d, left)
}

// act takes the steps of a recorded decision, unless another rollout has recorded a
// node of it too.
func (r *Rollouts) act(ctx context.Context, v *view, d rollout.Decision, left time.Duration) (time.Duration, error) {
	key, now := v.key, v.input.Now
	r.enqueue(r.ledger.release(key, d.Next, now))
	alone, err := r.alone(ctx, v, d)
	switch {
	case err != nil:
	case !alone:
		return settlePoll, nil
	default:
		err = r.execute(ctx, v, d)
	}
	r.untaken.note(key, err, now)
	if err != nil {
		return 0, err
	}
	return earlier(wake(v, d), left), nil
}

// earlier is the first of two times to look again, of which 0 is never.
func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// wake is when to look again: when the decision asks for it, and soon while the
// DaemonSet controller has something to observe, or the status speaks of a
// trouble that is over.
func wake(v *view, d rollout.Decision) time.Duration {
	if !v.input.Live.Observed || len(d.Steps) > 0 || v.untaken != (problem{}) {
		return settlePoll
	}
	switch d.Phase {
	case rollout.Held, rollout.Rejected, rollout.Waiting:
		return sooner(d, v.input.Now, heldRefresh) // its age is a metric
	case rollout.Proven, rollout.Replacing, rollout.Soaking, rollout.Returning:
	}
	return sooner(d, v.input.Now, 0)
}

// heldRefresh is how often the age of a hold is exported anew.
const heldRefresh = 15 * time.Second

// sooner is the decision's own wish, or otherwise if that is earlier or the
// decision has none.
func sooner(d rollout.Decision, now time.Time, otherwise time.Duration) time.Duration {
	if d.Wake.IsZero() {
		return otherwise
	}
	wish := max(d.Wake.Sub(now), time.Millisecond)
	if otherwise > 0 {
		return min(wish, otherwise)
	}
	return wish
}

// observe reads what a decision needs. The NodeRollout, the DaemonSet and the
// recorded state are read live, nodes and pods from the cache. It returns nil
// when there is nothing to decide: the NodeRollout is on its way out, or
// its DaemonSet is, or is gone.
func (r *Rollouts) observe(ctx context.Context, n *v1alpha1.NodeRollout, now time.Time) (*view, error) {
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	v := &view{key: key, rollout: n, untaken: r.untaken.of(key)}
	var err error
	if v.rollout.DeletionTimestamp != nil {
		return nil, nil
	}
	if v.live, err = r.live(ctx, n); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("get daemonset %s: %w", key, err)
	}
	if v.live.DeletionTimestamp != nil {
		return nil, nil // its pods lose their owner and their revisions, in any order
	}
	s := store{r.Kube, key}
	if v.want, err = s.declared(ctx); err != nil {
		return nil, err
	}
	owner := v.live.Labels[v1alpha1.LabelOwner]
	v.handedOver = v.want != nil && owner != "" && owner != v.want.Owner
	if v.recorded, v.stateMap, err = s.recorded(ctx); err != nil {
		return nil, err
	}
	if v.foreign = foreign(n, v.live); v.foreign {
		if v.want, err = r.wrote(ctx, v); err != nil {
			return nil, err
		}
	}
	return v, r.complete(ctx, v, now)
}

// complete relates revisions to versions and fills the input.
func (r *Rollouts) complete(ctx context.Context, v *view, now time.Time) error {
	owned, err := r.ownedRevisions(ctx, v.live)
	if err != nil {
		return err
	}
	v.book = newBook(v.recorded, v.want, r.learned.of(v.key))
	if err := v.book.templates.recoverProven(v.rollout.Status.Proven, owned); err != nil {
		return err
	}
	state := stateOf(v.rollout, v.recorded)
	v.takeWantForProven(&state)
	if v.revisions, err = newRevisions(owned, &v.live.Spec.Template, v.digestOf); err != nil {
		return err
	}
	v.recorded.Carried.complete(v.revisions.digests, v.sameAs)
	var gone *rollout.Block
	if v.policy, gone, err = r.policyFor(ctx, v.want, v.recorded.Policy); err != nil {
		return err
	}
	if v.predecessors, err = r.readPredecessors(ctx, v, state); err != nil {
		return err
	}
	p, invalid := v.policy.read(v.want)
	p.Grace = v.book.templates.grace()
	placement := v.placement()
	block := cmp.Or(gone, invalid, surgeBlock(p, v.want), v.newPodsBlock())
	if block == nil {
		block = r.placementBlock(v, placement)
	}
	want := wanted(v.want)
	if v.handedOver {
		want, block = fromVersion(v.rollout.Status.Candidate), handedOver(v.live)
	}
	v.input = rollout.Input{
		Name:     v.key.String(),
		Policy:   p,
		State:    state,
		Want:     want,
		Unknown:  v.undeclared(),
		Paused:   v.rollout.Spec.Paused,
		Retry:    v.rollout.Spec.Retry,
		Approved: (*rollout.Approval)(v.rollout.Spec.Approved),
		Block:    block,
		Live: rollout.Live{
			Digest:   v.digestOf(&v.live.Spec.Template),
			Gated:    hasGate(&v.live.Spec.Template),
			Won:      v.liveWon(),
			OnDelete: v.live.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
			Surging:  surging(v.live),
			Observed: v.live.Status.ObservedGeneration >= v.live.Generation,
			Revision: v.revisions.live,
			Unnamed:  r.unnamed.left(v.key, unnamedFor, now) > 0,
		},
		OwnNode: r.OwnNode,
		Foreign: v.foreign,
		Fleet:   r.Written.overlay(r.Fleet.Nodes(v.live.UID, placement, p.GroupBy, v.digest)),
		Now:     now,
	}
	return nil
}

// ownedRevisions are the DaemonSet's controller revisions. They are read live while a pod waits at the gate whose revision the
// watch does not show: a pulse makes one, and a watch that begins again just then shows it late. Its pods would be taken for
// strays.
func (r *Rollouts) ownedRevisions(ctx context.Context, live *appsv1.DaemonSet) ([]*appsv1.ControllerRevision, error) {
	owned := r.Fleet.Revisions(live.UID)
	if !lack(owned, r.Fleet.Gated(live.UID)) {
		return owned, nil
	}
	list, err := r.Kube.AppsV1().ControllerRevisions(live.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(live.Spec.Selector)})
	if err != nil {
		return nil, fmt.Errorf("list controllerrevisions of daemonset %s/%s: %w", live.Namespace, live.Name, err)
	}
	owned = nil
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], live) {
			owned = append(owned, &list.Items[i])
		}
	}
	return owned, nil
}

// digestOf names the version of a template: of two with the same template the
// declared one.
func (v *view) digestOf(t *corev1.PodTemplateSpec) string {
	want := ""
	if v.want != nil {
		want = v.want.Digest
	}
	return v.book.digestOf(t, want)
}

// takeWantForProven gives the proven version the digest of the declared one when
// their templates are the same: a commit that only spells out what the API
// server adds anyway changes no pod.
func (v *view) takeWantForProven(s *rollout.State) {
	if v.want == nil || v.handedOver || s.Proven == nil || s.Proven.Digest == v.want.Digest {
		return
	}
	template := v.book.templates[v.want.Digest]
	if slices.Contains(v.book.digestsOf(&template), s.Proven.Digest) {
		v.book.alias(s.Proven.Digest, v.want.Digest)
		s.Proven = wanted(v.want)
	}
}

func (v *view) digest(revision string) string {
	return v.revisions.digests[revision]
}

func wanted(d *declared) *rollout.Version {
	if d == nil {
		return nil
	}
	return &rollout.Version{Digest: d.Digest, Commit: d.Commit}
}
