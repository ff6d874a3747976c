package render_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// reader reads configuration in every way there is.
const reader = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: reader, namespace: n1}
spec:
  selector: {matchLabels: {app: reader}}
  template:
    metadata: {labels: {app: reader}}
    spec:
      imagePullSecrets: [{name: s-registry}]
      initContainers:
      - name: init
        envFrom: [{secretRef: {name: s-from}}]
      containers:
      - name: main
        env:
        - {name: A, value: plain}
        - {name: B, valueFrom: {configMapKeyRef: {name: c-key, key: k}}}
        - {name: C, valueFrom: {secretKeyRef: {name: s-key, key: k, optional: true}}}
        - {name: D, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        envFrom:
        - configMapRef: {name: c-from}
        - configMapRef: {name: absent, optional: true}
      volumes:
      - {name: v1, configMap: {name: c-vol}}
      - {name: v2, secret: {secretName: s-vol}}
      - name: v3
        projected:
          sources:
          - configMap: {name: c-projected}
          - secret: {name: s-projected}
          - serviceAccountToken: {path: token}
      - {name: v4, hostPath: {path: /var/log}}
`

func configs(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		kind := "ConfigMap"
		if strings.HasPrefix(name, "s-") {
			kind = "Secret"
		}
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: %s\nmetadata: {name: %s, namespace: n1}\n", kind, name)
	}
	return b.String()
}

func names(refs []render.Reference) []string {
	var all []string
	for _, r := range refs {
		all = append(all, r.Kind+" "+r.Namespace+"/"+r.Name)
	}
	return all
}

func text(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	b, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPinningReachesEveryReference(t *testing.T) {
	all := []string{"c-from", "c-key", "c-projected", "c-vol", "s-from", "s-key", "s-projected", "s-vol"}
	got := build(t, files("-- a.yaml --\n"+reader+configs(append(all, "c-unread", "s-registry")...)), render.Options{})
	ds := got.DaemonSets[0]

	var config []string
	pinned := text(t, ds.Unstructured)
	for i, ref := range ds.Config {
		config = append(config, ref.Name)
		pinned = strings.ReplaceAll(pinned, ref.Name+"\n", ds.Pins[i].Name+"\n")
	}
	if diff := cmp.Diff(all, config); diff != "" {
		t.Errorf("Config (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(pinned, text(t, ds.Pinned)); diff != "" {
		t.Errorf("Pinned (-want +got):\n%s", diff)
	}
	if n := strings.Count(text(t, ds.Unstructured), "-"+strings.SplitN(ds.Pins[0].Name, "-", 3)[2]); n != 0 {
		t.Error("the plain DaemonSet was changed")
	}
	if len(got.Objects) != len(all)*2+2 {
		t.Errorf("got %d objects:\n%s", len(got.Objects), summary(got))
	}
}

func TestThePinnedCopy(t *testing.T) {
	got := build(t, files(`
-- ds.yaml --`+agent+`
-- c.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: agent
  labels: {team: a}
  annotations: {note: x}
data: {k: v}
binaryData: {b: AA==}
`), render.Options{Namespace: "n1"})
	want := `apiVersion: v1
binaryData:
  b: AA==
data:
  k: v
immutable: true
kind: ConfigMap
metadata:
  labels:
    rollcall.dev/pinned-from: agent
    team: a
  name: agent-7349ac5529
  namespace: n1
`
	pin := got.Objects[1]
	if diff := cmp.Diff(want, text(t, pin.Unstructured)); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
	if pin.Source != "c.yaml" || got.Objects[0].GetName() != "agent" {
		t.Errorf("got %s", summary(got))
	}
	if diff := cmp.Diff([]string{"ConfigMap n1/agent"}, names(got.DaemonSets[0].Config)); diff != "" {
		t.Errorf("Config (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ConfigMap n1/" + pin.GetName()}, names(got.DaemonSets[0].Pins)); diff != "" {
		t.Errorf("Pins (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotPinned(t *testing.T) {
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: agent, namespace: n1}\n"
	for sentence, c := range map[string]struct {
		tree   string
		config []string
	}{
		"nothing when nothing is declared": {
			tree: "-- ds.yaml --" + agent,
		},
		"an object of another namespace": {
			tree: "-- ds.yaml --" + agent + "-- c.yaml --\n" + strings.Replace(config, "n1", "n2", 1),
		},
		"an immutable object": {
			tree:   "-- ds.yaml --" + agent + "-- c.yaml --\n" + config + "immutable: true\n",
			config: []string{"ConfigMap n1/agent"},
		},
		"an object that says so": {
			tree: "-- ds.yaml --" + agent + "-- c.yaml --\n" + strings.Replace(config, "namespace",
				"annotations: {rollcall.dev/pin-config: 'false'}, namespace", 1),
			config: []string{"ConfigMap n1/agent"},
		},
		"anything of a DaemonSet that says so": {
			tree: "-- ds.yaml --" + strings.Replace(agent, "metadata:", "metadata:\n  annotations: {rollcall.dev/pin-config: 'false'}", 1) +
				"-- c.yaml --\n" + config,
			config: []string{"ConfigMap n1/agent"},
		},
		"what kustomize names by its content": {
			tree: "-- kustomization.yaml --\nnamespace: n1\nresources: [ds.yaml]\nconfigMapGenerator: [{name: agent, literals: [a=b]}]\n" +
				"-- ds.yaml --" + agent,
			config: []string{"ConfigMap n1/agent-4h2mbtbbt6"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := build(t, files(c.tree), render.Options{Namespace: "n1"})
			ds := got.DaemonSets[0]
			if diff := cmp.Diff(c.config, names(ds.Config)); diff != "" {
				t.Errorf("Config (-want +got):\n%s", diff)
			}
			if len(ds.Pins) != 0 || len(got.Objects) != strings.Count(summary(got), "ConfigMap") || len(got.Objects) > 1 {
				t.Errorf("Pins %v, objects:\n%s", ds.Pins, summary(got))
			}
			if diff := cmp.Diff(ds.Unstructured, ds.Pinned); diff != "" {
				t.Errorf("the pinned DaemonSet differs (-plain +pinned):\n%s", diff)
			}
		})
	}
	t.Run("but what kustomize makes under a fixed name is", func(t *testing.T) {
		got := build(t, files("-- kustomization.yaml --\nresources: [ds.yaml]\ngeneratorOptions: {disableNameSuffixHash: true}\n"+
			"configMapGenerator: [{name: agent, literals: [a=b]}]\n-- ds.yaml --"+agent), render.Options{Namespace: "n1"})
		if len(got.DaemonSets[0].Pins) != 1 {
			t.Errorf("Pins %v", got.DaemonSets[0].Pins)
		}
	})
}

func TestTwoDaemonSetsShareACopy(t *testing.T) {
	got := build(t, files("-- a.yaml --"+agent+"-- b.yaml --"+strings.Replace(agent, "name: agent", "name: second", 1)+
		"-- c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: agent}\ndata: {k: v}\n"), render.Options{})
	if len(got.Objects) != 2 {
		t.Errorf("got %s", summary(got))
	}
	if diff := cmp.Diff(got.DaemonSets[0].Pins, got.DaemonSets[1].Pins); diff != "" {
		t.Errorf("Pins differ:\n%s", diff)
	}
	if got.DaemonSets[0].Digest != got.DaemonSets[1].Digest {
		t.Error("equal templates have different digests")
	}
}

func TestNamesOfCopiesAreValid(t *testing.T) {
	long := strings.Repeat("a", 242) + "." + strings.Repeat("b", 10)
	got := build(t, files("-- a.yaml --"+strings.Replace(agent, "configMap: {name: agent}", "configMap: {name: "+long+"}", 1)+
		"-- c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+long+"}\n"), render.Options{})
	var pin render.Object
	for _, o := range got.Objects {
		if o.GetName() != long {
			pin = o
		}
	}
	if want := strings.Repeat("a", 242) + "-"; !strings.HasPrefix(pin.GetName(), want) || len(pin.GetName()) != 253 {
		t.Errorf("name %q has %d characters", pin.GetName(), len(pin.GetName()))
	}
	if label := pin.GetLabels()[render.PinnedFromLabel]; len(label) != 40 {
		t.Errorf("label %q", label)
	}
}

func TestACopyInTheWayOfAnotherObjectIsRefused(t *testing.T) {
	tree := "-- ds.yaml --" + agent + "-- c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: agent}\n"
	pin := build(t, files(tree), render.Options{}).DaemonSets[0].Pins[0].Name
	tree += "-- d.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + pin + "}\n"
	wantError(t, files(tree), render.Options{}, render.DuplicateObject, pin, "c.yaml", "d.yaml")
}
