package sync

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A new commit is admitted before anything of it is applied. While it is held, the
// last admitted one stays what the cluster is to be: it is applied, its drift is
// corrected, its rollouts go on. Admitted once, a commit stays so: what held it is
// not asked again in the middle of its way.
//
//	read ──► newest ──held by approval or dependency?──no──► admitted ──► converge
//	                                 │ yes                      ▲
//	                                 └──► said, and the one before

// version is one commit of one place with what it declares.
type version struct {
	from rendered
	// declared is nil when there is no such version.
	declared *render.Declared
	commit   v1alpha1.Commit
}

// hold is why the newest commit goes no further.
type hold struct {
	// reason is a constant, and message says the way out.
	reason, message string
	// stalled is whether a person has to do something.
	stalled bool
	// asks is the GitSync that should ask Git for the commit now; empty for none.
	asks types.NamespacedName
}

// admit returns the version that the cluster is to be: the newest one, or while
// something holds that, the last one that nothing held. Its declared is nil when
// there is none.
func (c *Controller) admit(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) version {
	m := c.remember(gs)
	newest := m.newest()
	before := newest.commit.Commit == gs.Status.Applied || newest.commit.Commit == m.admitted.commit.Commit
	if o.hold = held(gs, newest.commit.Commit, before, c.find); o.hold != nil && o.hold.asks.Name != "" && c.others.want(o.hold.asks, newest.commit.Commit) {
		c.passSoon(o.hold.asks)
	}
	if before || o.hold == nil {
		m.admitted = newest
		return newest
	}
	if gs.Status.Applied != "" && m.admitted.from.place() != placeOf(gs) {
		var err error
		if m.admitted, err = c.reread(ctx, gs, gs.Status.Applied); err != nil {
			o.hold.message += fmt.Sprintf("; commit %s, which is applied, cannot be read any more (%v): until then drift of it is not corrected", short(gs.Status.Applied), err)
		}
	}
	return m.admitted
}

// held says why the commit is not applied; nil when nothing holds it. One that was
// admitted before is held by nothing, but what can never be right is said.
func held(gs *v1alpha1.GitSync, commit string, admitted bool, find func(types.NamespacedName) *v1alpha1.GitSync) *hold {
	if h := unfulfillable(gs, find); h != nil || admitted {
		return h
	}
	if h := unfulfilled(gs, commit, find); h != nil {
		return h
	}
	if gs.Spec.Mode != v1alpha1.ModeApprove || gs.Spec.Approved == commit {
		return nil
	}
	message := fmt.Sprintf("commit %s waits for approval", short(commit))
	if other := gs.Spec.Approved; other != "" {
		message += fmt.Sprintf(" (approved is commit %s)", short(other))
	}
	return &hold{reason: ReasonAwaitingApproval, stalled: true, message: message + ": " + approval(gs, commit)}
}

// approval is the command that approves a commit.
func approval(gs *v1alpha1.GitSync, commit string) string {
	return fmt.Sprintf("rollcall approve gitsync/%s %s -n %s", gs.Name, commit, gs.Namespace)
}

// find returns a GitSync as this process knows it; nil when there is none.
func (c *Controller) find(key types.NamespacedName) *v1alpha1.GitSync {
	if o, found, err := c.syncs.GetByKey(key.String()); err == nil && found {
		return o.(*v1alpha1.GitSync)
	}
	return nil
}

// reread reads again what a commit declares that was the newest one once. It is for
// a new process: one that has admitted a commit still knows it.
func (c *Controller) reread(ctx context.Context, gs *v1alpha1.GitSync, commit string) (version, error) {
	source, err := c.source(ctx, gs)
	if err != nil {
		return version{}, err
	}
	options, inputs, err := c.inputs(ctx, gs)
	if err != nil {
		return version{}, err
	}
	from := placeOf(gs).at(commit)
	from.inputs = inputs
	answer, err := c.answer(ctx, reader.Request{For: name(gs).String(), Source: source, Tip: git.Tip{Commit: commit}, Exact: true, Options: options})
	if err != nil {
		return version{}, err
	}
	return version{from: from.at(answer.Commit.Hash), declared: answer.Declared, commit: commitOf(*answer.Commit)}, nil
}
