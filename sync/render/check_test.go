package render_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// tutorial is the manifest of the Kubernetes documentation on DaemonSets.
const tutorial = `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: fluentd-elasticsearch
  namespace: kube-system
  labels:
    k8s-app: fluentd-logging
spec:
  selector:
    matchLabels:
      name: fluentd-elasticsearch
  template:
    metadata:
      labels:
        name: fluentd-elasticsearch
    spec:
      tolerations:
      # these tolerations are to have the daemonset runnable on control plane nodes
      # remove them if your control plane nodes should not run pods
      - key: node-role.kubernetes.io/control-plane
        operator: Exists
        effect: NoSchedule
      - key: node-role.kubernetes.io/master
        operator: Exists
        effect: NoSchedule
      containers:
      - name: fluentd-elasticsearch
        image: quay.io/fluentd_elasticsearch/fluentd:v5.0.1
        resources:
          limits:
            memory: 200Mi
          requests:
            cpu: 100m
            memory: 200Mi
        volumeMounts:
        - name: varlog
          mountPath: /var/log
      # it may be desirable to set a high priority class to ensure that a DaemonSet Pod
      # preempts running Pods
      # priorityClassName: important
      terminationGracePeriodSeconds: 30
      volumes:
      - name: varlog
        hostPath:
          path: /var/log
`

func withoutIndentation(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func TestTheTutorialManifest(t *testing.T) {
	t.Run("is accepted as it is", func(t *testing.T) {
		got := build(t, fstest.MapFS{"ds.yaml": {Data: []byte(tutorial)}}, render.Options{})
		if diff := cmp.Diff("DaemonSet kube-system/fluentd-elasticsearch (ds.yaml)\n", summary(got)); diff != "" {
			t.Errorf("declared (-want +got):\n%s", diff)
		}
	})
	lost := withoutIndentation(tutorial)
	t.Run("is explained when its indentation is lost", func(t *testing.T) {
		tree := fstest.MapFS{"agents/ds.yaml": {Data: []byte(lost)}}
		wantError(t, tree, render.Options{Path: "agents"}, render.InvalidYAML, "agents/ds.yaml:", "indentation was lost")
	})
	t.Run("is explained when its indentation is lost, in a kustomization", func(t *testing.T) {
		tree := fstest.MapFS{"ds.yaml": {Data: []byte(lost)}, "kustomization.yaml": {Data: []byte("resources: [ds.yaml]\n")}}
		wantError(t, tree, render.Options{}, render.InvalidYAML, "ds.yaml:", "indentation was lost")
	})
	t.Run("is explained down to the key, without the lists", func(t *testing.T) {
		head, _, _ := strings.Cut(lost, "tolerations:")
		tree := fstest.MapFS{"ds.yaml": {Data: []byte(head)}}
		wantError(t, tree, render.Options{}, render.InvalidYAML, "ds.yaml:11:", `key "name" appears twice in one mapping, first on line 4`)
	})
	t.Run("is explained when nothing is said twice", func(t *testing.T) {
		tree := fstest.MapFS{"c.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\nname: c\ndata:\nk: v\n")}}
		wantError(t, tree, render.Options{}, render.InvalidObject, "c.yaml:1: ConfigMap: metadata.name", "indentation was lost")
	})
}

func TestDaemonSetsAreChecked(t *testing.T) {
	edit := func(pairs ...string) string { return "-- ds.yaml --" + strings.NewReplacer(pairs...).Replace(agent) }
	for sentence, c := range map[string]struct {
		tree string
		says []string
	}{
		"a field with a typing error": {
			tree: edit("image:", "imagee:"),
			says: []string{"ds.yaml: DaemonSet agent: spec.template.spec.containers[0].imagee: there is no such field"},
		},
		"two of them": {
			tree: edit("image:", "imagee:", "template:", "minReadySecond: 1\n  template:"),
			says: []string{"spec.template.spec.containers[0].imagee", "spec.minReadySecond"},
		},
		"a field in the wrong case": {
			tree: edit("volumes:", "Volumes:"),
			says: []string{"spec.template.spec.Volumes: there is no such field"},
		},
		"an environment variable that is a boolean": {
			tree: edit("envFrom:", "env: [{name: A, value: yes}]\n        envFrom:"),
			says: []string{"spec.template.spec.containers[0].env[0].value: this value is of type bool and should be string: quote it"},
		},
		"a mapping where a list belongs": {
			tree: edit("volumes:", "hostAliases: {}\n      volumes:"),
			says: []string{"spec.template.spec.hostAliases: this value is of type object and should be a list"},
		},
		"two variables of one name": {
			tree: edit("envFrom:", "env: [{name: A, value: a}, {name: B, value: b}, {name: A, value: c}]\n        envFrom:"),
			says: []string{"ds.yaml: DaemonSet agent: spec.template.spec.containers[name=agent].env: two elements have the name A: keep one of them"},
		},
		"one port twice, the protocol of which is written once": {
			tree: edit("envFrom:", "ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}, {name: again, containerPort: 80, protocol: TCP}]\n        envFrom:"),
			says: []string{"spec.template.spec.containers[name=agent].ports: two elements have the containerPort 80 and protocol TCP"},
		},
		"a quantity that is none": {
			tree: edit("envFrom:", "resources: {limits: {cpu: 100mm}}\n        envFrom:"),
			says: []string{"spec.template.spec.containers[0].resources.limits.cpu: this value does not fit: unable to parse quantity"},
		},
		"a selector that the template does not match": {
			tree: edit("labels: {app: agent}", "labels: {app: other}"),
			says: []string{`spec.selector: the selector "app=agent" does not match the labels of the template "app=other"`},
		},
		"an empty selector": {
			tree: edit("matchLabels: {app: agent}", "matchLabels: {}"),
			says: []string{"spec.selector: the selector is empty"},
		},
		"a selector with an operator that does not exist": {
			tree: edit("matchLabels: {app: agent}", "matchExpressions: [{key: a, operator: Is}]"),
			says: []string{`spec.selector: "Is" is not a valid label selector operator`},
		},
		"no containers": {
			tree: edit("containers:", "initContainers:"),
			says: []string{"spec.template.spec.containers: the template has no container"},
		},
		"a ConfigMap with a number": {
			tree: "-- c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: x, port: 80}\n",
			says: []string{"c.yaml: ConfigMap c: data.port: this value is of type number and should be string: quote it"},
		},
		"a Secret with a number, without the number": {
			tree: "-- c.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\nstringData: {pin: 424242}\n",
			says: []string{"c.yaml: Secret c: stringData.pin: this value is of type number and should be string: quote it"},
		},
		"a Secret that is not base64, without the text": {
			tree: "-- c.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {pin: '#424242'}\n",
			says: []string{"c.yaml: Secret c: data.pin: this value does not fit; the values of data are base64"},
		},
		"several objects, each": {
			tree: edit("image:", "imagee:") + "-- e.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndatas: {}\n",
			says: []string{"imagee", "e.yaml: Secret c: datas: there is no such field"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			wantError(t, files(c.tree), render.Options{}, render.InvalidObject, c.says...)
			if _, err := render.Build(files(c.tree), render.Options{}); strings.Contains(err.Error(), "424242") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// brokenFS cannot read one of its files.
type brokenFS struct {
	fs.FS
	name string
}

var errBroken = errors.New("object missing")

func (b brokenFS) Open(name string) (fs.File, error) {
	if name == b.name {
		return nil, errBroken
	}
	return b.FS.Open(name)
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	tree := files("-- k/kustomization.yaml --\nresources: [a.yaml]\n-- k/a.yaml --\n-- p/sub/a.yaml --\n-- p/b.yaml --\n")
	for _, c := range []struct{ path, broken string }{
		{"k", "k"}, {"k", "k/kustomization.yaml"}, {"k", "k/a.yaml"}, {"p", "p"}, {"p", "p/sub"}, {"p", "p/sub/a.yaml"}, {"x", "."},
	} {
		t.Run(c.path+" without "+c.broken, func(t *testing.T) {
			declared, err := render.Build(brokenFS{tree, c.broken}, render.Options{Path: c.path})
			if declared != nil || !errors.Is(err, errBroken) {
				t.Errorf("got %v, %v", declared, err)
			}
		})
	}
}

func TestALinkIsNeverSkipped(t *testing.T) {
	tree := files("-- a.yaml --\n")
	tree["more"] = &fstest.MapFile{Data: []byte("../elsewhere"), Mode: fs.ModeSymlink}
	wantError(t, tree, render.Options{}, render.BuildFailed, "more: ")
}

func TestErrorsAreListed(t *testing.T) {
	_, err := render.Build(files("-- a.yaml --\n[\n-- b.yaml --\nkind: X\n"), render.Options{})
	var got []render.Error
	for _, e := range render.List(err) {
		got = append(got, render.Error{Reason: e.Reason, File: e.File, Field: e.Field})
	}
	want := []render.Error{
		{Reason: render.InvalidYAML, File: "a.yaml"},
		{Reason: render.InvalidObject, File: "b.yaml", Field: "apiVersion"},
		{Reason: render.InvalidObject, File: "b.yaml", Field: "metadata.name"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if render.List(errBroken) != nil {
		t.Error("an error of another package was listed")
	}
}
