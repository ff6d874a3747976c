package apply

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// contested is the API server's answer to an apply over the fields of others: field, manager, field, manager ...
func contested(pairs ...string) error {
	var causes []metav1.StatusCause
	for i := 0; i < len(pairs); i += 2 {
		causes = append(causes, metav1.StatusCause{
			Type: metav1.CauseTypeFieldManagerConflict, Field: pairs[i], Message: fmt.Sprintf("conflict with %s using v1", pairs[i+1]),
		})
	}
	return apierrors.NewApplyConflict(causes, "Apply failed")
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	stale := apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "settings", errors.New("modified"))
	cases := map[string]struct {
		err       error
		want      []conflict
		adoptable bool
		overtaken bool
	}{
		"kubectl and helm may be taken over from": {
			err:       contested(".data.a", `"kubectl-client-side-apply"`, ".data.b", `"helm"`),
			want:      []conflict{{"kubectl-client-side-apply", "data.a"}, {"helm", "data.b"}},
			adoptable: true,
		},
		"a foreign manager may not": {
			err:  contested(".data.a", `"helm"`, ".data.b", `"node-tuner" with subresource "scale"`),
			want: []conflict{{"helm", "data.a"}, {"node-tuner", "data.b"}},
		},
		"the owner label yields, whoever wrote it": {
			err:       contested(".metadata.labels.rollcall.dev/gitsync", `"kubectl-label"`),
			want:      []conflict{{"kubectl-label", "metadata.labels.rollcall.dev/gitsync"}},
			adoptable: true,
		},
		"a manager with quotes in its name is read whole": {
			err:  contested(".data.a", `"helm\" using \"x"`),
			want: []conflict{{`helm" using "x`, "data.a"}},
		},
		"a message that nobody understands names nobody who may be taken over from": {
			err:  contested(".data.a", "helm"),
			want: []conflict{{"conflict with helm using v1", "data.a"}},
		},
		"what rollcall wrote otherwise is its own": {
			err:       contested(".data.a", `"rollcall"`),
			want:      []conflict{{"rollcall", "data.a"}},
			adoptable: true,
		},
		"a write in between is no conflict of fields": {err: stale, adoptable: true, overtaken: true},
		"a wrapped one is not either":                 {err: fmt.Errorf("apply: %w", stale), adoptable: true, overtaken: true},
		"success":                                     {adoptable: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := conflicts(c.err)
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(conflict{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			a := &Applier{}
			if got := a.adoptable(got); got != c.adoptable {
				t.Errorf("adoptable: %t", got)
			}
			if got := overtaken(c.err); got != c.overtaken {
				t.Errorf("overtaken: %t", got)
			}
		})
	}
}

func TestConflictProblem(t *testing.T) {
	t.Parallel()
	err := contested(".a", `"helm"`, ".b", `"x"`, ".c", `"y"`, ".d", `"x"`, ".e", `"x"`, ".f", `"x"`)
	got := (&Applier{}).conflictProblem(conflicts(err))
	want := `b is managed by "x", c is managed by "y", d is managed by "x", and 2 more fields: take the field out of Git, make that manager let go of it, or list it in spec.adoptFrom`
	if d := cmp.Diff(want, got.Message); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTaken(t *testing.T) {
	t.Parallel()
	live := &unstructured.Unstructured{Object: map[string]any{}}
	live.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "rollcall", Operation: metav1.ManagedFieldsOperationApply},
		{Manager: "kubectl-edit", Operation: metav1.ManagedFieldsOperationUpdate},
		{Manager: "helm", Operation: metav1.ManagedFieldsOperationUpdate},
		{Manager: "helm", Operation: metav1.ManagedFieldsOperationApply},
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "scale"},
		{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate},
	})
	cases := map[string]struct {
		applier Applier
		want    []string
	}{
		"by default":               {want: []string{"helm", "kubectl-edit"}},
		"from one only":            {applier: Applier{AdoptFrom: []string{"helm"}}, want: []string{"helm"}},
		"from nobody":              {applier: Applier{AdoptFrom: []string{}}},
		"under another name again": {applier: Applier{FieldManager: "other", AdoptFrom: []string{"rollcall"}}, want: []string{"rollcall"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, c.applier.taken(live)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if got := (&Applier{}).taken(nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
