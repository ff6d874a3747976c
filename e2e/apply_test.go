package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// canary is a value that nobody may ever read anywhere.
const canary = "s3cr3t-CANARY"

// TestApply shows, on a real API server, what becomes of objects that Git declares, changes and takes out. All cases
// share one cluster; each has a namespace of its own.
func TestApply(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start(t.Context(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	cases := map[string]func(*applying){
		"objects are created, then left alone, then updated":              testLifecycle,
		"what kubectl applied is taken over, and its leftovers go away":   testTakeover,
		"the plan of a takeover is what the takeover does":                testTakeoverPrediction,
		"what helm and kubectl edit wrote is taken over too":              testTakeoverOfMany,
		"a field that somebody else manages is a conflict that names him": testConflict,
		"what an autoscaler writes is not stolen":                         testAutoscaler,
		"a list of managers replaces the default one":                     testAdoptNobody,
		"everything that is wrong is said at once":                        testErrors,
		"who may not is told what is missing":                             testForbidden,
		"a definition and its objects come in one set":                    testDefinition,
		"a webhook without a backend refuses nothing of its own commit":   testWebhookLast,
		"a namespace and its objects come in one set":                     testNamespace,
		"what Git takes out is deleted, if it is ours":                    testPrune,
		"what finalizers hold stays in the inventory":                     testPruneFinalizer,
		"what an annotation protects stays, and what one confirms goes":   testPruneProtected,
		"what is made anew or protected meanwhile is not deleted":         testPruneRace,
		"an object of another GitSync is left alone while that exists":    testForeign,
		"what two GitSyncs make at once is the first one's":               testMade,
		"what somebody makes meanwhile is his, or taken over":             testMadeByOthers,
		"an immutable copy is written once":                               testImmutable,
		"no value of a Secret is ever shown":                              testCanary,
		"what others write is no change":                                  testQuiet,
		"an injected certificate is no change":                            testBundle,
		"two elements of one key are refused by name":                     testDuplicates,
		"what is ignored is left to others":                               testIgnore,
	}
	t.Run("shared", func(t *testing.T) {
		for name, run := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(newApplying(t, c))
			})
		}
	})
}

// applying makes passes of one GitSync's objects.
type applying struct {
	*testing.T
	cluster   *cluster.Cluster
	applier   *apply.Applier
	logs      *bytes.Buffer
	namespace string
	name      string
	inventory *v1alpha1.Inventory
	inUse     []diff.Reference
	unproven  bool
	ignore    []v1alpha1.IgnoreRule
}

func newApplying(t *testing.T, c *cluster.Cluster) *applying {
	t.Helper()
	ns, err := c.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "apply-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a := &applying{T: t, cluster: c, namespace: ns.Name, name: "agents", logs: &bytes.Buffer{}}
	a.as(c.Config)
	return a
}

// as makes all further requests with the config.
func (a *applying) as(config *rest.Config) {
	a.Helper()
	applier, err := apply.NewApplier(config, slog.New(slog.NewTextHandler(a.logs, nil)))
	if err != nil {
		a.Fatal(err)
	}
	a.applier = applier
}

// observe asks about a set of manifests and calculates its plan.
func (a *applying) observe(manifests ...string) (apply.Set, apply.Observation, diff.Plan) {
	a.Helper()
	declared := &render.Declared{}
	for i, m := range manifests {
		declared.Objects = append(declared.Objects, render.Object{Unstructured: a.parse(m), Source: fmt.Sprintf("%d.yaml", i)})
	}
	set := apply.NewSet(types.NamespacedName{Namespace: a.namespace, Name: a.name}, declared, a.inventory)
	set.Ignore = a.ignore
	seen := a.applier.Observe(a.Context(), set)
	return set, seen, diff.Calculate(diff.Input{
		Owner: set.Owner, Objects: seen.Objects, DaemonSets: set.DaemonSets, Previous: set.Previous, Former: seen.Former,
		Prune: true, InUse: a.inUse, Unproven: a.unproven,
	})
}

// pass does all that a pass does with the manifests.
func (a *applying) pass(manifests ...string) (diff.Plan, apply.Results) {
	a.Helper()
	set, seen, plan := a.observe(manifests...)
	results := a.applier.Apply(a.Context(), plan, seen.Objects)
	pruned := a.applier.Prune(a.Context(), set.Owner, plan)
	a.inventory = apply.Inventory(set, plan, pruned)
	return plan, append(results, pruned...)
}

func (a *applying) parse(manifest string) *unstructured.Unstructured {
	a.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(manifest, "NAMESPACE", a.namespace)), &o.Object); err != nil {
		a.Fatal(err)
	}
	return o
}

// want compares what was done, in one line an object.
func (a *applying) want(results apply.Results, want ...string) {
	a.Helper()
	var got []string
	for _, r := range results {
		line := fmt.Sprintf("%s %s %s", r.Done, r.Kind, r.Name)
		if r.Reason != "" {
			line += " " + r.Reason
		}
		got = append(got, line)
	}
	if d := cmp.Diff(want, got); d != "" {
		a.Fatalf("results (-want +got):\n%s%v", d, results)
	}
}

// live returns an object of the namespace; nil when there is none.
func (a *applying) live(resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	a.Helper()
	o, err := a.cluster.Dynamic.Resource(resource).Namespace(a.namespace).Get(a.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return o
}

// create creates an object as another tool does.
func (a *applying) create(manager string, resource schema.GroupVersionResource, manifest string) *unstructured.Unstructured {
	a.Helper()
	o, err := a.cluster.Dynamic.Resource(resource).Namespace(a.namespace).Create(a.Context(), a.parse(manifest), metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		a.Fatal(err)
	}
	return o
}

// patch changes an object as another tool does.
func (a *applying) patch(manager string, kind types.PatchType, resource schema.GroupVersionResource, name, patch string) {
	a.Helper()
	_, err := a.cluster.Dynamic.Resource(resource).Namespace(a.namespace).Patch(a.Context(), name, kind, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		a.Fatal(err)
	}
}

// eventually waits for what the API server does in its own time.
func (a *applying) eventually(what string, is func() bool) {
	a.Helper()
	if err := wait.PollUntilContextTimeout(a.Context(), 200*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return is(), nil }); err != nil {
		a.Fatalf("wait until %s: %v", what, err)
	}
}

// contains fails unless each part is in the text.
func (a *applying) contains(text string, parts ...string) {
	a.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			a.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

func configMaps() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
}

func secrets() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
}

func services() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "services"}
}

func deployments() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

// settings is a ConfigMap with the data, which is written as a YAML flow map.
func settings(name, data string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: %s}", name, data)
}
