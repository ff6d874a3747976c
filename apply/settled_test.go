package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/diff"
)

func TestSettled(t *testing.T) {
	t.Parallel()
	at := func(text string) target {
		return target{object: manifest(t, text), mapping: &meta.RESTMapping{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, Scope: meta.RESTScopeNamespace}}
	}
	const text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: a, uid: u, resourceVersion: '7'}, data: {k: v}}"
	seen, err := (&Applier{}).markOf(at(text), manifest(t, text))
	if err != nil {
		t.Fatal(err)
	}
	absent, err := (&Applier{}).markOf(at(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := (&Applier{}).markOf(at("{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: a}, data: {k: w}}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if other.declared == seen.declared || absent.declared != seen.declared {
		t.Error("what is declared is not told apart by its content")
	}
	id := diff.IDOf(manifest(t, text))
	const written = owned.Print("written")
	for sentence, c := range map[string]struct {
		mark      mark
		operation diff.Operation
		result    *Result
		want      owned.Print
	}{
		"as declared":                    {seen, diff.Unchanged, nil, seen.print},
		"to be changed, and not written": {seen, diff.Update, nil, ""},
		"changed":                        {seen, diff.Update, &Result{ID: id, Done: Configured, print: written}, written},
		"made":                           {absent, diff.Create, &Result{ID: id, Done: Created, print: written}, written},
		"refused":                        {absent, diff.Create, &Result{ID: id, Done: Failed}, ""},
		"kept as it is":                  {seen, diff.Keep, nil, ""},
		"never looked at":                {mark{}, diff.Unchanged, nil, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var results Results
			if c.result != nil {
				results = Results{*c.result}
			}
			o := Observation{marks: Settled{id: c.mark}}
			got := o.Settled(diff.Plan{Changes: []diff.Change{{ID: id, Declared: true, Operation: c.operation}}}, results)
			if got[id].print != c.want {
				t.Errorf("settled with print %q, want %q", got[id].print, c.want)
			}
		})
	}
}
