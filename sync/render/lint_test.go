package render_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// sound is a DaemonSet that nothing is to be said about.
const sound = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: agents}
spec:
  selector: {matchLabels: {app: agent}}
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 10%}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      initContainers:
      - {name: init, image: "localhost:5000/init@sha256:0000000000000000000000000000000000000000000000000000000000000001", resources: {limits: {cpu: 1, memory: 1Gi}}}
      containers:
      - name: agent
        image: localhost:5000/agent:1.0
        ports: [{containerPort: 80, hostPort: 80}]
        readinessProbe: {httpGet: {path: /, port: 80}}
        resources: {requests: {cpu: 10m, memory: 20Mi}}
`

func TestLint(t *testing.T) {
	for sentence, c := range map[string]struct {
		edit []string
		tree string
		want []string // Concern and Object, then a part of the message
	}{
		"nothing doubtful": {},
		"an image without a tag, at a registry with a port": {
			edit: []string{"agent:1.0", "agent"},
			want: []string{"FloatingImage", "container agent: the image localhost:5000/agent has no tag"},
		},
		"latest": {
			edit: []string{"agent:1.0", "agent:latest"}, want: []string{"FloatingImage", "the tag of localhost:5000/agent:latest moves"},
		},
		"no requests for one of two": {
			edit: []string{"{cpu: 10m, memory: 20Mi}", "{cpu: 10m}"}, want: []string{"NoRequests", "container agent requests no memory"},
		},
		"no requests of an init container": {
			edit: []string{"{limits: {cpu: 1, memory: 1Gi}}", "{}"}, want: []string{"NoRequests", "container init requests no cpu and no memory"},
		},
		"no readinessProbe": {
			edit: []string{"readinessProbe", "livenessProbe"}, want: []string{"NoReadinessProbe", "Ready once they run"},
		},
		"a surge of its own, with a port of the node": {
			edit: []string{"maxUnavailable: 10%", "maxSurge: 1, maxUnavailable: 0"},
			want: []string{"UpdateStrategyReplaced", "maxSurge is not used", "HostPortSurge", "port 80 of its node"},
		},
		"a surge of its own that Kubernetes goes by": {
			edit: []string{"maxUnavailable: 10%", "maxSurge: 1, maxUnavailable: 0", "namespace: agents}", `namespace: agents, annotations: {rollcall.dev/rollout: native}}`},
		},
		"what is not to be found": {
			edit: []string{"agent:1.0", "agent", "readinessProbe", "livenessProbe", "namespace: agents}",
				`namespace: agents, annotations: {rollcall.dev/lint-ignore: "FloatingImage, NoReadinessProbe"}}`},
		},
		"labels of a kustomization in the selector": {
			tree: "-- kustomization.yaml --\nresources: [base]\nlabels: [{pairs: {team: x}, includeSelectors: true}, {pairs: {other: z}}]\n-- base/kustomization.yaml --\nresources: [ds.yaml]\n-- base/ds.yaml --\n" + sound,
			want: []string{"SelectorLabels", "kustomization.yaml: labels[0] writes team into the selector, which cannot be changed"},
		},
		"the deprecated field for that, in a base": {
			tree: "-- kustomization.yaml --\nresources: [base]\n-- base/kustomization.yaml --\nresources: [ds.yaml]\ncommonLabels: {team: x}\n-- base/ds.yaml --\n" + sound,
			want: []string{"SelectorLabels", "base/kustomization.yaml: commonLabels writes team into the selector"},
		},
		"labels without selectors": {
			tree: "-- kustomization.yaml --\nresources: [ds.yaml]\nlabels: [{pairs: {team: x}, includeTemplates: true}]\n-- ds.yaml --\n" + sound,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			tree := c.tree
			if tree == "" {
				tree = "-- ds.yaml --\n" + strings.NewReplacer(c.edit...).Replace(sound)
			}
			var got []string
			found := build(t, files(tree), render.Options{}).Findings
			for i, f := range found {
				if f.Object != "DaemonSet agents/agent" || !strings.HasSuffix(f.File, "ds.yaml") {
					t.Errorf("it is about %s in %s", f.Object, f.File)
				}
				got = append(got, string(f.Concern))
				if 2*i+1 < len(c.want) && strings.Contains(f.Message, c.want[2*i+1]) {
					got = append(got, c.want[2*i+1])
				} else {
					got = append(got, f.Message)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLintFindsKeysThatAreSaidTwice(t *testing.T) {
	got := build(t, files(`
-- a.yaml --
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}, {port: 53, name: c, protocol: TCP}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: c, env: [{name: A}, {name: A}]}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: j}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, ports: [{containerPort: 1}, {containerPort: 1}]}]}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {spec: x}
`), render.Options{}).Findings
	var says []string
	for _, f := range got {
		says = append(says, string(f.Concern)+" "+f.Object+" "+strings.SplitAfter(f.Message, ",")[0])
	}
	want := []string{
		"DuplicateKey CronJob j spec.jobTemplate.spec.template.spec.containers[name=c].ports: two elements have the containerPort 1 and protocol TCP,",
		"DuplicateKey Deployment d spec.template.spec.containers[name=c].env: two elements have the name A,",
		"DuplicateKey Service s spec.ports: two elements have the port 53 and protocol TCP,",
	}
	if diff := cmp.Diff(want, says); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
