package sync

import (
	"context"
	"reflect"
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
	if at := m.asking.pending(); !at.IsZero() {
		m.pollAt = earlier(m.pollAt, at)
	}
	if asked, cured := c.others.asked(name(gs)), m.cured.Swap(false); asked || cured || !m.answers(q, time.Now()) {
		r, err := rhythmOf(gs, time.Now())
		if err == nil {
			err = c.poll(ctx, gs, m, r)
		} else {
			m.asking.answered = time.Now()
		}
		m.curable.Store(curable(gs, err))
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
	var tip git.Tip
	if err := c.desk.away(func() error {
		return c.Metrics.time(stageResolve, func() (err error) {
			tip, err = c.Git.Poll(ctx, source, after)
			m.asking.answered = tip.Asked
			return err
		})
	}); err != nil {
		return err
	}
	from := placeOf(gs).at(tip.Commit)
	from.inputs = inputs
	if m.declared != nil && from == m.from && m.verifiedFor == verificationPrint(source.Verify) {
		m.commit = led(m.commit, tip)
		m.fetched = &m.commit
		return nil
	}
	return c.recall(ctx, gs, m, c.fetchAndRender(ctx, gs, source, tip, from, options, m))
}

// led is a commit with the ref that leads to it now.
func led(commit v1alpha1.Commit, tip git.Tip) v1alpha1.Commit {
	if tip.Ref != commit.Ref {
		commit.MovedFrom = ""
	}
	commit.Ref, commit.Note = tip.Ref, tip.Note
	return commit
}

// fetchAndRender fills the memory whole, or leaves what is known to be good. It is done in a process of its own.
func (c *Controller) fetchAndRender(ctx context.Context, gs *v1alpha1.GitSync, source git.Source, tip git.Tip, from rendered, options render.Options, m *memory) error {
	request := reader.Request{
		For: name(gs).String(), Source: source, Tip: tip, Keep: m.admitted.commit.Commit, Options: options, Known: m.known(from),
	}
	began := time.Now()
	if err := m.refused.again(from, request.Options, began); err != nil && m.question == questionOf(gs) {
		return err
	}
	answer, err := c.answer(ctx, request)
	if ctx.Err() == nil {
		m.refused.note(from, request.Options, err, time.Since(began), time.Now())
	}
	if answer.Commit != nil {
		from.commit = answer.Commit.Hash
		commit := c.arrived(gs, m, *answer.Commit, tip)
		m.fetched, m.parents = &commit, answer.Commit.Parents
	}
	if err != nil {
		m.unverified(err)
		return err
	}
	if err := mustBeVerified(source, *answer.Commit); err != nil {
		return err
	}
	m.from, m.commit, m.basis, m.verifiedFor = from, *m.fetched, answer.Basis, verificationPrint(source.Verify)
	if !answer.Unchanged && (request.Known == nil || !reflect.DeepEqual(m.declared, answer.Declared)) {
		m.declared = answer.Declared // a comment, or a file that is no manifest, changes nothing of it
	}
	c.passSoon(c.others.note(name(gs), from, m.declared)...)
	return nil
}

// answer has one commit read, while the desk is another's.
func (c *Controller) answer(ctx context.Context, q reader.Request) (answer reader.Answer, err error) {
	asked := q.Source
	err = c.desk.away(func() error {
		if q.Source, err = c.Git.Authorize(ctx, asked); err != nil {
			return err
		}
		answer, err = c.Reader.Read(ctx, q)
		return err
	})
	c.Git.Heed(asked, err)
	c.Metrics.read(answer, err)
	return answer, err
}

func path(gs *v1alpha1.GitSync) string {
	if gs.Spec.Source.Path == "" {
		return "."
	}
	return gs.Spec.Source.Path
}
