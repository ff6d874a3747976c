package render_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// files makes a tree from a txtar text.
func files(text string) fstest.MapFS {
	tree := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(text)).Files {
		tree[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return tree
}

func build(t *testing.T, tree fs.FS, o render.Options) *render.Declared {
	t.Helper()
	declared, err := render.Build(tree, o)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return declared
}

// summary names what was declared, one object a line, in order.
func summary(d *render.Declared) string {
	var b strings.Builder
	for _, o := range d.Objects {
		fmt.Fprintf(&b, "%s %s/%s (%s)\n", o.GetKind(), o.GetNamespace(), o.GetName(), o.Source)
	}
	for _, ds := range d.DaemonSets {
		fmt.Fprintf(&b, "DaemonSet %s/%s (%s)\n", ds.GetNamespace(), ds.GetName(), ds.Source)
	}
	return b.String()
}

// wantError checks that the build fails with the reason and that one of its errors says each of the texts.
func wantError(t *testing.T, tree fs.FS, o render.Options, reason render.Reason, texts ...string) {
	t.Helper()
	declared, err := render.Build(tree, o)
	if err == nil {
		t.Fatalf("Build gave %q, want an error with reason %s", summary(declared), reason)
	}
	if declared != nil {
		t.Errorf("Build gave both objects and the error %v", err)
	}
	if !errors.Is(err, reason) {
		t.Errorf("reason of %q is not %s", err, reason)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

const agent = `
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
spec:
  selector:
    matchLabels: {app: agent}
  template:
    metadata:
      labels: {app: agent}
    spec:
      containers:
      - name: agent
        image: registry.example.com/agent:1.0
        envFrom:
        - configMapRef: {name: agent-env}
      volumes:
      - name: config
        configMap: {name: agent}
`
