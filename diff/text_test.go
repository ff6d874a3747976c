package diff_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// canary is a value that nobody may ever read anywhere, as text and in base64.
const (
	canary       = "s3cr3t-CANARY"
	canaryBase64 = "czNjcjN0LUNBTkFSWQ=="
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestString compares plans with testdata/NAME.txt.
func TestString(t *testing.T) {
	t.Parallel()
	cases := map[string]diff.Input{
		"everything": everything(t),
		"agent":      {Owner: owner, Objects: []diff.Object{agentChange(t)}},
		"secrets":    secretChanges(t),
		"hostile":    hostile(t),
		"nothing":    {Owner: owner},
		"unchanged":  {Owner: owner, Objects: []diff.Object{{Declared: settings(t), Live: settings(t, live), Merged: settings(t, live)}}},
	}
	for name, in := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareGolden(t, name+".txt", diff.Calculate(in).String())
			compareGolden(t, name+".diff", unified(diff.Calculate(in)))
		})
	}
}

// unified writes what differs as a unified diff does.
func unified(p diff.Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		for _, h := range c.Unified(2) {
			fmt.Fprintf(&b, "%s @@ %s @@\n%s\n", c.ID, h.Path, strings.Join(h.Lines, "\n"))
		}
	}
	return b.String()
}

// compareGolden compares with testdata/NAME, and finds nothing in it that nobody may see.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, leak := range []string{canary, canaryBase64[:16], "\x1b", "\u202e"} {
		if strings.Contains(got, leak) {
			t.Errorf("%q is shown", leak)
		}
	}
}

// everything has one object of each operation.
func everything(t *testing.T) diff.Input {
	t.Helper()
	named := func(name string, changes ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
		return settings(t, append([]func(*unstructured.Unstructured){with(name, "metadata", "name")}, changes...)...)
	}
	return diff.Input{
		Owner: owner,
		Prune: true,
		Objects: []diff.Object{
			{Declared: named("new"), Source: "agents/new.yaml"},
			{Declared: named("pending"), Source: "agents/new.yaml", Pending: "namespaces agents comes first"},
			{Declared: named("changed"), Source: "agents/changed.yaml", Live: named("changed", live), Merged: named("changed", live, with("debug", "data", "level"))},
			{Declared: named("taken"), Source: "agents/taken.yaml", Live: named("taken", live, with("1", "data", "old")), Merged: named("taken", live), TakenFrom: []string{"helm", "kubectl-edit"}},
			{Declared: named("same"), Source: "agents/same.yaml", Live: named("same", live), Merged: named("same", live)},
			{Declared: named("contested"), Source: "agents/contested.yaml", Live: named("contested", live), Problem: &diff.Problem{Reason: diff.ReasonConflict, Message: `data.level is managed by "node-tuner"`}},
			{Declared: named("refused"), Source: "agents/refused.yaml", Problem: &diff.Problem{Reason: "Forbidden", Message: "may not patch configmaps"}},
			{Declared: named("theirs"), Source: "agents/theirs.yaml", Live: named("theirs", live, ownedBy("agents.other"))},
		},
		Previous: &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{
			{ID: "agents_old__ConfigMap", Version: "v1"},
			{ID: "_agents__Namespace", Version: "v1"},
		}},
		Former: []diff.Former{
			{ID: diff.ID{Namespace: "agents", Name: "old", Kind: "ConfigMap"}, Live: named("old", live)},
			{ID: diff.ID{Name: "agents", Kind: "Namespace"}, Live: object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: agents}}`, ownedBy(owner), live)},
		},
	}
}

func agentChange(t *testing.T) diff.Object {
	t.Helper()
	before := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  namespace: agents
  name: gateway
  annotations: {example.com/note.txt: "one"}
spec:
  replicas: 2
  args: [a, b]
  template:
    spec:
      containers:
      - {name: proxy, image: "proxy:1"}
      - name: agent
        image: agent:1
        env: [{name: A, value: "1"}, {name: B, value: "2"}, {name: C, value: "3"}]
        ports: [{containerPort: 80}]
      volumes:
      - {name: scratch, emptyDir: {}}
  config: |
    first
    second
    third
    fourth
    fifth
    sixth
    seventh
`, live)
	after := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  namespace: agents
  name: gateway
  annotations: {example.com/note.txt: "two"}
spec:
  replicas: 3
  args: [a, c, d]
  template:
    spec:
      containers:
      - name: agent
        image: agent:2
        env: [{name: B, value: "2"}, {name: A, value: "1"}, {name: D, value: "4"}]
        ports: [{containerPort: 80}, {containerPort: 81}]
      volumes:
      - {name: scratch}
  config: |-
    first
    second
    third
    fourth, changed
    fifth
    sixth
    seventh
`, live)
	return diff.Object{Declared: after, Source: "agents/gateway.yaml", Live: before, Merged: after}
}

// secretChanges has the canary wherever the value of a Secret can be.
func secretChanges(t *testing.T) diff.Input {
	t.Helper()
	secret := func(name, rest string) *unstructured.Unstructured {
		return object(t, `{apiVersion: v1, kind: Secret, metadata: {namespace: agents, name: `+name+`}, `+rest+`}`)
	}
	annotated := func(kind, value string) *unstructured.Unstructured {
		return object(t, `{apiVersion: v1, kind: `+kind+`, metadata: {namespace: agents, name: annotated, annotations: {
			example.com/plain: `+value[:1]+`, kubectl.kubernetes.io/last-applied-configuration: '{"data":{"a":"`+value+canary+`"}}',
			example.com/Last-Applied-Configuration: '`+canary+`'}}}`)
	}
	pair := func(from, to *unstructured.Unstructured) diff.Object {
		return diff.Object{Declared: to, Source: "secrets.yaml", Live: from, Merged: to}
	}
	return diff.Input{Owner: owner, Objects: []diff.Object{
		{Declared: secret("new", "data: {a: "+canaryBase64+"}, stringData: {b: "+canary+"}"), Source: "secrets.yaml"},
		pair(
			secret("changed", "type: Opaque, data: {same: "+canaryBase64+", differs: "+canaryBase64+", gone: "+canaryBase64+"}"),
			secret("changed", "type: Opaque, data: {same: "+canaryBase64+", differs: eA==, come: "+canaryBase64+"}, stringData: {x: "+canary+"}"),
		),
		pair(secret("shapes", "data: "+canary+", more: ["+canary+"], deep: {er: {still: "+canary+"}}"), secret("shapes", "data: {a: "+canary+"}, more: ["+canary+", x], deep: {er: {still: x}}")),
		pair(annotated("Secret", "1"), annotated("Secret", "2")),
		pair(annotated("ConfigMap", "1"), annotated("ConfigMap", "2")),
		// The API server parses another kind than was asked for.
		pair(secret("disguised", "data: {a: "+canaryBase64+"}"), object(t, `{apiVersion: v1, kind: secret, metadata: {namespace: agents, name: disguised}, data: {a: eA==}}`)),
	}}
}

// hostile has text that would move a terminal's cursor or turn its letters round.
func hostile(t *testing.T) diff.Input {
	t.Helper()
	o := settings(t, with("clear \x1b[2J and turn \u202e round", "data", "one-line"), with("a\n\x1b[1A\x1b[2Kb\tc\n", "data", "lines"), with("x", "data", "\x1b[2J"))
	long := settings(t, with("long", "metadata", "name"))
	text := strings.Repeat("0123456789", 50)
	return diff.Input{Owner: owner, Objects: []diff.Object{
		{Declared: o, Source: "dir\x1b[2J/file.yaml"},
		{Declared: long, Live: settings(t, with("long", "metadata", "name"), with(text+"a"+text, "data", "text")), Merged: settings(t, with("long", "metadata", "name"), with(text+"b"+text, "data", "text"))},
		{Declared: settings(t, with("refused", "metadata", "name")), Problem: &diff.Problem{Reason: "Invalid", Message: "it says \x1b[2J"}},
	}}
}
