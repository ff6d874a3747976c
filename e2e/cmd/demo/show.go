package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

const (
	// actDeadline is several times what the longest act takes on two cores.
	actDeadline = 90 * time.Second
	pace        = 100 * time.Millisecond
	// curtain is how long the end of an act can be read on a terminal.
	curtain = 2 * time.Second
)

// show runs the whole demo: start, five acts, the table, and with keep the
// invitation to try it. Whatever happens it ends what it has started.
func show(ctx context.Context, s *screen, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "rollcall-demo-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	w := &world{dir: dir}
	defer func() { err = finish(ctx, w, err) }()
	d := &demo{world: w, screen: s, began: time.Now()}
	s.note("%s%s  %s\n", margin, s.style().paint(bold, "rollcall"), motto)
	err = w.start(ctx, s.begin, s.done)
	if err != nil {
		return err
	}
	s.note("\n%s\n", indent(policyYAML))
	if err := d.play(ctx); err != nil {
		return err
	}
	s.note("\n%s\n\n%sThe demo took %s.", strings.Join(table(s.style(), d.rows), "\n"), margin, seconds(time.Since(d.began)))
	if !keep {
		s.note("\n%smake demo KEEP=1 leaves it all running, to look at it and to break it", margin)
		return nil
	}
	s.note("\n%s", invitation(s.style(), w.cluster.Kubeconfig, w.repo.URL, w.repo.Dir, hasKubectl()))
	<-ctx.Done()
	s.note("")
	return nil
}

// finish stops the world and removes its files, unless something failed.
func finish(ctx context.Context, w *world, err error) error {
	if err != nil && ctx.Err() != nil {
		err = context.Canceled // whatever was under way failed because of that
	}
	if stopped := w.stop(); stopped != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = stopped
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return errors.Join(err, os.RemoveAll(w.dir))
	}
	if logs := w.logs(); len(logs) > 0 {
		return fmt.Errorf("%w\nlogs:\n  %s", err, strings.Join(logs, "\n  "))
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

// demo is the performance: it pushes, watches and draws.
type demo struct {
	*world
	screen *screen
	began  time.Time
	waves  []wave
	rows   []row
	// rollout and sync are what rollcall said last; nil until it has.
	rollout *v1alpha1.NodeRollout
	sync    *v1alpha1.GitSync
	// said is the last progress line.
	said string
}

// play plays the acts in order.
func (d *demo) play(ctx context.Context) error {
	defer d.screen.leave()
	policy, err := rolloutPolicy()
	if err != nil {
		return err
	}
	d.waves = wavesOf(policy.Spec, nodes)
	for _, a := range acts() {
		d.rows = append(d.rows, row{act: a})
	}
	for i := range d.rows {
		if err := d.perform(ctx, &d.rows[i]); err != nil {
			return fmt.Errorf("%s: %w", d.rows[i].act.message, err)
		}
	}
	return nil
}

// perform pushes one commit and watches until it has a verdict.
func (d *demo) perform(ctx context.Context, r *row) error {
	began := time.Now()
	d.record(func(l *ledger) { l.begin(r.act.label) })
	if err := d.push(ctx, r); err != nil {
		return err
	}
	d.tell("%s  git push %s  %s %s", clock(time.Since(d.began)), short(r.commit), pad(r.act.label, 2), r.act.what)
	deadline := time.NewTimer(actDeadline)
	defer deadline.Stop()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		d.look(ctx)
		d.draw(r)
		if v, ended := d.verdict(r.commit); ended {
			if err := d.conclude(r, v, time.Since(began)); err != nil {
				return err
			}
			return d.curtain(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("commit %s has no verdict after %s; rollcall says %s", short(r.commit), actDeadline, d.words())
		case <-tick.C:
		}
	}
}

func (d *demo) push(ctx context.Context, r *row) (err error) {
	for name, content := range r.act.files {
		if err := d.repo.Write(name, content); err != nil {
			return err
		}
	}
	if r.commit, err = d.repo.Commit(ctx, r.act.message); err != nil {
		return err
	}
	if err := d.repo.Push(ctx); err != nil {
		return err
	}
	if d.sync == nil {
		return d.follow(ctx)
	}
	return d.poke(ctx)
}

// look reads what rollcall says. That it cannot be read is no error: an act has
// a deadline.
func (d *demo) look(ctx context.Context) {
	if n, err := d.kinds.NodeRollouts(namespace).Get(ctx, daemonSet, metav1.GetOptions{}); err == nil {
		d.rollout = n
	}
	if gs, err := d.kinds.GitSyncs(namespace).Get(ctx, syncName, metav1.GetOptions{}); err == nil {
		d.sync = gs
	}
}

// verdict is what became of the commit, once rollcall says it and the nodes are
// at rest as well.
func (d *demo) verdict(commit string) (verdict, bool) {
	rest := false
	d.record(func(l *ledger) { rest = l.atRest(nodes) })
	if !rest || d.rollout == nil || d.sync == nil {
		return "", false
	}
	if d.sync.Status.Proven == commit && d.rollout.Status.Phase == v1alpha1.PhaseProven {
		return proven, true
	}
	c := d.rollout.Status.Candidate
	return rejected, d.rollout.Status.Phase == v1alpha1.PhaseRejected && c != nil && c.Commit == commit
}

// conclude enters the result, and fails when it is not what the demo promises.
func (d *demo) conclude(r *row, v verdict, took time.Duration) error {
	d.record(func(l *ledger) {
		r.result = &result{verdict: v, touched: len(l.act.touched), hurt: len(l.act.hurt), down: l.act.down, took: took}
	})
	d.draw(r)
	x := r.result
	d.tell("%s  %s: %s after %s, %d nodes touched, %d hurt", clock(time.Since(d.began)), short(r.commit), v, seconds(took), x.touched, x.hurt)
	return r.judge()
}

// curtain leaves the end of an act to be read on a terminal.
func (d *demo) curtain(ctx context.Context) error {
	if !d.screen.live() {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(curtain):
		return nil
	}
}

// judge compares the result with what the act wants.
func (r row) judge() error {
	x := r.result
	switch {
	case x.verdict != r.act.want:
		return fmt.Errorf("commit %s was %s, and should have been %s", short(r.commit), x.verdict, r.act.want)
	case r.act.want == rejected && x.hurt == 0:
		return fmt.Errorf("commit %s was rejected, but hurt no node", short(r.commit))
	case r.act.want == rejected && x.touched > r.act.mostTouched:
		return fmt.Errorf("commit %s was rejected, but touched %d nodes, more than its %d canaries", short(r.commit), x.touched, r.act.mostTouched)
	case r.act.want == proven && x.hurt > 0:
		return fmt.Errorf("commit %s was proven, but hurt %d nodes", short(r.commit), x.hurt)
	case r.act.want == proven && r.act.label != "" && x.touched != nodes:
		return fmt.Errorf("commit %s was proven, but touched %d of %d nodes", short(r.commit), x.touched, nodes)
	default:
		return nil
	}
}

// draw shows the frame on a terminal, and elsewhere a line when rollcall says
// something new.
func (d *demo) draw(r *row) {
	f := frame{elapsed: time.Since(d.began), rows: d.rows, zones: d.zones, waves: d.waves, label: r.act.label}
	if d.rollout != nil {
		f.phase, f.message = string(d.rollout.Status.Phase), d.rollout.Status.Message
	}
	if d.rollout == nil || d.rollout.Status.Proven == nil {
		f.waves = []wave{{name: "first install", nodes: nodes}}
	}
	d.record(func(l *ledger) { f.cells = l.cells() })
	d.screen.draw(f)
	if said := d.progress(); said != d.said {
		d.said = said
		d.tell("%s  %s", clock(f.elapsed), d.words())
	}
}

// progress is what a new line is worth: the phase, its reason, the wave.
func (d *demo) progress() string {
	if d.rollout == nil {
		return ""
	}
	s := d.rollout.Status
	wave := ""
	if s.Wave != nil && s.Candidate != nil {
		wave = s.Wave.Name
	}
	return fmt.Sprint(s.Phase, s.Reason, wave)
}

// words are rollcall's own.
func (d *demo) words() string {
	if d.rollout == nil {
		return "nothing yet"
	}
	return fmt.Sprintf("%s: %s", d.rollout.Status.Phase, d.rollout.Status.Message)
}

// tell writes a line where no frames are drawn.
func (d *demo) tell(format string, args ...any) {
	if !d.screen.live() {
		d.screen.note(margin+format, args...)
	}
}
