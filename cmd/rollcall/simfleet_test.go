package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const exportedNodes = `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: b, labels: {zone: eu-1}}, status: {conditions: [{type: Ready, status: "True"}]}}
- {apiVersion: v1, kind: Node, metadata: {name: a, labels: {zone: eu-2}}, status: {conditions: [{type: Ready, status: Unknown}]}}
- {apiVersion: v1, kind: Node, metadata: {name: c, labels: {rollcall.dev/hold: "true"}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: "True"}]}}
- {apiVersion: v1, kind: Node, metadata: {name: d}, spec: {taints: [{key: dedicated, value: gpu, effect: NoSchedule}]}, status: {conditions: [{type: Ready, status: "True"}]}}
`

func TestAFleetIsReadAsKubectlPrintsIt(t *testing.T) {
	t.Parallel()
	got, err := readFleet("nodes.yaml", []byte(exportedNodes), []string{"zone"}, false)
	if err != nil || got.leftOut != 1 || len(got.fleet) != 3 {
		t.Fatalf("%+v %v", got, err)
	}
	a, b, c := got.fleet[0], got.fleet[1], got.fleet[2]
	if a.Name != "a" || a.Ready || !cmp.Equal(a.Groups, []string{"eu-2"}) || !b.Ready || !c.Held || !c.Cordoned || !cmp.Equal(c.Groups, []string{""}) {
		t.Errorf("%+v", got.fleet)
	}
	if got, err := readFleet("nodes.yaml", []byte(exportedNodes), nil, true); err != nil || got.leftOut != 0 || len(got.fleet) != 4 {
		t.Errorf("with all taints tolerated: %+v %v", got, err)
	}
	for name, text := range map[string]string{
		"a list":      `{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]}`,
		"one node":    `{"kind":"Node","apiVersion":"v1","metadata":{"name":"a"}}`,
		"as YAML":     "kind: Node\nmetadata: {name: a}\n",
		"of more":     "kind: Node\nmetadata: {name: a}\n---\n---\nkind: List\nitems: []\n",
		"after space": "\n  {\"kind\":\"Node\",\"metadata\":{\"name\":\"a\"}}",
	} {
		if got, err := readFleet("nodes", []byte(text), nil, false); err != nil || len(got.fleet) != 1 {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func TestWhatIsWrongInAFleetIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "n: there are no nodes in it: write what kubectl get nodes -o json prints"},
		"words":          {"No resources found", "this is no list of nodes"},
		"another kind":   {"kind: Pod\n", `its kind is "Pod"`},
		"a pod among it": {`{"kind":"List","items":[{"kind":"Node","metadata":{"name":"a"}},{"kind":"Pod"}]}`, `items[1]: its kind is "Pod"`},
		"no name":        {`{"kind":"Node"}`, "node 1 of 1 has no metadata.name"},
		"one twice":      {`{"kind":"List","items":[{"kind":"Node","metadata":{"name":"a"}},{"kind":"Node","metadata":{"name":"a"}}]}`, "node a is in it twice"},
		"a wrong field":  {`{"kind":"List","items":[{"kind":"Node","spec":{"taints":7}}]}`, "items[0]: json: cannot unmarshal number"},
		"all tainted":    {"kind: Node\nmetadata: {name: a}\nspec: {taints: [{key: a, effect: NoExecute}]}\n", "taints keep the agent from all 1 nodes: say --tolerate-all if it tolerates them"},
	} {
		if _, err := readFleet("n", []byte(c.text), nil, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
