package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestClashes(t *testing.T) {
	t.Parallel()
	old := manifest(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: old, namespace: agents}, spec: {template: {spec: {containers: [{name: a, ports: [{containerPort: 80, hostPort: 9100, protocol: TCP}]}]}}}}`)
	for name, c := range map[string]struct {
		spec string
		want bool
	}{
		"the same port":                        {`{containers: [{name: a, ports: [{containerPort: 1, hostPort: 9100}]}]}`, true},
		"the port of the host's network":       {`{hostNetwork: true, containers: [{name: a, ports: [{containerPort: 9100}]}]}`, true},
		"another port":                         {`{containers: [{name: a, ports: [{containerPort: 9100, hostPort: 9101}]}]}`, false},
		"that port of the container":           {`{containers: [{name: a, ports: [{containerPort: 9100}]}]}`, false},
		"that port by another protocol":        {`{containers: [{name: a, ports: [{containerPort: 1, hostPort: 9100, protocol: UDP}]}]}`, false},
		"no port":                              {`{containers: [{name: a}]}`, false},
		"the port of a second, init container": {`{initContainers: [{name: i, ports: [{containerPort: 1, hostPort: 9100}]}], containers: [{name: a}]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := manifest(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: next, namespace: agents}, spec: {template: {spec: `+c.spec+`}}}`)
			got := Clashes([]render.DaemonSet{{Object: render.Object{Unstructured: next}}}, []diff.Former{{ID: diff.IDOf(old), Live: old}, {ID: diff.ID{Name: "gone", Group: "apps", Kind: "DaemonSet"}}})
			var want []diff.Clash
			if c.want {
				want = []diff.Clash{{ID: diff.IDOf(old), With: diff.IDOf(next), Port: 9100}}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
