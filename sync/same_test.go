package sync

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestSame(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		change func(*memory, *v1alpha1.GitSync)
		want   bool
	}{
		"it declares the same":                  {func(*memory, *v1alpha1.GitSync) {}, true},
		"it was rendered, and may be another":   {func(m *memory, _ *v1alpha1.GitSync) { m.declared = &render.Declared{} }, false},
		"nothing rests":                         {func(m *memory, _ *v1alpha1.GitSync) { m.left = left{} }, false},
		"each commit is approved by a person":   {func(_ *memory, gs *v1alpha1.GitSync) { gs.Spec.Mode = v1alpha1.ModeApprove }, false},
		"others have to prove it first":         {func(_ *memory, gs *v1alpha1.GitSync) { gs.Spec.DependsOn = make([]v1alpha1.GitSyncReference, 1) }, false},
		"the one before was not proven":         {func(m *memory, _ *v1alpha1.GitSync) { m.left.last.proven = "" }, false},
		"the one before was not applied":        {func(m *memory, _ *v1alpha1.GitSync) { m.left.last.applied = "" }, false},
		"the one before was held":               {func(m *memory, _ *v1alpha1.GitSync) { m.left.last.hold = &hold{} }, false},
		"the one before was compared alone":     {func(m *memory, _ *v1alpha1.GitSync) { m.left.last.pending = &v1alpha1.Pending{} }, false},
		"somebody changes objects of it back":   {func(m *memory, _ *v1alpha1.GitSync) { m.left.last.fights = "1 object" }, false},
		"the one before was applied and proven": {func(m *memory, _ *v1alpha1.GitSync) { m.left.last.reverts = 3 }, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			what, gs := &render.Declared{}, &v1alpha1.GitSync{}
			m := &memory{declared: what, commit: v1alpha1.Commit{Commit: "new", Subject: "read me"}, left: left{settled: apply.Settled{}}}
			m.left.commit, m.left.what, m.left.last = "old", what, &outcome{gs: gs, applied: "old", proven: "old", declared: "old"}
			c.change(m, gs)
			o := m.same(gs)
			if (o != nil) != c.want {
				t.Fatalf("the outcome is %+v, want one: %t", o, c.want)
			}
			if o == nil {
				return
			}
			s := o.status(time.Unix(0, 0))
			if s.Fetched.Commit != "new" || s.Applied != "new" || s.Proven != "new" || s.History[0].Commit != "new" || s.History[0].Outcome != ReasonProven {
				t.Errorf("the status is %+v", s)
			}
			if m.left.last.applied != "old" {
				t.Error("the outcome before is another one now")
			}
			if m.rested(o); m.left.commit != "new" || m.left.what != what || o.reverts != 0 {
				t.Errorf("it was left as %+v", m.left)
			}
		})
	}
}
