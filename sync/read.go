package sync

import (
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
	if at := m.asking.pending(); !at.IsZero() {
		m.pollAt = earlier(m.pollAt, at)
	}
	if asked := c.others.asked(name(gs)); asked || !m.answers(q, time.Now()) {
		r, err := rhythmOf(gs, time.Now())
		if err == nil {
			err = c.poll(ctx, gs, m, r)
		} else {
			m.asking.answered = time.Now()
		}
		m.polled(q, err, r, time.Now())
	}
	o.fetched, o.declared = m.fetched, m.commit.Commit
	return m.lastGood(placeOf(gs)), m.failure
}

// poll brings the memory up to date with Git. It fetches and renders when the
// commit or the place is another one.
func (c *Controller) poll(ctx context.Context, gs *v1alpha1.GitSync, m *memory, r rhythm) error {
	after := m.asking.after(r, time.Now())
	m.asking.answered = time.Now() // unless there is an answer
	source, err := c.source(ctx, gs)
	if err != nil {
		return err
	}
	c.follow(m, source)
	var tip git.Tip
	if err := c.Metrics.time(stageResolve, func() (err error) {
		tip, err = c.Git.Poll(ctx, source, after)
		m.asking.answered = tip.Asked
		return err
	}); err != nil {
		return err
	}
	from := placeOf(gs).at(tip.Commit)
	if m.declared != nil && from == m.from {
		m.commit = led(m.commit, tip)
		m.fetched = &m.commit
		return nil
	}
	c.Git.Keep(source, m.admitted.commit.Commit)
	return c.fetchAndRender(ctx, gs, source, tip, m)
}

// led is a commit with the ref that leads to it now.
func led(commit v1alpha1.Commit, tip git.Tip) v1alpha1.Commit {
	if tip.Ref != commit.Ref {
		commit.MovedFrom = ""
	}
	commit.Ref, commit.Note = tip.Ref, tip.Note
	return commit
}

// fetchAndRender fills the memory whole, or leaves what is known to be good.
func (c *Controller) fetchAndRender(ctx context.Context, gs *v1alpha1.GitSync, source git.Source, tip git.Tip, m *memory) error {
	var snapshot *git.Snapshot
	if err := c.Metrics.time(stageFetch, func() (err error) {
		snapshot, err = c.Git.FetchTip(ctx, source, tip)
		return err
	}); err != nil {
		return err
	}
	key, from := name(gs), placeOf(gs).at(snapshot.Commit.Hash)
	commit := c.arrived(gs, m, snapshot.Commit, tip)
	m.fetched, m.parents = &commit, snapshot.Commit.Parents
	return c.Metrics.time(stageRender, func() error {
		declared, err := render.Build(snapshot, render.Options{Path: from.path, Namespace: from.namespace})
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
