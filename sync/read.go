package sync

import (
	"cmp"
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// read returns what Git declares. It asks Git when the interval is over or when
// a person asks. With an error it returns what the last good commit declares,
// or nil when this process knows none: that keeps running.
func (c *Controller) read(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) (*render.Declared, error) {
	m, q := c.remember(gs), questionOf(gs)
	if asked := c.others.asked(name(gs)); asked || !m.answers(q, time.Now()) {
		err := c.poll(ctx, gs, m)
		m.polled(q, err, interval(gs), time.Now())
	}
	o.fetched, o.declared = m.fetched, m.commit.Commit
	return m.lastGood(placeOf(gs)), m.failure
}

// poll brings the memory up to date with Git. It fetches and renders when the
// commit or the place is another one.
func (c *Controller) poll(ctx context.Context, gs *v1alpha1.GitSync, m *memory) error {
	source, err := c.source(ctx, gs)
	if err != nil {
		return err
	}
	if source.Verify, err = c.verification(ctx, gs); err != nil {
		return err
	}
	c.follow(m, source)
	from := placeOf(gs)
	if err := c.Metrics.time(stageResolve, func() (err error) {
		from.commit, err = c.Git.Resolve(ctx, source)
		c.Metrics.requested("ls-remote", err)
		return err
	}); err != nil {
		return err
	}
	if m.declared != nil && from == m.from && m.verifiedFor == verificationPrint(source.Verify) {
		m.fetched = &m.commit
		return nil
	}
	c.Git.Keep(source, m.admitted.commit.Commit)
	return c.recall(ctx, gs, m, c.fetchAndRender(ctx, gs, source, from, m))
}

// fetchAndRender fills the memory whole, or leaves what is known to be good.
func (c *Controller) fetchAndRender(ctx context.Context, gs *v1alpha1.GitSync, source git.Source, from rendered, m *memory) error {
	var snapshot *git.Snapshot
	if err := c.Metrics.time(stageFetch, func() (err error) {
		snapshot, err = c.Git.Fetch(ctx, source, from.commit)
		c.Metrics.requested("fetch", err)
		return err
	}); err != nil {
		m.unverified(err)
		return err
	}
	if err := mustBeVerified(source, snapshot); err != nil {
		return err
	}
	from.commit = snapshot.Commit.Hash
	commit := commitOf(snapshot.Commit)
	m.fetched = &commit
	return c.Metrics.time(stageRender, func() error {
		declared, err := render.Build(snapshot, optionsOf(gs))
		if err != nil {
			return err
		}
		m.from, m.declared, m.commit, m.verifiedFor = from, declared, commit, verificationPrint(source.Verify)
		c.passSoon(c.others.note(name(gs), from, declared)...)
		return nil
	})
}

func path(gs *v1alpha1.GitSync) string {
	if gs.Spec.Source.Path == "" {
		return "."
	}
	return gs.Spec.Source.Path
}

// interval is the time between two polls.
func interval(gs *v1alpha1.GitSync) time.Duration {
	return cmp.Or(gs.Spec.Source.Interval.Duration, time.Minute)
}
