package sync

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestTheNewestGitSyncIsKnown(t *testing.T) {
	t.Parallel()
	at := func(name, version string) *v1alpha1.GitSync {
		return &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{UID: "u-1", ResourceVersion: version, Name: name}}
	}
	other := at("other", "9")
	other.UID = "u-2"
	for sentence, c := range map[string]struct {
		seen, written *v1alpha1.GitSync
		want          string
	}{
		"nothing was written":                  {at("seen", "7"), nil, "seen"},
		"what was written is not seen yet":     {at("seen", "7"), at("written", "10"), "written"},
		"what was written is seen":             {at("seen", "10"), at("written", "10"), "written"},
		"somebody has written since":           {at("seen", "11"), at("written", "10"), "seen"},
		"it was made anew":                     {at("seen", "11"), other, "seen"},
		"a version that nobody can compare to": {at("seen", "x"), at("written", "10"), "seen"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := newest(c.seen, c.written).Name; got != c.want {
				t.Errorf("known is what was %s, want %s", got, c.want)
			}
		})
	}
}

func TestDeclaredPrint(t *testing.T) {
	t.Parallel()
	declared := func(change ...func(*v1alpha1.GitSync, *render.DaemonSet)) string {
		gs := &v1alpha1.GitSync{}
		object := func() *unstructured.Unstructured {
			return &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"minReadySeconds": int64(1)}}}
		}
		ds := render.DaemonSet{Object: render.Object{Unstructured: object(), Source: "a.yaml"}, Pinned: object(), Digest: "sha256:1"}
		for _, c := range change {
			c(gs, &ds)
		}
		return declaredPrint(gs, ds)
	}
	for sentence, c := range map[string]struct {
		change func(*v1alpha1.GitSync, *render.DaemonSet)
		same   bool
	}{
		"the same":               {func(*v1alpha1.GitSync, *render.DaemonSet) {}, true},
		"in another file":        {func(_ *v1alpha1.GitSync, ds *render.DaemonSet) { ds.Source = "b.yaml" }, true},
		"another template":       {func(_ *v1alpha1.GitSync, ds *render.DaemonSet) { ds.Digest = "sha256:2" }, false},
		"another field beside":   {func(_ *v1alpha1.GitSync, ds *render.DaemonSet) { ds.SetLabels(map[string]string{"a": "b"}) }, false},
		"other config":           {func(_ *v1alpha1.GitSync, ds *render.DaemonSet) { ds.Config = []render.Reference{{Name: "x"}} }, false},
		"another policy":         {func(gs *v1alpha1.GitSync, _ *render.DaemonSet) { gs.Spec.Policy = "other" }, false},
		"other managers":         {func(gs *v1alpha1.GitSync, _ *render.DaemonSet) { gs.Spec.AdoptFrom = []string{"helm"} }, false},
		"managers, but none any": {func(gs *v1alpha1.GitSync, _ *render.DaemonSet) { gs.Spec.AdoptFrom = []string{} }, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := declared(c.change) == declared(); got != c.same {
				t.Errorf("the same print: %t, want %t", got, c.same)
			}
		})
	}
}
