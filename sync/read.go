package sync

import (
	"cmp"
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// read returns what Git declares. It asks Git when the interval is over or when
// a person asks. With an error it returns what the last good commit declares,
// or nil when this process knows none: that keeps running.
func (c *Controller) read(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) (*render.Declared, error) {
	m, q := c.remember(gs), questionOf(gs)
	if asked, cured := c.others.asked(name(gs)), m.cured.Swap(false); asked || cured || !m.answers(q, time.Now()) {
		err := c.poll(ctx, gs, m)
		m.curable.Store(curable(gs, err))
		m.polled(q, err, interval(gs), time.Now())
	}
	o.fetched, o.declared = m.fetched, m.commit.Commit
	return m.lastGood(placeOf(gs)), m.failure
}

// poll brings the memory up to date with Git. It fetches and renders when the
// commit or the place is another one.
func (c *Controller) poll(ctx context.Context, gs *v1alpha1.GitSync, m *memory) error {
	secrets := c.secrets(ctx, gs)
	m.awaited.Store(&secrets.versions)
	source, err := sourceOf(gs, secrets)
	if err != nil {
		return err
	}
	if source.Verify, err = c.verification(ctx, gs); err != nil {
		return err
	}
	c.follow(m, source)
	options, inputs, err := c.inputs(ctx, gs)
	if err != nil {
		return err
	}
	from := placeOf(gs)
	from.inputs = inputs
	if err := c.desk.away(func() error {
		return c.Metrics.time(stageResolve, func() (err error) {
			from.commit, err = c.Git.Resolve(ctx, source)
			c.Metrics.requested("ls-remote", err)
			return err
		})
	}); err != nil {
		return err
	}
	if m.declared != nil && from == m.from && m.verifiedFor == verificationPrint(source.Verify) {
		m.fetched = &m.commit
		return nil
	}
	return c.recall(ctx, gs, m, c.fetchAndRender(ctx, gs, source, from, options, m))
}

// fetchAndRender fills the memory whole, or leaves what is known to be good. It is done in a process of its own.
func (c *Controller) fetchAndRender(ctx context.Context, gs *v1alpha1.GitSync, source git.Source, from rendered, options render.Options, m *memory) error {
	request := reader.Request{
		For: name(gs).String(), Source: source, Commit: from.commit, Keep: m.admitted.commit.Commit,
		Options: options,
	}
	if m.lastGood(from.at("")) != nil {
		request.Known = m.basis
	}
	began := time.Now()
	if err := m.refused.again(from, request.Options, began); err != nil && m.question == questionOf(gs) {
		return err
	}
	var answer reader.Answer
	err := c.desk.away(func() (err error) {
		answer, err = c.Reader.Read(ctx, request)
		return err
	})
	c.Metrics.read(answer, err)
	if ctx.Err() == nil {
		m.refused.note(from, request.Options, err, time.Since(began), time.Now())
	}
	if answer.Commit != nil {
		from.commit = answer.Commit.Hash
		commit := commitOf(*answer.Commit)
		m.fetched = &commit
	}
	if err != nil {
		m.unverified(err)
		return err
	}
	m.from, m.commit, m.basis, m.verifiedFor = from, *m.fetched, answer.Basis, verificationPrint(source.Verify)
	if !answer.Unchanged {
		m.declared = answer.Declared
	}
	c.passSoon(c.others.note(name(gs), from, m.declared)...)
	return nil
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
