package sync

import (
	"context"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// same takes over a commit that changes nothing of what the one before declares, which is proven and at rest: the status
// says the new commit, and nobody is asked about an object. It returns whether that was all there was to do.
func (c *Controller) same(ctx context.Context, gs *v1alpha1.GitSync, m *memory) bool {
	o := m.same(newest(gs, m.written).DeepCopy())
	if o == nil {
		return false
	}
	c.announce(o.gs, o)
	if err := c.writeStatus(ctx, o.gs, o); err != nil {
		return false // a pass will write it
	}
	if m.whole == m.from.at(m.left.commit) {
		m.whole = m.from
	}
	m.admitted = m.newest()
	m.rested(o)
	return true
}

// same is the outcome of a pass over the newest commit, if it can be told from the one before without a pass; otherwise
// nil. Who waits for an approval or for others may have to wait again.
func (m *memory) same(gs *v1alpha1.GitSync) *outcome {
	last := m.left.last
	if last == nil || m.declared != m.left.what || gs.Spec.Mode == v1alpha1.ModeApprove || len(gs.Spec.DependsOn) > 0 {
		return nil
	}
	if last.applied != m.left.commit || last.proven != m.left.commit || last.hold != nil || last.pending != nil || last.fights != "" {
		return nil
	}
	o := *last
	o.gs, o.fetched = gs, &m.commit
	o.declared, o.applied, o.proven = m.commit.Commit, m.commit.Commit, m.commit.Commit
	o.reverts = 0
	return &o
}
