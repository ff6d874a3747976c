package apply

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/diff"
)

func TestStages(t *testing.T) {
	t.Parallel()
	cases := map[string]stage{
		"Namespace": definitions,
		"CustomResourceDefinition.apiextensions.k8s.io": definitions,
		"PriorityClass.scheduling.k8s.io":               definitions,
		"CSIDriver.storage.k8s.io":                      definitions,
		"ServiceAccount":                                access,
		"ClusterRole.rbac.authorization.k8s.io":         access,
		"Role.rbac.authorization.k8s.io":                access,
		"ClusterRoleBinding.rbac.authorization.k8s.io":  bindings,
		"RoleBinding.rbac.authorization.k8s.io":         bindings,
		"ConfigMap":                                     configuration,
		"Secret":                                        configuration,
		"Service":                                       others,
		"Deployment.apps":                               others,
		"ConfigMap.example.com":                         others,
		"Namespace.example.com":                         others,
		"ValidatingWebhookConfiguration.admissionregistration.k8s.io": admission,
		"ValidatingAdmissionPolicy.admissionregistration.k8s.io":      admission,
		"APIService.apiregistration.k8s.io":                           admission,
		"DaemonSet.apps":                                              agents,
		"DaemonSet.example.com":                                       others,
	}
	for kind, want := range cases {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if got := stageOf(schema.ParseGroupKind(kind)); got != want {
				t.Errorf("stage %d, want %d", got, want)
			}
		})
	}
}

func TestStagesAreComplete(t *testing.T) {
	t.Parallel()
	applied, deleted := stages(), slices.Sorted(slices.Values(stagesOfPrune()))
	if !slices.IsSorted(applied) {
		t.Errorf("not sorted: %v", applied)
	}
	if d := cmp.Diff(applied, deleted); d != "" {
		t.Errorf("apply and prune know other stages (-apply +prune):\n%s", d)
	}
}

// TestApplyWithoutWrites shows what becomes of a plan of which nothing can be written: nothing is asked of the cluster,
// or the missing client would panic.
func TestApplyWithoutWrites(t *testing.T) {
	t.Parallel()
	change := func(name string, operation diff.Operation, reason string) diff.Change {
		return diff.Change{ID: diff.ID{Namespace: "a", Name: name, Kind: "ConfigMap"}, Declared: true, Operation: operation, Reason: reason}
	}
	released := change("released", diff.Foreign, diff.ReasonNotOwned)
	released.Declared = false
	plan := diff.Plan{Changes: []diff.Change{
		change("contested", diff.Conflict, diff.ReasonConflict),
		change("kept", diff.Keep, diff.ReasonAwaitingProof),
		change("new", diff.Create, diff.ReasonAbsent),
		change("odd", "Odd", ""),
		released,
		change("same", diff.Unchanged, diff.ReasonEqual),
	}}
	var got []string
	for _, r := range (&Applier{}).Apply(t.Context(), plan, nil) {
		got = append(got, fmt.Sprintf("%s %s %s", r.Done, r.Name, r.Reason))
	}
	want := []string{"Failed contested Conflict", "Withheld kept AwaitingProof", "Withheld new Blocked", "Failed odd Invalid", "Unchanged same "}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
