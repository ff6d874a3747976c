package sync

import (
	"cmp"
	"context"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	from := placeOf(gs)
	if err := c.desk.away(func() error {
		return c.Metrics.time(stageResolve, func() (err error) {
			from.commit, err = c.Git.Resolve(ctx, source)
			c.Metrics.requested("ls-remote", err)
			return err
		})
	}); err != nil {
		return err
	}
	if m.declared != nil && from == m.from {
		m.fetched = &m.commit
		return nil
	}
	return c.fetchAndRender(ctx, gs, source, from, m)
}

// fetchAndRender fills the memory whole, or leaves what is known to be good. It is done in a process of its own.
func (c *Controller) fetchAndRender(ctx context.Context, gs *v1alpha1.GitSync, source git.Source, from rendered, m *memory) error {
	request := reader.Request{
		For: name(gs).String(), Source: source, Commit: from.commit, Keep: m.admitted.commit.Commit,
		Options: render.Options{Path: from.path, Namespace: from.namespace},
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
		m.fetched = commitOf(*answer.Commit)
	}
	if err != nil {
		return err
	}
	m.from, m.commit, m.basis = from, *m.fetched, answer.Basis
	if !answer.Unchanged && (request.Known == nil || !reflect.DeepEqual(m.declared, answer.Declared)) {
		m.declared = answer.Declared // a comment, or a file that is no manifest, changes nothing of it
	}
	c.passSoon(c.others.note(name(gs), from, m.declared)...)
	return nil
}

func commitOf(c git.Commit) *v1alpha1.Commit {
	return &v1alpha1.Commit{Commit: c.Hash, Author: c.Author, Subject: c.Subject, Time: metav1.NewTime(c.Time)}
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
