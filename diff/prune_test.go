package diff_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// declaredElsewhere makes the former object one that another GitSync declares.
func declaredElsewhere(in *diff.Input) {
	in.Heirs = append(in.Heirs, diff.Heir{ID: in.Former[0].ID, Owner: "agents.other"})
}

// leaving has a DaemonSet of that name leave its nodes.
func leaving(name string) func(*diff.Input) {
	return func(in *diff.Input) {
		in.Leaving = []diff.Leaving{{ID: diff.ID{Namespace: "agents", Name: name, Group: "apps", Kind: "DaemonSet"}, Message: "half way"}}
	}
}

// prunable is the input of a GitSync that still declares one object and took another out, which is still there.
func prunable(t *testing.T, former *unstructured.Unstructured) diff.Input {
	t.Helper()
	return diff.Input{
		Owner:    owner,
		Prune:    true,
		Objects:  []diff.Object{{Declared: settings(t), Live: settings(t, live), Merged: settings(t, live)}},
		Previous: &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{{ID: diff.IDOf(former).Entry(), Version: former.GroupVersionKind().Version}}},
		Former:   []diff.Former{{ID: diff.IDOf(former), Live: former}},
	}
}

func TestPruned(t *testing.T) {
	t.Parallel()
	gone := func(changes ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
		return settings(t, append([]func(*unstructured.Unstructured){with("gone", "metadata", "name"), live}, changes...)...)
	}
	deleted := func(o *unstructured.Unstructured) {
		now := metav1.NewTime(time.Unix(1, 0))
		o.SetDeletionTimestamp(&now)
		o.SetFinalizers([]string{"example.com/hold"})
	}
	cases := map[string]struct {
		former *unstructured.Unstructured
		change func(*diff.Input)
		// want is the zero value when the plan says nothing of the object.
		want decision
	}{
		"what Git took out is deleted":               {want: decision{diff.Delete, diff.ReasonNotDeclared}},
		"what is gone already is not spoken of":      {change: func(in *diff.Input) { in.Former[0].Live = nil }},
		"without a previous pass nothing is deleted": {change: func(in *diff.Input) { in.Previous = nil }},
		"what no inventory lists is nobody's business": {change: func(in *diff.Input) {
			in.Previous.Entries[0].ID = "agents_other__ConfigMap"
			in.Former[0].ID.Name = "other"
			in.Former[0].Live = nil
		}},
		"what nobody looked at is kept":         {change: func(in *diff.Input) { in.Former = nil }, want: decision{diff.Keep, diff.ReasonNotObserved}},
		"what cannot be read is kept":           {change: func(in *diff.Input) { in.Former[0].Problem = &diff.Problem{Reason: "Forbidden"} }, want: decision{diff.Keep, "Forbidden"}},
		"what lost its owner label is released": {former: gone(ownedBy("")), want: decision{diff.Foreign, diff.ReasonNotOwned}},
		"what another GitSync took is its own":  {former: gone(ownedBy("agents.other")), want: decision{diff.Foreign, diff.ReasonOwnedByAnother}},
		"what waits for finalizers is kept":     {former: gone(deleted), want: decision{diff.Keep, diff.ReasonTerminating}},
		"without prune nothing is deleted":      {change: func(in *diff.Input) { in.Prune = false }, want: decision{diff.Keep, diff.ReasonPruneDisabled}},
		"an empty render deletes nothing":       {change: func(in *diff.Input) { in.Objects = nil }, want: decision{diff.Keep, diff.ReasonEmptyRender}},
		"a render of DaemonSets alone is not empty": {
			change: func(in *diff.Input) {
				in.Objects, in.DaemonSets = nil, []diff.ID{{Namespace: "agents", Name: "agent", Group: "apps", Kind: "DaemonSet"}}
			},
			want: decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"while something declared is refused nothing is deleted": {
			change: func(in *diff.Input) { in.Objects[0].Problem = &diff.Problem{Reason: "Invalid"} },
			want:   decision{diff.Keep, diff.ReasonAwaitingApply},
		},
		"while a DaemonSet is not proven nothing is deleted": {
			change: func(in *diff.Input) { in.Unproven = true },
			want:   decision{diff.Keep, diff.ReasonAwaitingProof},
		},
		"what a pod reads is kept": {
			change: func(in *diff.Input) {
				in.InUse = []diff.Reference{{Kind: "ConfigMap", Namespace: "agents", Name: "gone"}}
			},
			want: decision{diff.Keep, diff.ReasonInUse},
		},
		"what a pod of another namespace reads by that name is not": {
			change: func(in *diff.Input) {
				in.InUse = []diff.Reference{{Kind: "ConfigMap", Namespace: "other", Name: "gone"}}
			},
			want: decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"while a pod runs another version nothing is deleted, whatever it may need": {
			former: object(t, `{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) {
				in.Behind = []diff.Behind{{ID: diff.ID{Namespace: "agents", Name: "agent", Group: "apps", Kind: "DaemonSet"}, Pods: 1}}
			},
			want: decision{diff.Keep, diff.ReasonAwaitingPods},
		},
		"a DaemonSet that is on its nodes still is kept": {
			former: object(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			change: leaving("gone"),
			want:   decision{diff.Keep, diff.ReasonRemoving},
		},
		"what came with a DaemonSet is kept until that has left its nodes": {
			change: leaving("agent"),
			want:   decision{diff.Keep, diff.ReasonAwaitingRemoval},
		},
		"a DaemonSet that has left its nodes waits for no other one": {
			former: object(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			change: leaving("agent"),
			want:   decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"what is not proven is said before what still runs": {
			change: func(in *diff.Input) { in.Unproven, in.Behind = true, []diff.Behind{{Pods: 1}} },
			want:   decision{diff.Keep, diff.ReasonAwaitingProof},
		},
		"the account that a pod runs as is kept": {
			former: object(t, `{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) {
				in.InUse = []diff.Reference{{Kind: "ServiceAccount", Namespace: "agents", Name: "gone"}}
			},
			want: decision{diff.Keep, diff.ReasonInUse},
		},
		"what another GitSync declares is released to it": {change: declaredElsewhere, want: decision{diff.Release, diff.ReasonDeclaredByAnother}},
		"what another GitSync declares under that name in another namespace is not": {
			change: func(in *diff.Input) {
				declaredElsewhere(in)
				in.Heirs[0].ID.Namespace = "other"
			},
			want: decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"a release waits for nothing that a deletion waits for": {
			change: func(in *diff.Input) {
				declaredElsewhere(in)
				in.Prune, in.Unproven, in.Behind = false, true, []diff.Behind{{Pods: 1}}
				in.Objects[0].Problem = &diff.Problem{Reason: diff.ReasonOwnedByAnother}
				in.Awaited = []diff.Awaited{{Owner: "agents.third"}}
			},
			want: decision{diff.Release, diff.ReasonDeclaredByAnother},
		},
		"all that a path declared may be released": {
			change: func(in *diff.Input) {
				declaredElsewhere(in)
				in.Objects = nil
			},
			want: decision{diff.Release, diff.ReasonDeclaredByAnother},
		},
		"a namespace may be released": {
			former: object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: gone}}`, ownedBy(owner), live),
			change: declaredElsewhere,
			want:   decision{diff.Release, diff.ReasonDeclaredByAnother},
		},
		"what another GitSync has already is not released": {
			former: gone(ownedBy("agents.other")), change: declaredElsewhere, want: decision{diff.Foreign, diff.ReasonOwnedByAnother},
		},
		"what is deleted already is not released": {
			former: gone(deleted), change: declaredElsewhere, want: decision{diff.Keep, diff.ReasonTerminating},
		},
		"what cannot be read is not released": {
			change: func(in *diff.Input) {
				declaredElsewhere(in)
				in.Former[0].Problem = &diff.Problem{Reason: "Forbidden"}
			},
			want: decision{diff.Keep, "Forbidden"},
		},
		"while another GitSync has not read the commit nothing is deleted": {
			change: func(in *diff.Input) { in.Awaited = []diff.Awaited{{Owner: "agents.other"}} },
			want:   decision{diff.Keep, diff.ReasonAwaitingOthers},
		},
		"what is not proven is said before whom it waits for": {
			change: func(in *diff.Input) { in.Unproven, in.Awaited = true, []diff.Awaited{{Owner: "agents.other"}} },
			want:   decision{diff.Keep, diff.ReasonAwaitingProof},
		},
		"what holds a port of what is not proven waits for what waits for it": {
			former: object(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) {
				in.Unproven, in.Clashes = true, []diff.Clash{{ID: in.Former[0].ID, Port: 9100}}
			},
			want: decision{diff.Keep, diff.ReasonHoldsPort},
		},
		"what holds a port of what is proven all the same is deleted": {
			former: object(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) { in.Clashes = []diff.Clash{{ID: in.Former[0].ID, Port: 9100}} },
			want:   decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"the priority of a pod is kept": {
			former: object(t, `{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) { in.InUse = []diff.Reference{{Kind: "PriorityClass", Name: "gone"}} },
			want:   decision{diff.Keep, diff.ReasonInUse},
		},
		"a kind of the same name in another group is not what the pod needs": {
			former: object(t, `{apiVersion: example.com/v1, kind: PriorityClass, metadata: {name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) { in.InUse = []diff.Reference{{Kind: "PriorityClass", Name: "gone"}} },
			want:   decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"what its annotation protects is kept": {
			former: gone(with(v1alpha1.PruneDisabled, "metadata", "annotations", v1alpha1.AnnotationPrune)),
			want:   decision{diff.Keep, diff.ReasonPruneProtected},
		},
		"a word that nobody knows protects": {
			former: gone(with("disable", "metadata", "annotations", v1alpha1.AnnotationPrune)),
			want:   decision{diff.Keep, diff.ReasonPruneProtected},
		},
		"what needs no confirmation may have one": {
			former: gone(with(v1alpha1.PruneConfirm, "metadata", "annotations", v1alpha1.AnnotationPrune)),
			want:   decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"what is protected is released all the same": {
			former: gone(with(v1alpha1.PruneDisabled, "metadata", "annotations", v1alpha1.AnnotationPrune)), change: declaredElsewhere,
			want: decision{diff.Release, diff.ReasonDeclaredByAnother},
		},
		"a namespace that is confirmed is deleted": {
			former: object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: gone, annotations: {rollcall.dev/prune: confirm}}}`, ownedBy(owner), live),
			want:   decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"a definition that is confirmed is not deleted without prune": {
			former: object(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gone, annotations: {rollcall.dev/prune: confirm}}}`, ownedBy(owner), live),
			change: func(in *diff.Input) { in.Prune = false },
			want:   decision{diff.Keep, diff.ReasonPruneDisabled},
		},
		"of a GitSync that is deleted everything goes": {
			change: func(in *diff.Input) { in.Retired, in.Prune, in.Objects = true, false, nil },
			want:   decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"but for what is read still": {
			change: func(in *diff.Input) {
				in.Retired, in.Objects = true, nil
				in.InUse = []diff.Reference{{Kind: "ConfigMap", Namespace: "agents", Name: "gone"}}
			},
			want: decision{diff.Keep, diff.ReasonInUse},
		},
		"and for a namespace that nobody has confirmed": {
			former: object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) { in.Retired, in.Objects = true, nil },
			want:   decision{diff.Keep, diff.ReasonProtectedKind},
		},
		"a namespace that nobody has confirmed is not deleted": {
			former: object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: gone}}`, ownedBy(owner), live),
			want:   decision{diff.Keep, diff.ReasonProtectedKind},
		},
		"a definition that nobody has confirmed is not deleted": {
			former: object(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gone}}`, ownedBy(owner), live),
			want:   decision{diff.Keep, diff.ReasonProtectedKind},
		},
		"a DaemonSet that Git took out is deleted": {
			former: object(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			want:   decision{diff.Delete, diff.ReasonNotDeclared},
		},
		"a DaemonSet that Git declares is not": {
			former: object(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: agents, name: gone}}`, ownedBy(owner), live),
			change: func(in *diff.Input) {
				in.DaemonSets = []diff.ID{{Namespace: "agents", Name: "gone", Group: "apps", Kind: "DaemonSet"}}
			},
		},
		"what Git declares under another group is the same object": {
			former: gone(with("extensions/v1beta1", "apiVersion"), with("uid-of-settings", "metadata", "uid")),
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.former == nil {
				c.former = gone()
			}
			in := prunable(t, c.former)
			if c.change != nil {
				c.change(&in)
			}
			got := decisions(diff.Calculate(in))[c.former.GetKind()+" "+c.former.GetName()]
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestPrunedIsAboutOneObject guards against deleting what was made anew since.
func TestPrunedIsAboutOneObject(t *testing.T) {
	t.Parallel()
	plan := diff.Calculate(prunable(t, settings(t, with("gone", "metadata", "name"), live)))
	if got := plan.Of(diff.Delete); len(got) != 1 || got[0].UID != "uid-of-gone" {
		t.Errorf("deletes %v, want the one with the UID uid-of-gone", got)
	}
}

func TestPrunedCountsThePodsThatAreBehind(t *testing.T) {
	t.Parallel()
	workload := func(kind, name string, pods int) diff.Behind {
		return diff.Behind{ID: diff.ID{Namespace: "agents", Name: name, Group: "apps", Kind: kind}, Pods: pods}
	}
	for name, c := range map[string]struct {
		behind []diff.Behind
		want   string
	}{
		"of one workload, it is named":     {[]diff.Behind{workload("DaemonSet", "agent", 3)}, "3 pods of DaemonSet.apps agents/agent do not run the current version yet: "},
		"of several, the first is named":   {[]diff.Behind{workload("DaemonSet", "agent", 3), workload("Deployment", "web", 1)}, "4 pods of 2 workloads (first DaemonSet.apps agents/agent) do not run the current version yet: "},
		"what releases it is always there": {[]diff.Behind{workload("StatefulSet", "store", 1)}, "a node that is held out or out of reach keeps its pod until it comes back or leaves"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := prunable(t, settings(t, with("gone", "metadata", "name"), live))
			in.Behind = c.behind
			kept := diff.Calculate(in).Of(diff.Keep)
			if len(kept) != 1 || !strings.Contains(kept[0].Message, c.want) {
				t.Errorf("kept %v, want a message with %q", kept, c.want)
			}
		})
	}
}

func TestPrunedNamesWhomItWaitsFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		awaited []diff.Awaited
		want    []string
	}{
		"one that has read nothing yet": {[]diff.Awaited{{Owner: "agents.other"}}, []string{"GitSync agents.other", "(but none yet):", "suspend or delete"}},
		"one at an older commit":        {[]diff.Awaited{{Owner: "agents.other", Commit: "0123456789"}}, []string{"GitSync agents.other", "(but commit 01234567):"}},
		"several":                       {[]diff.Awaited{{Owner: "agents.other"}, {Owner: "agents.third"}, {Owner: "b.c"}}, []string{"GitSync agents.other", ", nor have 2 more:"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := prunable(t, settings(t, with("gone", "metadata", "name"), live))
			in.Awaited = c.awaited
			kept := diff.Calculate(in).Of(diff.Keep)
			if len(kept) != 1 {
				t.Fatalf("kept %v, want one", kept)
			}
			for _, want := range c.want {
				if !strings.Contains(kept[0].Message, want) {
					t.Errorf("the message is %q, want %q in it", kept[0].Message, want)
				}
			}
		})
	}
}
