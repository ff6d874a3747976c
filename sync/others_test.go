package sync

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// at is a GitSync of the namespace ops that follows a path of the repository.
func at(name, path string, change ...func(*v1alpha1.GitSync)) v1alpha1.GitSync {
	gs := v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: name}}
	gs.Spec.Source = v1alpha1.GitSource{URL: "https://git.example.com/agents", Ref: v1alpha1.GitRef{Branch: "main"}, Path: path}
	for _, c := range change {
		c(&gs)
	}
	return gs
}

func agentOf(name string) *render.Declared {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": map[string]any{"name": name, "namespace": "ops"}}}
	return &render.Declared{DaemonSets: []render.DaemonSet{{Object: render.Object{Unstructured: o}}}}
}

func agentID() diff.ID {
	return diff.ID{Namespace: "ops", Name: "agent", Group: "apps", Kind: "DaemonSet"}
}

// GitSync a has dropped the agent at the second commit.
func TestHeirs(t *testing.T) {
	t.Parallel()
	suspended := func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = true }
	elsewhere := func(gs *v1alpha1.GitSync) { gs.Spec.Source.URL = "https://git.example.com/others" }
	spelled := func(gs *v1alpha1.GitSync) { gs.Spec.Source.URL += ".git/" }
	said := func(gs *v1alpha1.GitSync) {
		gs.Status.Rollouts = []v1alpha1.RolloutSummary{{Namespace: "ops", Name: "agent"}}
	}
	type answer struct {
		Heirs   []diff.Heir
		Awaited []diff.Awaited
	}
	heir := answer{Heirs: []diff.Heir{{ID: agentID(), Owner: "ops.b"}}}
	awaits := func(commit string) answer {
		return answer{Awaited: []diff.Awaited{{Owner: "ops.b", Commit: commit}}}
	}
	for name, c := range map[string]struct {
		b v1alpha1.GitSync
		// read is the commit that this process has read of b's place; empty for none.
		read, agent string
		want        answer
	}{
		"one that declares it at the commit is its heir":           {b: at("b", "b"), read: "2", agent: "agent", want: heir},
		"one that does not declare it is none":                     {b: at("b", "b"), read: "2", agent: "other"},
		"one that has read another commit is awaited":              {b: at("b", "b"), read: "1", agent: "other", want: awaits("1")},
		"whatever it declared there":                               {b: at("b", "b"), read: "1", agent: "agent", want: awaits("1")},
		"one that has read nothing is awaited":                     {b: at("b", "b"), want: awaits("")},
		"whatever its status says":                                 {b: at("b", "b", said), want: awaits("")},
		"the same repository may be spelled in another way":        {b: at("b", "b", spelled), want: awaits("")},
		"one that is suspended is not awaited":                     {b: at("b", "b", suspended)},
		"it is heir to what it declares":                           {b: at("b", "b", suspended), read: "1", agent: "agent", want: heir},
		"and to the DaemonSets that its status lists":              {b: at("b", "b", suspended, said), want: heir},
		"one of another repository is not awaited":                 {b: at("b", "b", elsewhere)},
		"it is heir to what it declares at any commit":             {b: at("b", "b", elsewhere), read: "9", agent: "agent", want: heir},
		"what it has read is worth more than what its status says": {b: at("b", "b", elsewhere, said), read: "9", agent: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o others
			a := at("a", "a")
			if c.read != "" {
				o.note(types.NamespacedName{Namespace: "ops", Name: "b"}, placeOf(&c.b).at(c.read), agentOf(c.agent))
			}
			former := []diff.Former{{ID: agentID()}}
			var got answer
			got.Heirs, got.Awaited = o.heirs(&a, "2", former, []v1alpha1.GitSync{c.b, a})
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A GitSync that is deleted goes by what the others declare now, at whatever commit,
// and waits for those of which nothing is known.
func TestHeirsOfADeletedGitSync(t *testing.T) {
	t.Parallel()
	var o others
	a, b := at("a", "a", func(gs *v1alpha1.GitSync) { gs.DeletionTimestamp = &metav1.Time{} }), at("b", "b")
	former, all := []diff.Former{{ID: agentID()}}, []v1alpha1.GitSync{a, b}
	if heirs, awaited := o.heirs(&a, "", former, all); len(heirs) != 0 || len(awaited) != 1 {
		t.Errorf("heirs %v and awaited %v, want b awaited, of which nothing is known", heirs, awaited)
	}
	o.note(name(&b), placeOf(&b).at("7"), agentOf("agent"))
	if heirs, awaited := o.heirs(&a, "", former, all); len(heirs) != 1 || len(awaited) != 0 {
		t.Errorf("heirs %v and awaited %v, want b the heir", heirs, awaited)
	}
}

// A GitSync whose path was changed has read nothing of its new place.
func TestAChangedPathIsAwaited(t *testing.T) {
	t.Parallel()
	var o others
	a, b := at("a", "a"), at("b", "b")
	o.note(name(&b), placeOf(&b).at("2"), agentOf("agent"))
	b.Spec.Source.Path = "c"
	heirs, awaited := o.heirs(&a, "2", []diff.Former{{ID: agentID()}}, []v1alpha1.GitSync{a, b})
	if len(heirs) != 0 || len(awaited) != 1 || awaited[0].Commit != "" {
		t.Errorf("heirs %v and awaited %v, want b awaited, which has read nothing", heirs, awaited)
	}
}

// Who awaits another GitSync, or has something of it, gets a pass when that one
// has read, is suspended or goes; and the one that is awaited reads at once.
func TestWhoIsWoken(t *testing.T) {
	t.Parallel()
	var o others
	a, b, c := at("a", "a"), at("b", "b"), at("c", "c", func(gs *v1alpha1.GitSync) { gs.Spec.Source.URL = "https://git.example.com/others" })
	all := []v1alpha1.GitSync{a, b, c}
	former := []diff.Former{{ID: agentID()}}
	o.heirs(&a, "2", former, all)
	wantKeys(t, "awaiting b", o.awaiting(name(&b)), name(&a))
	wantKeys(t, "awaiting c, of another repository", o.awaiting(name(&c)))
	wantKeys(t, "asked", o.ask(name(&a), "2"), name(&b))
	wantKeys(t, "asked again for the same commit", o.ask(name(&a), "2"))
	if !o.asked(name(&b)) || o.asked(name(&b)) {
		t.Error("b is to be polled for the commit once")
	}
	wantKeys(t, "concerned by c, which declares nothing of a's", o.note(name(&c), placeOf(&c).at("9"), agentOf("other")))
	wantKeys(t, "concerned by c, which declares what a has", o.note(name(&c), placeOf(&c).at("10"), agentOf("agent")), name(&a))
	wantKeys(t, "concerned by b, which is awaited", o.note(name(&b), placeOf(&b).at("2"), agentOf("other")), name(&a))
	o.heirs(&a, "2", former, all)
	wantKeys(t, "awaiting b, which has read it", o.awaiting(name(&b)))
	o.heirs(&a, "3", former, all)
	wantKeys(t, "awaiting b, which goes", o.forget(name(&b)), name(&a))
	o.heirs(&a, "3", nil, nil)
	wantKeys(t, "concerned while nothing is undeclared", o.note(name(&c), placeOf(&c).at("11"), agentOf("agent")))
}

func wantKeys(t *testing.T, what string, got []types.NamespacedName, want ...types.NamespacedName) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
