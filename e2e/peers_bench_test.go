package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// BenchmarkPeers measures, side by side on one cluster, what it takes to apply 10, 100 and 500 objects, to see that
// nothing has changed, to change one of them, and to put one right that somebody edited: by rollcall, by Flux' package
// ssa, by kubectl, and by bare server-side applies, below which nothing is to be had. It prints a table of seconds, CPU
// time of the tool's process, and requests by verb, as the API server's audit log has them.
//
// A peer's time is that of its work, without the start of its process; rollcall's is from the moment at which a GitSync
// is made, a pass is asked for or an object is edited, until the GitSync says so or the object is right again. "in the
// pass" is what of it went into comparing and applying, which is all that the others do.
func BenchmarkPeers(b *testing.B) {
	for range b.N {
		c := newSideBySide(b)
		for _, objects := range []int{10, 100, 500} {
			for _, tool := range []string{"bare", "flux", "kubectl-apply"} {
				c.peer(tool, objects)
			}
			c.rollcall(objects)
		}
		c.report(b)
	}
}

// sideBySide is the cluster and what was measured on it.
type sideBySide struct {
	*world
	rows []row
}

func newSideBySide(b *testing.B) *sideBySide {
	b.Helper()
	return &sideBySide{world: newWorldWith(b, cluster.Options{Nodes: 1, Audit: true})}
}

// peer measures one of the tools in e2e/peers, in a namespace of its own.
func (c *sideBySide) peer(tool string, objects int) {
	c.t.Helper()
	namespace := c.room(tool, objects)
	run := func(what, by, first string) {
		file := filepath.Join(c.dir, namespace+".yaml")
		c.must(os.WriteFile(file, []byte(ofKinds(namespace, first, objects)), 0o600), "write manifests")
		began := time.Now()
		took := c.runPeer(by, file)
		c.rows = append(c.rows, row{tool: tool, what: what, objects: objects, wall: took.Wall, pass: took.Wall, cpu: took.CPU, requests: c.asked(by, began)})
	}
	run(firstApply, tool, "1")
	run(unchanged, tool, "1")
	run(oneChanged, tool, "2")
	c.edit(namespace)
	run(drifted, tool, "2")
	c.wantFirst(namespace, "2")
	if tool == "kubectl-apply" {
		run(compared, "kubectl-diff", "3")
		c.wantFirst(namespace, "2")
	}
}

// peerCost is what a peer says of itself.
type peerCost struct {
	Wall, CPU time.Duration
}

func (c *sideBySide) runPeer(tool, file string) peerCost {
	c.t.Helper()
	binary, err := product.Binary("peers")
	c.must(err, "find peers")
	command := exec.CommandContext(c.t.Context(), binary, tool, c.cluster.Kubeconfig, file)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		c.t.Fatalf("%s: %v: %s", tool, err, said.String())
	}
	var took peerCost
	c.must(json.Unmarshal(out, &took), "read what a peer took")
	return took
}

// rollcall measures rollcall with a GitSync of its own.
func (c *sideBySide) rollcall(objects int) {
	c.t.Helper()
	namespace := c.room("rollcall", objects)
	manifests := filepath.Join(namespace, "all.yaml")
	commit := c.push("objects", map[string]string{manifests: ofKinds(namespace, "1", objects)})
	c.measure(firstApply, objects, func() {
		_, err := c.kinds.GitSyncs(namespace).Create(c.t.Context(), &v1alpha1.GitSync{
			ObjectMeta: metav1.ObjectMeta{Name: "peer", Namespace: namespace},
			Spec: v1alpha1.GitSyncSpec{Source: v1alpha1.GitSource{
				URL: c.repo.URL, InsecureHTTP: true, Ref: v1alpha1.GitRef{Branch: "main"}, Path: namespace, Interval: metav1.Duration{Duration: 5 * time.Second},
			}},
		}, metav1.CreateOptions{})
		c.must(err, "create GitSync")
		c.waitApplied(namespace, commit)
	})
	c.rest()
	c.measure(unchanged, objects, c.rest)
	c.measure(oneChanged, objects, func() {
		c.waitApplied(namespace, c.push("one", map[string]string{manifests: ofKinds(namespace, "2", objects)}))
	})
	c.rest()
	c.measure(drifted, objects, func() {
		c.edit(namespace)
		c.waitFirst(namespace, "2")
	})
}

// measure runs what rollcall is to do, and waits until the audit log has it all.
func (c *sideBySide) measure(what string, objects int, act func()) {
	c.t.Helper()
	before, inPass, began := c.usage(), c.passed(), time.Now()
	act()
	wall := time.Since(began)
	c.rows = append(c.rows, row{tool: "rollcall", what: what, objects: objects, wall: wall, pass: c.passed() - inPass, cpu: c.usage().CPU - before.CPU, requests: c.asked("rollcall/", began)})
}

// passed is for how long passes compared and wrote so far.
func (c *sideBySide) passed() time.Duration {
	c.t.Helper()
	seconds := 0.0
	for _, s := range c.samples(c.t)["rollcall_gitsync_pass_duration_seconds_sum"] {
		if stage := s.labels["stage"]; stage == "diff" || stage == "apply" {
			seconds += s.value
		}
	}
	return time.Duration(seconds * float64(time.Second))
}

// asked counts the requests of a user agent since then, by verb. Leases are renewed whatever happens.
func (c *sideBySide) asked(agent string, since time.Time) map[string]int {
	c.t.Helper()
	out := map[string]int{}
	c.auditEvents(func(e *auditv1.Event) {
		lease := e.ObjectRef != nil && e.ObjectRef.Resource == "leases"
		if !strings.HasPrefix(e.UserAgent, agent) || lease || e.RequestReceivedTimestamp.Time.Before(since) {
			return
		}
		switch {
		case strings.Contains(e.RequestURI, "dryRun="):
			out["dry-run"]++
		case e.ObjectRef == nil:
			out["discovery"]++
		default:
			out[e.Verb]++
		}
	})
	return out
}

// room makes the namespace in which one tool applies.
func (c *sideBySide) room(tool string, objects int) string {
	c.t.Helper()
	name := fmt.Sprintf("%s-%d", tool, objects)
	_, err := c.cluster.Client.CoreV1().Namespaces().Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	c.must(err, "create namespace")
	return name
}

// edit changes the first object as a person does.
func (c *sideBySide) edit(namespace string) {
	c.t.Helper()
	_, err := c.cluster.Client.CoreV1().ConfigMaps(namespace).Patch(c.t.Context(), "object-0", types.MergePatchType, []byte(`{"data":{"key":"edited"}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	c.must(err, "edit ConfigMap")
}

func (c *sideBySide) first(namespace string) string {
	c.t.Helper()
	o, err := c.cluster.Client.CoreV1().ConfigMaps(namespace).Get(c.t.Context(), "object-0", metav1.GetOptions{})
	c.must(err, "get ConfigMap")
	return o.Data["key"]
}

func (c *sideBySide) wantFirst(namespace, value string) {
	c.t.Helper()
	if got := c.first(namespace); got != value {
		c.t.Fatalf("the first object in %s has %q, want %q", namespace, got, value)
	}
}

func (c *sideBySide) waitFirst(namespace, value string) {
	c.t.Helper()
	c.soon("the first object is right again", func() bool { return c.first(namespace) == value })
}

func (c *sideBySide) waitApplied(namespace, commit string) {
	c.t.Helper()
	c.soon("the commit is applied", func() bool {
		gs, err := c.kinds.GitSyncs(namespace).Get(c.t.Context(), "peer", metav1.GetOptions{})
		c.must(err, "get GitSync")
		return gs.Status.Applied == commit
	})
}

// soon polls closely: what is waited for is timed.
func (c *sideBySide) soon(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("wait until %s: it is not so after two minutes", what)
		}
	}
}

// rest waits for the next poll of Git: by then everything that came before is answered, and it finds nothing to do. It
// reads no metrics meanwhile but once a second, for that costs rollcall CPU time.
func (c *sideBySide) rest() {
	c.t.Helper()
	polls := c.polls()
	c.soon("Git is polled", func() bool {
		time.Sleep(time.Second)
		return c.polls() > polls
	})
}

// ofKinds are so many objects of a namespace, of a few kinds, of which the first one has the value.
func ofKinds(namespace, first string, objects int) string {
	out := make([]string, 0, objects)
	for i := range objects {
		meta := fmt.Sprintf("metadata: {name: object-%d, namespace: %s, labels: {app: example}}", i, namespace)
		switch value := "1"; i % 5 {
		case 3:
			out = append(out, "apiVersion: v1\nkind: ServiceAccount\n"+meta+"\n")
		case 4:
			out = append(out, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n"+meta+"\nrules: [{apiGroups: [\"\"], resources: [configmaps], verbs: [get]}]\n")
		default:
			if i == 0 {
				value = first
			}
			out = append(out, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\n%s\ndata: {key: %q, other: %q}\n", meta, value, strings.Repeat("x", 500)))
		}
	}
	return strings.Join(out, "---\n")
}
