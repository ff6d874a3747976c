package apply

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestReverted(t *testing.T) {
	t.Parallel()
	entry := func(manager, operation, subresource, time, fields string) string {
		return fmt.Sprintf("{manager: %s, operation: %s, subresource: '%s', apiVersion: v1, fieldsType: FieldsV1, time: '2026-11-24T09:00:%sZ', fieldsV1: %s}", manager, operation, subresource, time, fields)
	}
	object := func(entries ...string) *unstructured.Unstructured {
		text := "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: a, managedFields: ["
		for _, e := range entries {
			text += e + ","
		}
		return manifest(t, text+"]}}")
	}
	ours := entry("rollcall", "Apply", "", "09", "{'f:data': {'f:key': {}}}")
	merged := object(ours)
	id := diff.IDOf(merged)
	update := diff.Change{ID: id, Declared: true, Operation: diff.Update, Fields: []diff.FieldChange{{Path: "data.key"}}}
	for sentence, c := range map[string]struct {
		live   *unstructured.Unstructured
		change diff.Change
		before string
		want   []Revert
	}{
		"who has the field": {
			object(entry("tuner", "Update", "", "01", "{'f:data': {'f:key': {}}}"), entry("labeller", "Update", "", "05", "{'f:metadata': {'f:labels': {'f:a': {}}}}")),
			update, "v1", []Revert{{ID: id, Declared: "v1", Field: "data.key", Manager: "tuner"}},
		},
		"the last of two who have it": {
			object(entry("first", "Update", "", "01", "{'f:data': {'f:key': {}}}"), entry("second", "Apply", "", "02", "{'f:data': {'f:key': {}}}")),
			update, "v1", []Revert{{ID: id, Declared: "v1", Field: "data.key", Manager: "second"}},
		},
		"who wrote last, when nobody has the field": {
			object(ours, entry("first", "Update", "", "01", "{'f:data': {'f:other': {}}}"), entry("second", "Update", "", "02", "{'f:data': {'f:more': {}}}"), entry("kubelet", "Update", "status", "03", "{'f:status': {}}")),
			update, "v1", []Revert{{ID: id, Declared: "v1", Field: "data.key", Manager: "second"}},
		},
		"nobody but rollcall":       {object(ours), update, "v1", []Revert{{ID: id, Declared: "v1", Field: "data.key"}}},
		"a deletion":                {nil, diff.Change{ID: id, Declared: true, Operation: diff.Create}, "v1", []Revert{{ID: id, Declared: "v1"}}},
		"what another commit wants": {object(), update, "v0", nil},
		"what never was so":         {object(), update, "", nil},
		"what is as declared":       {object(), diff.Change{ID: id, Declared: true, Operation: diff.Unchanged}, "v1", nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			before := Settled{}
			if c.before != "" {
				before[id] = mark{declared: c.before}
			}
			o := Observation{marks: Settled{id: {declared: "v1"}}, Objects: []diff.Object{{Declared: merged, Live: c.live, Merged: merged}}}
			if d := cmp.Diff(c.want, o.Reverted(diff.Plan{Changes: []diff.Change{c.change}}, before)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestRevertByOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		revert Revert
		fought bool
	}{
		"what a pulse wrote":                        {Revert{Field: fieldManagers, Manager: v1alpha1.FieldManager}, false},
		"a label that somebody took away":           {Revert{Field: "metadata.labels.app", Manager: v1alpha1.FieldManager}, true},
		"what somebody else applies over and over":  {Revert{Field: fieldManagers, Manager: "helm"}, true},
		"an object that somebody has deleted again": {Revert{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.revert.byOthers(); (got != nil) != c.fought {
				t.Errorf("it is %v", got)
			}
		})
	}
}
