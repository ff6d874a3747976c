package sync

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// fleetOf are GitSyncs by name, each Ready and proven at oldCommit of a repository of
// its own, and each depending on those named.
func fleetOf(dependsOn map[string][]string) map[string]*v1alpha1.GitSync {
	out := map[string]*v1alpha1.GitSync{}
	for key, on := range dependsOn {
		gs := &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: key, Generation: 2}}
		gs.Spec.Source = v1alpha1.GitSource{URL: "https://git/" + key, Ref: v1alpha1.GitRef{Branch: "main"}}
		gs.Status = v1alpha1.GitSyncStatus{
			ObservedGeneration: 2, Applied: oldCommit, Proven: oldCommit, Fetched: &v1alpha1.Commit{Commit: oldCommit},
			Conditions: []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: ReasonProven}},
		}
		for _, name := range on {
			gs.Spec.DependsOn = append(gs.Spec.DependsOn, v1alpha1.GitSyncReference{Name: name})
		}
		out[key] = gs
	}
	return out
}

func finder(all map[string]*v1alpha1.GitSync) func(types.NamespacedName) *v1alpha1.GitSync {
	return func(key types.NamespacedName) *v1alpha1.GitSync {
		if gs := all[key.Name]; gs != nil && gs.Namespace == key.Namespace {
			return gs
		}
		return nil
	}
}

func TestHeld(t *testing.T) {
	t.Parallel()
	type fleet = map[string]*v1alpha1.GitSync
	approve := func(approved string) func(fleet) {
		return func(f fleet) { f["me"].Spec.Mode, f["me"].Spec.Approved = v1alpha1.ModeApprove, approved }
	}
	for sentence, c := range map[string]struct {
		change   func(fleet)
		admitted bool
		reason   string
		words    []string
		asks     string
	}{
		"nothing holds it":                         {change: func(fleet) {}},
		"nobody has approved it":                   {change: approve(""), reason: "AwaitingApproval", words: []string{"commit 89abcdef waits for approval: ", "rollcall approve gitsync/me " + newCommit + " -n agents"}},
		"another commit is approved":               {change: approve(oldCommit), reason: "AwaitingApproval", words: []string{"(approved is commit 01234567)"}},
		"it is approved":                           {change: approve(newCommit)},
		"it was let through before":                {change: approve(""), admitted: true},
		"in another mode nobody is asked":          {change: func(f fleet) { f["me"].Spec.Approved = oldCommit }},
		"a dependency does not exist":              {change: func(f fleet) { delete(f, "cni") }, reason: "DependencyNotFound", words: []string{"GitSync agents/cni", "create it, or correct spec.dependsOn"}},
		"that is said of one that was let through": {change: func(f fleet) { delete(f, "cni") }, admitted: true, reason: "DependencyNotFound"},
		"a dependency of another namespace":        {change: func(f fleet) { f["me"].Spec.DependsOn[0].Namespace = "other" }, reason: "DependencyNotFound", words: []string{"GitSync other/cni"}},
		"a dependency goes on":                     {change: func(f fleet) { f["cni"].Status.Fetched.Commit = newCommit }, reason: "DependencyNotReady", words: []string{"commit 89abcdef waits for GitSync agents/cni, which has not proven commit 89abcdef (Proven)"}},
		"one that was let through waits for none":  {change: func(f fleet) { f["cni"].Status.Fetched.Commit = newCommit }, admitted: true},
		"a dependency is not Ready": {change: func(f fleet) {
			f["cni"].Status.Conditions[0].Status, f["cni"].Status.Conditions[0].Reason = "False", "Conflict"
		}, reason: "DependencyNotReady", words: []string{"is not Ready (Conflict)", "1 of 1 dependencies"}},
		"a dependency was changed":                  {change: func(f fleet) { f["cni"].Generation = 3 }, reason: "DependencyNotReady", words: []string{"has not been looked at since it was changed"}},
		"a dependency has read nothing":             {change: func(f fleet) { f["cni"].Status.Fetched = nil }, reason: "DependencyNotReady", words: []string{"has read no commit yet"}},
		"a dependency is being deleted":             {change: func(f fleet) { f["cni"].DeletionTimestamp = &metav1.Time{} }, reason: "DependencyNotReady", words: []string{"is being deleted"}},
		"of one repository it has to read this one": {change: func(f fleet) { f["cni"].Spec.Source.URL = "https://git/me" }, reason: "DependencyNotReady", words: []string{"follows the same repository and ref and has not read this commit (but 01234567)"}, asks: "cni"},
		"of one repository it has proven this one": {change: func(f fleet) {
			f["cni"].Spec.Source.URL, f["cni"].Status.Fetched.Commit, f["cni"].Status.Proven = "https://git/me", newCommit, newCommit
		}},
		"of one repository, but another branch": {change: func(f fleet) {
			f["cni"].Spec.Source.URL, f["cni"].Spec.Source.Ref.Branch = "https://git/me", "other"
		}},
		"one that is suspended is not asked": {change: func(f fleet) {
			f["cni"].Spec.Source.URL, f["cni"].Spec.Suspend = "https://git/me", true
		}, reason: "DependencyNotReady", words: []string{"has not read this commit"}},
		"what it depends on comes before the approval": {change: func(f fleet) { approve("")(f); f["cni"].Status.Proven = "" }, reason: "DependencyNotReady"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := fleetOf(map[string][]string{"me": {"cni"}, "cni": nil})
			c.change(f)
			got := held(f["me"], newCommit, c.admitted, finder(f))
			if got == nil {
				got = &hold{}
			}
			if got.reason != c.reason || got.asks.Name != c.asks {
				t.Errorf("held by %q, asks %q, want %q and %q", got.reason, got.asks.Name, c.reason, c.asks)
			}
			for _, word := range c.words {
				if !strings.Contains(got.message, word) {
					t.Errorf("the message is %q, want %q in it", got.message, word)
				}
			}
			if person := slices.Contains([]string{"AwaitingApproval", "DependencyNotFound"}, c.reason); got.stalled != person {
				t.Errorf("stalled: %t, want %t", got.stalled, person)
			}
		})
	}
}

func TestCycle(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		dependsOn map[string][]string
		// want has what each member of a circle says; the others say nothing of one.
		want map[string]string
	}{
		"a line":                         {map[string][]string{"a": {"b"}, "b": {"c"}, "c": nil}, nil},
		"a diamond":                      {map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": nil}, nil},
		"one with itself":                {map[string][]string{"a": {"a"}}, map[string]string{"a": "agents/a → agents/a"}},
		"two":                            {map[string][]string{"a": {"b"}, "b": {"a"}}, map[string]string{"a": "agents/a → agents/b → agents/a", "b": "agents/b → agents/a → agents/b"}},
		"three, and a branch":            {map[string][]string{"a": {"x", "b"}, "b": {"c"}, "c": {"a"}, "x": nil}, map[string]string{"a": "agents/a → agents/b → agents/c → agents/a", "b": "agents/b → agents/c → agents/a → agents/b", "c": "agents/c → agents/a → agents/b → agents/c"}},
		"who waits for one is no member": {map[string][]string{"a": {"b"}, "b": {"a"}, "before": {"a"}}, map[string]string{"a": "agents/a → agents/b → agents/a", "b": "agents/b → agents/a → agents/b"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := fleetOf(c.dependsOn)
			for key, gs := range f {
				got := ""
				if h := held(gs, newCommit, true, finder(f)); h != nil {
					got = h.message
				}
				if want := c.want[key]; want == "" && got != "" || !strings.Contains(got, want) {
					t.Errorf("%s says %q, want %q", key, got, want)
				}
			}
		})
	}
}
