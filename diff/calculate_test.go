package diff_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

const owner = "agents.logging"

// object reads a manifest and changes it.
func object(t *testing.T, manifest string, changes ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(o)
	}
	return o
}

// settings is a ConfigMap of this owner.
func settings(t *testing.T, changes ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	t.Helper()
	return object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {namespace: agents, name: settings}, data: {level: info}}`,
		append([]func(*unstructured.Unstructured){ownedBy(owner)}, changes...)...)
}

func ownedBy(name string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		labels := o.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[v1alpha1.LabelOwner] = name
		if name == "" {
			delete(labels, v1alpha1.LabelOwner)
		}
		o.SetLabels(labels)
	}
}

func with(value any, path ...string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
			panic(err)
		}
	}
}

// live adds what an API server writes.
func live(o *unstructured.Unstructured) {
	o.SetUID(types.UID("uid-of-" + o.GetName()))
	o.SetResourceVersion("41")
	o.SetGeneration(3)
	o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "rollcall"}})
}

// decision is what a test compares of a Change.
type decision struct {
	Operation diff.Operation
	Reason    string
}

func decisions(plan diff.Plan) map[string]decision {
	out := map[string]decision{}
	for _, c := range plan.Changes {
		out[c.Kind+" "+c.Name] = decision{c.Operation, c.Reason}
	}
	return out
}

func TestDeclared(t *testing.T) {
	t.Parallel()
	frozen := []diff.Reference{{Kind: "ConfigMap", Namespace: "agents", Name: "settings"}}
	merged := func(changes ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
		return settings(t, append([]func(*unstructured.Unstructured){live, with("42", "metadata", "resourceVersion"), with(int64(4), "metadata", "generation")}, changes...)...)
	}
	cases := map[string]struct {
		object diff.Object
		frozen []diff.Reference
		want   decision
	}{
		"an object that is not there is created": {
			object: diff.Object{Merged: merged()},
			want:   decision{diff.Create, diff.ReasonAbsent},
		},
		"an object whose namespace comes with it is created, unseen": {
			object: diff.Object{Pending: "namespaces agents comes first"},
			want:   decision{diff.Create, diff.ReasonPending},
		},
		"an object that a dry-run leaves as it is needs no write, whatever the bookkeeping says": {
			object: diff.Object{Live: settings(t, live), Merged: merged(with("x", "status", "phase"))},
			want:   decision{diff.Unchanged, diff.ReasonEqual},
		},
		"an object that a dry-run changes is updated": {
			object: diff.Object{Live: settings(t, live), Merged: merged(with("debug", "data", "level"))},
			want:   decision{diff.Update, diff.ReasonDiffers},
		},
		"an object with fields to take over is updated even if no field changes": {
			object: diff.Object{Live: settings(t, live), Merged: merged(), TakenFrom: []string{"helm"}},
			want:   decision{diff.Update, diff.ReasonTakesOver},
		},
		"a live object whose schema comes with it is updated, unseen": {
			object: diff.Object{Live: settings(t, live), Pending: "the change of its CustomResourceDefinition comes first"},
			want:   decision{diff.Update, diff.ReasonPending},
		},
		"a field that another manager holds is a conflict": {
			object: diff.Object{Live: settings(t, live), Problem: &diff.Problem{Reason: diff.ReasonConflict}},
			want:   decision{diff.Conflict, diff.ReasonConflict},
		},
		"what the API server does not take is refused, with its reason": {
			object: diff.Object{Problem: &diff.Problem{Reason: "UnknownKind"}},
			want:   decision{diff.Refused, "UnknownKind"},
		},
		"an object of another GitSync is foreign, whatever else is wrong with it": {
			object: diff.Object{Live: settings(t, live, ownedBy("agents.other")), Problem: &diff.Problem{Reason: diff.ReasonConflict}},
			want:   decision{diff.Foreign, diff.ReasonOwnedByAnother},
		},
		"an object of a GitSync that does not exist is taken": {
			object: diff.Object{Live: settings(t, live, ownedBy("agents.gone")), Orphan: "agents.gone", Merged: merged()},
			want:   decision{diff.Update, diff.ReasonInherits},
		},
		"an object that got another owner since is foreign": {
			object: diff.Object{Live: settings(t, live, ownedBy("agents.other")), Orphan: "agents.gone", Merged: merged()},
			want:   decision{diff.Foreign, diff.ReasonOwnedByAnother},
		},
		"an object of nobody is adopted": {
			object: diff.Object{Live: settings(t, live, ownedBy("")), Merged: merged()},
			want:   decision{diff.Update, diff.ReasonDiffers},
		},
		"frozen content is not changed": {
			object: diff.Object{Live: settings(t, live), Merged: merged(with("debug", "data", "level"))},
			frozen: frozen,
			want:   decision{diff.Keep, diff.ReasonAwaitingProof},
		},
		"what is fought over waits": {
			object: diff.Object{Live: settings(t, live), Merged: merged(with("debug", "data", "level")), Waits: true},
			want:   decision{diff.Keep, diff.ReasonFought},
		},
		"what is fought over and gone waits": {
			object: diff.Object{Waits: true},
			want:   decision{diff.Keep, diff.ReasonFought},
		},
		"what is fought over and refused is refused": {
			object: diff.Object{Live: settings(t, live), Problem: &diff.Problem{Reason: "Invalid"}, Waits: true},
			want:   decision{diff.Refused, "Invalid"},
		},
		"the labels of an object with frozen content are": {
			object: diff.Object{Live: settings(t, live, ownedBy("")), Merged: merged()},
			frozen: frozen,
			want:   decision{diff.Update, diff.ReasonDiffers},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.object.Declared = settings(t)
			plan := diff.Calculate(diff.Input{Owner: owner, Objects: []diff.Object{c.object}, Frozen: c.frozen})
			if d := cmp.Diff(map[string]decision{"ConfigMap settings": c.want}, decisions(plan)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	released := settings(t, live, ownedBy(""), with("released", "metadata", "name"))
	plan := diff.Calculate(diff.Input{
		Owner:    owner,
		Objects:  []diff.Object{{Declared: settings(t), Problem: &diff.Problem{Reason: "Invalid"}}},
		Previous: &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{{ID: "agents_released__ConfigMap", Version: "v1"}}},
		Former:   []diff.Former{{ID: diff.IDOf(released), Live: released}},
	})
	if got := plan.Blocked(); len(got) != 1 || got[0].Name != "settings" {
		t.Errorf("blocked by %v", got)
	}
	if plan.Writes() {
		t.Error("it would write")
	}
}

func TestReferenceConvertsFromRender(t *testing.T) {
	t.Parallel()
	want := diff.Reference{Kind: "Secret", Namespace: "agents", Name: "token"}
	if got := diff.Reference(render.Reference{Kind: "Secret", Namespace: "agents", Name: "token"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCalculateLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	input := func() diff.Input {
		secret := func(value string) *unstructured.Unstructured {
			return object(t, `{apiVersion: v1, kind: Secret, metadata: {name: token, annotations: {kubectl.kubernetes.io/last-applied-configuration: x}}, data: {a: `+value+`}}`, live)
		}
		return diff.Input{Owner: owner, Objects: []diff.Object{{Declared: secret("YQ=="), Live: secret("Yg=="), Merged: secret("YQ==")}}}
	}
	in := input()
	diff.Calculate(in)
	if d := cmp.Diff(input(), in); d != "" {
		t.Errorf("changed (-before +after):\n%s", d)
	}
}
