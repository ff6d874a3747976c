package apply

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A release changes hands once, whoever writes meanwhile, and never what has
// changed hands already.
func TestRelease(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "configmaps"}
	overtaken := apierrors.NewConflict(resource, "moved", errors.New("it was written"))
	for name, c := range map[string]struct {
		// live is the owner that the cluster has of it; empty for nobody, - for no object.
		live string
		// answers are what the API server says to the first writes; nil is to write.
		answers []error
		// wantOwner is whose it is in the input then; - when it is gone.
		wantOwner string
		wantDone  Done
		wantSaid  string
	}{
		"it goes over":                             {"ops.a", nil, "ops.b", Released, ""},
		"another write overtakes it once":          {"ops.a", []error{overtaken}, "ops.b", Released, ""},
		"somebody has taken it meanwhile":          {"ops.c", []error{overtaken}, "ops.c", Released, ""},
		"somebody has taken its label meanwhile":   {"", []error{overtaken}, "", Released, ""},
		"somebody has deleted it meanwhile":        {"-", []error{apierrors.NewNotFound(resource, "moved")}, "-", Released, ""},
		"other writes overtake it again and again": {"ops.a", []error{overtaken, overtaken, overtaken, overtaken, overtaken}, "ops.a", Failed, "release: "},
		"it may not be written":                    {"ops.a", []error{apierrors.NewForbidden(resource, "moved", errors.New(`User "x" cannot patch resource`))}, "ops.a", Failed, "grant it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owned := func(owner string) *diff.Former {
				o := manifest(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: moved, namespace: ops, uid: one}}")
				if owner != "" {
					o.SetLabels(map[string]string{v1alpha1.LabelOwner: owner})
				}
				return &diff.Former{ID: diff.IDOf(o), Live: o}
			}
			var objects []runtime.Object
			if c.live != "-" {
				objects = append(objects, owned(c.live).Live)
			}
			client := fake.NewSimpleDynamicClient(runtime.NewScheme(), objects...)
			writes := 0
			client.PrependReactor("patch", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
				writes++
				if writes <= len(c.answers) {
					return true, nil, c.answers[writes-1]
				}
				return false, nil, nil
			})
			mapper := meta.NewDefaultRESTMapper(nil)
			mapper.Add(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, meta.RESTScopeNamespace)
			r := &Rollouts{Objects: &Applier{Dynamic: client, Mapper: mapper}}
			former := *owned("ops.a")
			in := diff.Input{
				Owner: "ops.a", Former: []diff.Former{former}, Heirs: []diff.Heir{{ID: former.ID, Owner: "ops.b"}},
				Previous: &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{{ID: former.ID.Entry(), Version: "v1"}}},
			}

			out, results := r.Release(t.Context(), account.Account{}, in)

			if len(results) != 1 || results[0].Done != c.wantDone || !strings.Contains(results[0].Message, c.wantSaid) {
				t.Errorf("results %v, want %s %q", results, c.wantDone, c.wantSaid)
			}
			got := "-"
			if live := out.Former[0].Live; live != nil {
				got = live.GetLabels()[v1alpha1.LabelOwner]
			}
			if got != c.wantOwner {
				t.Errorf("it is %q's, want %q", got, c.wantOwner)
			}
			if in.Former[0].Live.GetLabels()[v1alpha1.LabelOwner] != "ops.a" {
				t.Error("the input was changed")
			}
			listed := len(Inventory(Set{Previous: in.Previous}, diff.Calculate(out), nil).Entries) > 0
			if want := c.wantDone == Failed; listed != want {
				t.Errorf("listed is %t, want %t", listed, want)
			}
		})
	}
}
