package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// testMade makes what two GitSyncs declare and neither has seen: the first one has it, and the other one neither its
// fields nor its label, whatever its kind.
func testMade(a *applying) {
	objects := []string{
		settings("settings", "{a: NAME}"),
		"{apiVersion: v1, kind: Secret, metadata: {name: token}, stringData: {a: NAME}}",
		"{apiVersion: v1, kind: Service, metadata: {name: front}, spec: {clusterIP: None, selector: {app: NAME}}}",
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: work}, spec: {replicas: 0, selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: NAME}]}}}}",
	}
	see := func(name string) (apply.Observation, diff.Plan) {
		var declared []string
		for _, o := range objects {
			declared = append(declared, strings.ReplaceAll(o, "NAME}", name+"}"))
		}
		a.name = name
		_, seen, plan := a.observe(declared...)
		return seen, plan
	}
	asked := a.counting()
	late, latePlan := see("late")
	if d := cmp.Diff(map[string]int{"dry-run": 4}, asked()); d != "" {
		a.Errorf("requests about 4 objects of a GitSync that has none (-want +got):\n%s", d)
	}
	first, firstPlan := see("first")
	asked = a.counting()
	a.want(a.applier.Apply(a.Context(), firstPlan, first.Objects), "Created ConfigMap settings", "Created Secret token", "Created Service front", "Created Deployment work")
	if d := cmp.Diff(map[string]int{http.MethodPatch: 4}, asked()); d != "" {
		a.Errorf("requests for 4 objects that nobody has made (-want +got):\n%s", d)
	}
	rest := a.applier.Begin(latePlan, late.Objects)
	rest.Separate = true // each of them is tried
	a.want(rest.BeforeAdmission(a.Context()), "Failed ConfigMap settings OwnedByAnother", "Failed Secret token OwnedByAnother", "Failed Service front OwnedByAnother", "Failed Deployment work OwnedByAnother")
	for name, resource := range map[string]schema.GroupVersionResource{"settings": configMaps(), "token": secrets(), "front": services(), "work": deployments()} {
		live := a.live(resource, name)
		if live == nil || live.GetLabels()[v1alpha1.LabelOwner] != a.namespace+".first" || strings.Contains(fmt.Sprint(live.Object), "late") {
			a.Errorf("%s is not as the first GitSync made it: %v", name, live)
		}
	}
}

// testMadeByOthers makes what somebody makes meanwhile who is no GitSync: it is his unless it may be taken over.
func testMadeByOthers(a *applying) {
	_, seen, plan := a.observe(settings("helms", "{a: ours}"), settings("somebodys", "{a: ours}"))
	a.create("helm", configMaps(), settings("helms", "{a: theirs, b: theirs}"))
	a.create("somebody", configMaps(), settings("somebodys", "{a: theirs}"))
	a.want(a.applier.Apply(a.Context(), plan, seen.Objects), "Configured ConfigMap helms", "Failed ConfigMap somebodys Conflict")
	if d := cmp.Diff(map[string]any{"a": "ours"}, a.live(configMaps(), "helms").Object["data"]); d != "" {
		a.Errorf("what helm made (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]any{"a": "theirs"}, a.live(configMaps(), "somebodys").Object["data"]); d != "" {
		a.Errorf("what somebody made (-want +got):\n%s", d)
	}
}

// counting counts the applier's requests from now on, but for discovery.
func (a *applying) counting() func() map[string]int {
	a.Helper()
	var mu sync.Mutex
	asked := map[string]int{}
	config := rest.CopyConfig(a.cluster.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "/namespaces/"+a.namespace+"/") {
				mu.Lock()
				if r.URL.Query().Has("dryRun") {
					asked["dry-run"]++
				} else {
					asked[r.Method]++
				}
				mu.Unlock()
			}
			return next.RoundTrip(r)
		})
	})
	a.as(config)
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(asked)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
