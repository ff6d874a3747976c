package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/rollcall-dev/rollcall/e2e/gitserver"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestBadInput shows of everything that can be wrong between Git and the
// cluster that it is said, that what ran keeps running, and that it passes by
// itself when the cause is gone.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.policy(hurried())
	together(t, w, map[string]func(*tenant){
		"bad commits":      badCommitsInTurn,
		"failed halfway":   failedHalfway,
		"unreachable":      unreachable,
		"credentials":      credentials,
		"missing ref":      missingRef,
		"empty repository": emptyRepository,
		"missing path":     missingPath,
		"missing kind":     missingKind,
		"missing space":    missingNamespace,
		"missing policy":   missingPolicy,
		"other placement":  otherPlacement,
		"owned config":     ownedConfigMap,
		"owned agent":      ownedDaemonSet,
		"contested agent":  contested,
		"orphaned":         orphaned,
		"managed beside":   managedBeside,
		"suspended":        suspended,
		"interval":         interval,
		"reconcile at":     reconcileAt,
		"insecure http":    insecureHTTP,
		"unreadable state": unreadableState,
		"refused state":    refusedState,
		"refused step":     refusedStep,
	})
}

// badCommit is a commit that cannot be applied.
type badCommit struct {
	// name says what is wrong.
	name string
	// files are written beside a new image tag and the removal of extra.yaml.
	files  map[string]string
	reason string
	words  []string
}

func badCommits() []badCommit {
	return []badCommit{
		{
			name: "invalid yaml", files: map[string]string{"broken.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  - y\n"},
			reason: "InvalidYAML", words: []string{"broken.yaml:3: ", "not YAML", "here or just below"},
		},
		{
			name: "lost indentation", files: map[string]string{"daemonset.yaml": regexp.MustCompile(`(?m)^ +`).ReplaceAllString(manifest("v2"), "")},
			reason: "InvalidYAML", words: []string{"daemonset.yaml:10: ", "its indentation was lost", "take the raw file"},
		},
		{
			name: "unknown kind", files: map[string]string{"typo.yaml": "apiVersion: apps/v1\nkind: DeamonSet\nmetadata:\n  name: typo\n"},
			reason: "UnknownKind", words: []string{"typo.yaml", "DeamonSet", "apps/v1", "correct the apiVersion"},
		},
		{
			name: "duplicate", files: map[string]string{"again.yaml": plainConfig("again", "1"), "twice.yaml": plainConfig("again", "2")},
			reason: "DuplicateObject", words: []string{"ConfigMap", "again", "again.yaml", "twice.yaml", "keep one of them"},
		},
		{
			name: "missing field", files: map[string]string{"daemonset.yaml": strings.Replace(manifest("v2"), "image:", "imaeg:", 1)},
			reason: "InvalidObject", words: []string{"daemonset.yaml", "DaemonSet", "imaeg", "typing error"},
		},
		{
			name: "refused value", files: map[string]string{"service.yaml": "apiVersion: v1\nkind: Service\nmetadata:\n  name: agent\nspec:\n  ports:\n  - port: 99999\n"},
			reason: "Invalid", words: []string{"service.yaml", "Service", "spec.ports[0].port"},
		},
		{
			name: "refused agent", files: map[string]string{"daemonset.yaml": strings.Replace(manifest("v2"), "cpu: 10m", "cpu: 10m\n          limits:\n            cpu: 5m", 1)},
			reason: "Invalid", words: []string{"daemonset.yaml", "DaemonSet", "resources.requests"},
		},
		{
			name: "three at once", files: map[string]string{
				"daemonset.yaml": strings.Replace(manifest("v2"), "cpu: 10m", "cpu: 10m\n          limits:\n            cpu: 5m", 1),
				"service.yaml":   "apiVersion: v1\nkind: Service\nmetadata:\n  name: agent\nspec:\n  ports:\n  - port: 99999\n",
				"nowhere.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: missing\n",
			},
			reason: "NamespaceNotFound", words: []string{"3 objects are refused (2 Invalid, 1 NamespaceNotFound)", "daemonset.yaml", "service.yaml", "nowhere.yaml"},
		},
		{
			name: "changed selector", files: map[string]string{"daemonset.yaml": strings.ReplaceAll(manifest("v2"), "app: example\n", "app: renamed\n")},
			reason: "Immutable", words: []string{"daemonset.yaml", "DaemonSet", "spec.selector", "revert the change in Git"},
		},
	}
}

// failedHalfway is a commit that nobody could know to fail: each of two Services
// has room in the quota, and both have not. What comes after them waits, the
// DaemonSets among it.
func failedHalfway(n *tenant) {
	before := n.good()
	quotas := n.w.cluster.Client.CoreV1().ResourceQuotas(n.namespace)
	_, err := quotas.Create(n.t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "tight"}, Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{"services": quantity.MustParse("1")},
	}}, metav1.CreateOptions{})
	n.must(err, "create ResourceQuota")
	n.eventually("the quota is enforced", func(ctx context.Context) (string, error) {
		q, err := quotas.Get(ctx, "tight", metav1.GetOptions{})
		if err == nil && len(q.Status.Used) == 1 {
			return "", nil
		}
		return "it is not", err
	})
	service := "apiVersion: v1\nkind: Service\nmetadata:\n  name: %s\nspec:\n  ports:\n  - port: 80\n"
	native := strings.Replace(strings.ReplaceAll(manifest("v1"), "example", "beside"), "  labels:\n", "  annotations:\n    rollcall.dev/rollout: native\n  labels:\n", 1)
	commit := n.deliver("two Services", map[string]string{
		"daemonset.yaml": manifest("v2"), "first.yaml": fmt.Sprintf(service, "first"), "second.yaml": fmt.Sprintf(service, "second"), "native.yaml": native,
	})
	gs := n.waitHeld("fleet", "Forbidden", "Service "+n.namespace, "exceeded quota", "raise the ResourceQuota")
	n.eventually("an event says what waits", func(ctx context.Context) (string, error) { // the next pass is refused before it writes
		events, err := n.w.cluster.Client.CoreV1().Events(n.namespace).List(ctx, metav1.ListOptions{})
		if err == nil && slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return strings.Contains(e.Message, "1 object that comes after waits for that")
		}) {
			return "", nil
		}
		return "no such event", err
	})
	if gs.Status.Applied == commit {
		n.t.Error("the commit is called applied")
	}
	_, err = n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(n.t.Context(), "beside-daemonset", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		n.t.Errorf("a DaemonSet is there before what it may need: %v", err)
	}
	n.wantStill(before)
	n.must(quotas.Delete(n.t.Context(), "tight", metav1.DeleteOptions{}), "delete ResourceQuota")
	n.poke()
	n.waitProven(commit)
	_, err = n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(n.t.Context(), "beside-daemonset", metav1.GetOptions{})
	n.must(err, "get the DaemonSet beside")
}

// good is what runs before something goes wrong.
func (n *tenant) good() map[string]string {
	n.t.Helper()
	commit := n.push("good", map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1")})
	n.follow()
	n.waitProven(commit)
	return n.state()
}

// badCommitsInTurn pushes every bad commit on a good one, and then a good one
// again: all the while nothing restarts and nothing is pruned.
func badCommitsInTurn(n *tenant) {
	before := n.good()
	for i, b := range badCommits() {
		n.t.Log(b.name)
		files, still, inventory := map[string]string{"daemonset.yaml": manifest("v2"), "extra.yaml": ""}, n.state(), n.inventory()
		maps.Copy(files, b.files)
		bad := n.deliver("bad", files)
		gs := n.waitHeld("fleet", b.reason, b.words...)
		if gs.Status.Fetched.Commit != bad || gs.Status.Applied == bad {
			n.t.Errorf("fetched %s and applied %s, want the bad commit %s fetched and not applied", gs.Status.Fetched.Commit, gs.Status.Applied, bad)
		}
		n.wantStill(still)
		if d := cmp.Diff(inventory, n.inventory()); d != "" {
			n.t.Errorf("%s changed the inventory (-before +after):\n%s", b.name, d)
		}

		fix := map[string]string{}
		for name := range b.files {
			fix[name] = ""
		}
		fix["daemonset.yaml"], fix["extra.yaml"] = manifest("v1"), plainConfig("extra", "1")
		fix["fixed.yaml"] = plainConfig("fixed", strconv.Itoa(i))
		n.waitRecovered(n.push("fix", fix), before)
	}
}

// inventory is what the GitSync answers for, extra.yaml among it.
func (n *tenant) inventory() []v1alpha1.InventoryEntry {
	n.t.Helper()
	gs, err := n.w.kinds.GitSyncs(n.namespace).Get(n.t.Context(), "fleet", metav1.GetOptions{})
	n.must(err, "get GitSync")
	if !lists(gs, "extra") {
		n.t.Errorf("the inventory lacks ConfigMap extra: %+v", gs.Status.Inventory)
		return nil
	}
	return gs.Status.Inventory.Entries
}

// waitRecovered waits without asking until a good commit is proven that leaves
// alone what ran before.
func (n *tenant) waitRecovered(commit string, before map[string]string) {
	n.t.Helper()
	n.waitProven(commit)
	now := n.state()
	maps.DeleteFunc(now, func(what, _ string) bool { return before[what] == "" })
	if d := cmp.Diff(before, now); d != "" {
		n.t.Errorf("what ran has changed (-before +after):\n%s", d)
	}
	if !n.hasConfigMap("fixed") {
		n.t.Error("ConfigMap fixed is missing: the good commit is not applied")
	}
}

// next is a good commit that follows good.
func (n *tenant) next() string {
	n.t.Helper()
	return n.push("next", map[string]string{"fixed.yaml": plainConfig("fixed", "1")})
}

// ownServer gives the tenant a Git server that no other one uses.
func (n *tenant) ownServer(o gitserver.Options) *gitserver.Server {
	n.t.Helper()
	o.Dir = n.t.TempDir()
	server, err := gitserver.Start(n.t.Context(), o)
	n.must(err, "start git server")
	n.t.Cleanup(func() { n.must(server.Close(), "stop git server") })
	n.repo, err = server.NewRepo(n.t.Context(), "fleet")
	n.must(err, "make repository")
	return server
}

func unreachable(n *tenant) {
	server := n.ownServer(gitserver.Options{})
	before := n.good()
	n.must(server.Stop(), "stop git server")
	next := n.next()
	n.poke()
	n.waitHeld("fleet", "GitUnreachable", n.repo.URL, "connection is refused", "look at the URL")
	n.wantStill(before)
	n.must(server.Resume(n.t.Context()), "resume git server")
	n.waitRecovered(next, before)
}

// Both passwords are searched for in everything that rollcall says.
const (
	rightPassword = "canary-right-5f1c0e"
	wrongPassword = "canary-wrong-77ab21"
)

func credentials(n *tenant) {
	n.ownServer(gitserver.Options{Username: "reader", Password: rightPassword})
	commit := n.push("good", map[string]string{"daemonset.yaml": manifest("v1")})
	n.follow()
	n.waitHeld("fleet", "AuthenticationFailed", n.repo.URL, "secretRef")
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Source.SecretRef = &corev1.LocalObjectReference{Name: "git-auth"} })
	n.waitHeld("fleet", "SecretNotFound", n.namespace+"/git-auth", "create it")

	secrets := n.w.cluster.Client.CoreV1().Secrets(n.namespace)
	secret, err := secrets.Create(n.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git-auth"}, StringData: map[string]string{"user": "reader"}}, metav1.CreateOptions{})
	n.must(err, "create Secret")
	n.waitHeld("fleet", "SecretInvalid", n.namespace+"/git-auth", "username", "password", "bearerToken")
	secret.StringData = map[string]string{"username": "reader", "password": wrongPassword}
	secret, err = secrets.Update(n.t.Context(), secret, metav1.UpdateOptions{})
	n.must(err, "update Secret")
	n.waitHeld("fleet", "AuthenticationFailed", n.repo.URL, "renew the Secret")
	secret.StringData = map[string]string{"password": rightPassword}
	_, err = secrets.Update(n.t.Context(), secret, metav1.UpdateOptions{})
	n.must(err, "update Secret")
	n.waitProven(commit)
	for _, password := range []string{rightPassword, wrongPassword} {
		n.wantUnsaid(password)
	}
}

// wantUnsaid fails when the text is in the log, in an event, in a status or in
// a metric.
func (n *tenant) wantUnsaid(secret string) {
	n.t.Helper()
	log, err := os.ReadFile(n.w.control.Log)
	n.must(err, "read log")
	said := map[string]string{"the log": string(log), "the metrics": n.w.metricsText(n.t)}
	for _, resource := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "events"}, {Version: "v1", Resource: "configmaps"}, resource("gitsyncs"), resource("noderollouts"),
	} {
		list, err := n.w.cluster.Dynamic.Resource(resource).List(n.t.Context(), metav1.ListOptions{})
		n.must(err, "list "+resource.Resource)
		text, err := list.MarshalJSON()
		n.must(err, "encode "+resource.Resource)
		said[resource.Resource] = string(text)
	}
	for where, text := range said {
		if strings.Contains(text, secret) {
			n.t.Errorf("%s shows the password %s", where, secret)
		}
	}
}

func missingRef(n *tenant) {
	before := n.good()
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Ref.Branch = "prod" })
	n.waitHeld("fleet", "RefNotFound", n.repo.URL, "refs/heads/prod", "main", "push it, or correct the ref")
	n.wantStill(before)
	next := n.next()
	_, err := n.repo.Git(n.t.Context(), "push", "--quiet", "origin", "main:prod")
	n.must(err, "push branch")
	n.waitRecovered(next, before)
}

func emptyRepository(n *tenant) {
	n.follow()
	n.waitHeld("fleet", "EmptyRepository", n.repo.URL, "push one")
	n.waitProven(n.push("first", map[string]string{"daemonset.yaml": manifest("v1")}))
}

func missingPath(n *tenant) {
	first := n.push("good", map[string]string{"agents/daemonset.yaml": manifest("v1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "agents" })
	n.waitProven(first)
	before := n.state()
	_, err := n.repo.Git(n.t.Context(), "mv", "agents", "moved")
	n.must(err, "move")
	n.deliver("move", nil)
	n.waitHeld("fleet", "PathNotFound", `"agents"`, "does not exist in this commit", "moved")
	n.wantStill(before)
	commit := n.push("next", map[string]string{"moved/fixed.yaml": plainConfig("fixed", "1")})
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "moved" })
	n.waitRecovered(commit, before)
}

const widget = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.e2e.rollcall.dev
spec:
  group: e2e.rollcall.dev
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// missingKind is a custom resource that comes before its definition.
func missingKind(n *tenant) {
	before := n.good()
	commit := n.deliver("widget", map[string]string{
		"fixed.yaml":  plainConfig("fixed", "1"),
		"widget.yaml": "apiVersion: e2e.rollcall.dev/v1\nkind: Widget\nmetadata:\n  name: w\n",
	})
	n.waitHeld("fleet", "UnknownKind", "widget.yaml", "Widget", "e2e.rollcall.dev/v1", "install its CRD")
	n.wantStill(before)
	n.create(widget)
	n.waitRecovered(commit, before)
	_, err := n.w.cluster.Dynamic.Resource(schema.GroupVersionResource{Group: "e2e.rollcall.dev", Version: "v1", Resource: "widgets"}).Namespace(n.namespace).Get(n.t.Context(), "w", metav1.GetOptions{})
	n.must(err, "get widget")
	n.extinctKind()
}

// extinctKind is a former custom resource whose definition is gone, and so it
// is: the inventory forgets it.
func (n *tenant) extinctKind() {
	n.t.Helper()
	n.must(n.definitions().Delete(n.t.Context(), "widgets.e2e.rollcall.dev", metav1.DeleteOptions{}), "delete CustomResourceDefinition")
	n.eventually("the kind is served no more", func(context.Context) (string, error) {
		_, err := n.w.cluster.Client.Discovery().ServerResourcesForGroupVersion("e2e.rollcall.dev/v1")
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "it is", err
	})
	n.waitProven(n.deliver("no widget", map[string]string{"widget.yaml": ""}))
	n.waitSync("fleet", "the inventory forgets the widget", func(gs *v1alpha1.GitSync) bool { return !lists(gs, "w") })
}

func (n *tenant) definitions() dynamic.ResourceInterface {
	return n.w.cluster.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
}

// create makes a CustomResourceDefinition.
func (n *tenant) create(manifest string) {
	n.t.Helper()
	var o unstructured.Unstructured
	n.must(yaml.Unmarshal([]byte(manifest), &o.Object), "decode manifest")
	_, err := n.definitions().Create(n.t.Context(), &o, metav1.CreateOptions{})
	n.must(err, "create "+o.GetName())
}

// missingNamespace is an agent, and then also an object, in a namespace that is
// not there yet; and then both in one that the commit brings.
func missingNamespace(n *tenant) {
	before := n.good()
	elsewhere := n.namespace + "-elsewhere"
	inIt := strings.Replace(manifest("v1"), "name: example-daemonset", "name: elsewhere\n  namespace: "+elsewhere, 1)
	n.deliver("elsewhere", map[string]string{"daemonset.yaml": manifest("v2"), "fixed.yaml": plainConfig("fixed", "1"), "elsewhere.yaml": inIt})
	n.waitHeld("fleet", "NamespaceNotFound", "elsewhere.yaml", "DaemonSet", elsewhere, "declare", "create it")
	n.wantStill(before)
	commit := n.deliver("config too", map[string]string{
		"daemonset.yaml": manifest("v1"), "settings.yaml": strings.ReplaceAll(plainConfig("elsewhere", "1"), "name: elsewhere", "name: elsewhere\n  namespace: "+elsewhere),
	})
	n.waitSync("fleet", "it also names the ConfigMap", func(gs *v1alpha1.GitSync) bool {
		return gs.Status.Fetched.Commit == commit && strings.Contains(readyCondition(gs).Message, "settings.yaml")
	})
	n.waitHeld("fleet", "NamespaceNotFound", "settings.yaml", "ConfigMap", elsewhere, "declare", "create it")
	n.wantStill(before)
	n.namespaceOf(elsewhere)
	n.waitRecovered(commit, before)

	brought := n.namespace + "-brought"
	n.waitRecovered(n.deliver("brought", map[string]string{
		"namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + brought + "\n", "elsewhere.yaml": strings.ReplaceAll(inIt, elsewhere, brought),
	}), before)
}

func missingPolicy(n *tenant) {
	before := n.good()
	annotated := strings.Replace(manifest("v2"), "  labels:\n", "  annotations:\n    rollcall.dev/policy: absent\n  labels:\n", 1)
	commit := n.deliver("policy", map[string]string{"daemonset.yaml": annotated, "extra.yaml": ""})
	r := n.waitRollout("it is held for its policy", func(r *v1alpha1.NodeRollout) bool {
		return r.Status.Phase == v1alpha1.PhaseHeld && r.Status.Reason == "PolicyNotFound"
	})
	for _, word := range []string{`"absent"`, "create it", v1alpha1.AnnotationPolicy, "spec.policy"} {
		if !strings.Contains(r.Status.Message, word) {
			n.t.Errorf("the message is %q, want it to name %q", r.Status.Message, word)
		}
	}
	n.waitHeld("fleet", "RolloutStopped", n.namespace+"/"+agent, "Held", "PolicyNotFound")
	n.wantStill(before)
	_, err := n.w.kinds.RolloutPolicies().Create(n.t.Context(), &v1alpha1.RolloutPolicy{ObjectMeta: metav1.ObjectMeta{Name: "absent"}, Spec: hurried()}, metav1.CreateOptions{})
	n.must(err, "create RolloutPolicy")
	n.waitProven(commit)
	n.waitPruned()
	if got := n.tags(); got["v2"] != 6 || len(got) != 1 {
		n.t.Errorf("pods by tag: %v, want 6 of v2", got)
	}
}

// otherPlacement is a commit that would take the agent from two of three zones
// at once: it is held with its counts, and a revert is all that it takes.
func otherPlacement(n *tenant) {
	before := n.good()
	inOneZone := strings.Replace(manifest("v1"), "    spec:\n", "    spec:\n      nodeSelector: {topology.kubernetes.io/zone: zone-a}\n", 1)
	n.deliver("placement", map[string]string{"daemonset.yaml": inOneZone})
	r := n.waitRollout("it is held for its placement", func(r *v1alpha1.NodeRollout) bool {
		return r.Status.Phase == v1alpha1.PhaseHeld && r.Status.Reason == "PlacementChange"
	})
	for _, word := range []string{"nodeSelector", "lose 4 nodes", "win 0", "revert the placement"} {
		if !strings.Contains(r.Status.Message, word) {
			n.t.Errorf("the message is %q, want it to name %q", r.Status.Message, word)
		}
	}
	n.waitHeld("fleet", "RolloutStopped", n.namespace+"/"+agent, "Held", "PlacementChange")
	n.wantHeldGrows("PlacementChange")
	n.wantStill(before)
	n.waitRecovered(n.push("revert", map[string]string{"daemonset.yaml": manifest("v1"), "fixed.yaml": plainConfig("fixed", "1")}), before)
	n.waitRollout("it is at rest", func(r *v1alpha1.NodeRollout) bool {
		s := r.Status
		return s.Phase == v1alpha1.PhaseProven && s.Candidate == nil && s.Nodes.Eligible == 6 && s.Nodes.Present == 6
	})
}

// rival makes a second GitSync of the same repository, for the path b.
func (n *tenant) rival() {
	n.t.Helper()
	n.follow(func(gs *v1alpha1.GitSync) { gs.Name, gs.Spec.Source.Path = "rival", "b" })
}

func ownedConfigMap(n *tenant) {
	first := n.push("both", map[string]string{
		"a/daemonset.yaml": manifest("v1"), "a/shared.yaml": plainConfig("shared", "first"),
		"b/shared.yaml": plainConfig("shared", "second"), "b/own.yaml": plainConfig("own", "second"),
	})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "a" })
	n.waitProven(first)
	before := n.state()
	n.rival()
	n.waitHeld("rival", "OwnedByAnother", "b/shared.yaml", "ConfigMap", "shared", n.namespace+".fleet", "remove it from one of the two")
	n.wantStill(before)
	n.deliver("leave it to the rival", map[string]string{"a/shared.yaml": ""})
	n.waitSync("rival", "the rival has it", func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven != "" })
	for _, cm := range n.configMaps() {
		if cm.Data["key"] != "second" || cm.Labels[v1alpha1.LabelOwner] != n.namespace+".rival" {
			n.t.Errorf("ConfigMap %s has %v and labels %v, want the rival's", cm.Name, cm.Data, cm.Labels)
		}
	}
}

func ownedDaemonSet(n *tenant) {
	first := n.push("both", map[string]string{
		"a/daemonset.yaml": manifest("v1"), "a/other.yaml": plainConfig("other", "1"), "b/daemonset.yaml": manifest("v2"),
	})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "a" })
	n.waitProven(first)
	before := n.state()
	n.rival()
	n.waitHeld("rival", "OwnedByAnother", "b/daemonset.yaml", "DaemonSet", agent, n.namespace+".fleet", "remove it from one of the two")
	n.wantStill(before)
	n.deliver("leave it to the rival", map[string]string{"a/daemonset.yaml": ""})
	n.waitSync("rival", "the rival has it", func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven != "" })
	if got := n.tags(); got["v2"] != 6 || len(got) != 1 {
		n.t.Errorf("pods by tag: %v, want 6 of the rival's v2", got)
	}
	r, err := n.w.kinds.NodeRollouts(n.namespace).Get(n.t.Context(), agent, metav1.GetOptions{})
	n.must(err, "get NodeRollout")
	if r.Labels[v1alpha1.LabelOwner] != n.namespace+".rival" {
		n.t.Errorf("the NodeRollout has labels %v, want the rival as its owner", r.Labels)
	}
}

func suspended(n *tenant) {
	before := n.good()
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = true })
	gs := n.waitSync("fleet", "it says that it is suspended", func(gs *v1alpha1.GitSync) bool { return readyCondition(gs).Reason == "Suspended" })
	if ready := readyCondition(gs).Status; ready != metav1.ConditionTrue {
		n.t.Errorf("suspended while Ready, it is Ready=%s, want it to stay", ready)
	}
	next := n.next()
	n.wantStill(before)
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.Suspend = false })
	n.waitRecovered(next, before)
}

// readyCondition is never nil.
func readyCondition(gs *v1alpha1.GitSync) metav1.Condition {
	if c := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready"); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// interval counts what the server is asked: one listing of refs an interval,
// one pack a commit.
func interval(n *tenant) {
	server := n.ownServer(gitserver.Options{})
	n.good()
	before, started := server.Requests(), time.Now()
	const intervals = 4
	time.Sleep(intervals * 5 * time.Second)
	after := server.Requests()
	polls, fit := after.InfoRefs-before.InfoRefs, int(time.Since(started)/(5*time.Second))
	if polls < intervals-1 || polls > fit+1 {
		n.t.Errorf("%d polls in %s, want one every 5s", polls, time.Since(started))
	}
	if after.UploadPack != before.UploadPack {
		n.t.Errorf("%d packs without a commit, want none", after.UploadPack-before.UploadPack)
	}
	for i := range 3 {
		commit := n.push("next", map[string]string{"fixed.yaml": plainConfig("fixed", strconv.Itoa(i))})
		n.waitSync("fleet", "it is applied", func(gs *v1alpha1.GitSync) bool { return gs.Status.Applied == commit })
		if got := server.Requests().UploadPack - before.UploadPack; got != i+1 {
			n.t.Errorf("%d packs for %d commits, want one each", got, i+1)
		}
	}
}

// reconcileAt polls at once, and only then, with an interval of an hour.
func reconcileAt(n *tenant) {
	server := n.ownServer(gitserver.Options{})
	first := n.push("good", map[string]string{"daemonset.yaml": manifest("v1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Interval = metav1.Duration{Duration: time.Hour} })
	n.waitProven(first)
	if got := server.Requests(); got.InfoRefs != 2 || got.UploadPack != 1 {
		n.t.Errorf("the first commit cost %+v, want a listing to find it, and a listing and a pack to fetch it", got)
	}
	second := n.push("next", map[string]string{"daemonset.yaml": manifest("v2")})
	time.Sleep(3 * time.Second)
	if got := server.Requests().InfoRefs; got != 2 {
		n.t.Errorf("%d listings within the interval, want none", got-2)
	}
	at := n.poke()
	gs := n.waitProven(second)
	if gs.Status.LastHandledReconcileAt != at {
		n.t.Errorf("lastHandledReconcileAt is %q, want %q", gs.Status.LastHandledReconcileAt, at)
	}
	if got := server.Requests(); got.InfoRefs != 4 || got.UploadPack != 2 {
		n.t.Errorf("two commits cost %+v, want four listings and two packs: passes for a rollout's progress ask Git nothing", got)
	}
}

func insecureHTTP(n *tenant) {
	_, err := n.w.kinds.GitSyncs(n.namespace).Create(n.t.Context(), &v1alpha1.GitSync{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet"},
		Spec:       v1alpha1.GitSyncSpec{Source: v1alpha1.GitSource{URL: n.repo.URL, Ref: v1alpha1.GitRef{Branch: "main"}, Interval: metav1.Duration{Duration: time.Minute}}},
	}, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "insecureHTTP") {
		n.t.Errorf("the API server says %v, want it to refuse plain http and to name insecureHTTP", err)
	}
}
