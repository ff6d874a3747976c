package sync

import (
	"cmp"
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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
	c.follow(m, source)
	options, inputs, err := c.inputs(ctx, gs)
	if err != nil {
		return err
	}
	from := placeOf(gs)
	from.inputs = inputs
	if err := c.Metrics.time(stageResolve, func() (err error) {
		from.commit, err = c.Git.Resolve(ctx, source)
		c.Metrics.requested("ls-remote", err)
		return err
	}); err != nil {
		return err
	}
	if m.declared != nil && from == m.from {
		m.fetched = &m.commit
		return nil
	}
	c.Git.Keep(source, m.admitted.commit.Commit)
	return c.fetchAndRender(ctx, name(gs), source, from, options, m)
}

// fetchAndRender fills the memory whole, or leaves what is known to be good.
func (c *Controller) fetchAndRender(ctx context.Context, key types.NamespacedName, source git.Source, from rendered, options render.Options, m *memory) error {
	var snapshot *git.Snapshot
	if err := c.Metrics.time(stageFetch, func() (err error) {
		snapshot, err = c.Git.Fetch(ctx, source, from.commit)
		c.Metrics.requested("fetch", err)
		return err
	}); err != nil {
		return err
	}
	from.commit = snapshot.Commit.Hash
	commit := v1alpha1.Commit{Commit: from.commit, Author: snapshot.Commit.Author, Subject: snapshot.Commit.Subject, Time: metav1.NewTime(snapshot.Commit.Time)}
	m.fetched = &commit
	return c.Metrics.time(stageRender, func() error {
		declared, err := render.Build(snapshot, options)
		if err != nil {
			return err
		}
		m.from, m.declared, m.commit = from, declared, commit
		c.passSoon(c.others.note(key, from, declared)...)
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
