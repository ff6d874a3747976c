package sync

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestRetirementIsOver(t *testing.T) {
	t.Parallel()
	keeps := func(reason, namespace string) func(*retirement) {
		return func(r *retirement) {
			r.withheld = append(r.withheld, diff.Change{ID: diff.ID{Namespace: namespace, Name: "x", Kind: "ConfigMap"}, Reason: reason})
		}
	}
	both := func(changes ...func(*retirement)) func(*retirement) {
		return func(r *retirement) {
			for _, c := range changes {
				c(r)
			}
		}
	}
	going := func(r *retirement) { r.namespaceGoes = true }
	failed := func(r *retirement) { r.failure = &Failure{Reason: "Forbidden", Message: "may not"} }
	for sentence, c := range map[string]struct {
		change func(*retirement)
		after  time.Duration
		want   bool
		words  string
	}{
		"everything is gone":                                  {func(*retirement) {}, 0, true, "nothing is left of what it applied"},
		"something is read still":                             {keeps(diff.ReasonInUse, "agents"), time.Hour, false, "1 InUse"},
		"something waits for its finalizers":                  {keeps(diff.ReasonTerminating, "agents"), time.Hour, false, "1 Terminating"},
		"something is protected for good":                     {keeps(diff.ReasonPruneProtected, "agents"), 0, true, "1 object of what it applied keep the label rollcall.dev/gitsync: agents.fleet; not pruned: 1 PruneProtected"},
		"a Namespace is not confirmed":                        {keeps(diff.ReasonProtectedKind, ""), 0, true, "1 ProtectedKind"},
		"something cannot be deleted":                         {failed, time.Hour, false, "may not"},
		"its namespace goes, and with it what is left in it":  {both(going, keeps(diff.ReasonTerminating, "agents")), 0, true, ""},
		"its namespace goes, and something elsewhere is left": {both(going, keeps(diff.ReasonTerminating, "other")), time.Second, false, ""},
		"its namespace has waited long enough":                {both(going, keeps(diff.ReasonTerminating, "other")), 2 * time.Minute, true, "1 Terminating"},
		"its namespace does not wait for what fails":          {both(going, failed), 2 * time.Minute, true, "does not wait any longer"},
		"but it waits a while for that":                       {both(going, failed), time.Second, false, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			deleted := metav1.NewTime(before)
			gs := &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "fleet", DeletionTimestamp: &deleted}}
			r := retirement{outcome: newOutcome(gs)}
			r.inventory = &v1alpha1.Inventory{}
			c.change(&r)
			if got := r.over(before.Add(c.after)); got != c.want {
				t.Errorf("over: %t, want %t", got, c.want)
			}
			message := r.condition().Message
			if c.want {
				message = r.conclusion()
			} else if !strings.Contains(message, "set spec.deletionPolicy to orphan") {
				t.Errorf("%q has no way out", message)
			}
			if !strings.Contains(message, c.words) {
				t.Errorf("says %q, want %q in it", message, c.words)
			}
		})
	}
}

func TestOrphansAreSaid(t *testing.T) {
	t.Parallel()
	gs := &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "fleet"}}
	gs.Status.Inventory = &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{{ID: "a_b__ConfigMap"}, {ID: "a_c__ConfigMap"}, {ID: "a_d_apps_DaemonSet"}}}
	for _, want := range []string{"is 3 objects (ConfigMap, DaemonSet); ", "rollcall.dev/gitsync: agents.fleet", "OnDelete"} {
		if got := leftBehind(gs); !strings.Contains(got, want) {
			t.Errorf("says %q, want %q in it", got, want)
		}
	}
}

// One that writes nothing needs no finalizer: it would hold its namespace for nothing.
func TestDeletes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy v1alpha1.DeletionPolicy
		mode   v1alpha1.Mode
		want   bool
	}{
		{v1alpha1.DeletionPrune, v1alpha1.ModeAuto, true},
		{v1alpha1.DeletionPrune, v1alpha1.ModeApprove, true},
		{v1alpha1.DeletionPrune, v1alpha1.ModeObserve, false},
		{v1alpha1.DeletionOrphan, v1alpha1.ModeAuto, false},
		{"", "", false},
	} {
		if got := deletes(&v1alpha1.GitSync{Spec: v1alpha1.GitSyncSpec{DeletionPolicy: c.policy, Mode: c.mode}}); got != c.want {
			t.Errorf("policy %q, mode %q: %t, want %t", c.policy, c.mode, got, c.want)
		}
	}
}
