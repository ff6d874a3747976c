package sync

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// memory is what a process knows of one GitSync: enough to make a pass without
// asking Git again before the interval is over.
type memory struct {
	polled   time.Time
	source   git.Source
	handled  string
	from     rendered
	declared *render.Declared
	commit   v1alpha1.Commit
	failures int
}

// rendered names what a Declared was made of.
type rendered struct {
	url, ref, path, namespace, commit string
}

// read returns what Git declares. It polls when the interval is over, when a
// person asks, or when nothing is known; it fetches and renders when the commit
// or the path is another one.
func (c *Controller) read(ctx context.Context, gs *v1alpha1.GitSync, o *outcome) (*render.Declared, error) {
	m := c.remember(gs)
	asked := gs.Annotations[v1alpha1.AnnotationReconcileAt]
	from := rendered{url: gs.Spec.Source.URL, ref: gs.Spec.Source.Ref.FullName(), path: path(gs), namespace: gs.Namespace, commit: m.from.commit}
	if m.declared != nil && m.failures == 0 && asked == m.handled && from == m.from && time.Since(m.polled) < gs.Spec.Source.Interval.Duration {
		o.fetched = &m.commit
		return m.declared, nil
	}
	source, err := c.source(ctx, gs)
	if err != nil {
		return nil, err
	}
	if err := c.Metrics.time(stageResolve, func() (err error) {
		from.commit, err = c.Git.Resolve(ctx, source)
		c.Metrics.requested("ls-remote", err)
		return err
	}); err != nil {
		return nil, err
	}
	m.polled, m.handled, m.source = time.Now(), asked, source
	if m.declared == nil || from != m.from {
		if err := c.fetchAndRender(ctx, source, from, m, o); err != nil {
			return nil, err
		}
	}
	o.fetched = &m.commit
	return m.declared, nil
}

// fetchAndRender fills the memory whole, or leaves it as it is.
func (c *Controller) fetchAndRender(ctx context.Context, source git.Source, from rendered, m *memory, o *outcome) error {
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
	o.fetched = &commit
	return c.Metrics.time(stageRender, func() error {
		declared, err := render.Build(snapshot, render.Options{Path: from.path, Namespace: from.namespace})
		if err != nil {
			return err
		}
		m.from, m.declared, m.commit = from, declared, commit
		return nil
	})
}

func path(gs *v1alpha1.GitSync) string {
	if gs.Spec.Source.Path == "" {
		return "."
	}
	return gs.Spec.Source.Path
}
