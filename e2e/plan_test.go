package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/e2e/product"
)

// Both tokens are searched for in everything that a plan says.
const (
	oldToken = "canary-old-90ce41"
	newToken = "canary-new-1fa6d7"
)

// plan is what `rollcall plan -o json` says, in part.
type plan struct {
	GitSync          string
	Against, Commit  string
	Changes, Blocked bool
	Objects          []struct{ Kind, Name, Operation, Reason string }
	DaemonSets       []struct {
		Name, Verdict string
		Nodes         int
		Fields        []struct{ Path, From, To string }
		Waves         []struct {
			Name  string
			Nodes int
		}
	}
}

// operations are what becomes of each object that does not stay as it is. The
// hash of a pinned copy is left out.
func (p *plan) operations() []string {
	var out []string
	for _, o := range p.Objects {
		if o.Operation != "Unchanged" {
			out = append(out, o.Operation+" "+o.Kind+" "+regexp.MustCompile(`-[0-9a-f]{10}$`).ReplaceAllString(o.Name, "-HASH"))
		}
	}
	slices.Sort(out)
	return out
}

// planned is a pull request as a reviewer plans it: the exit code says whether
// something would change, and nothing is written.
func planned(n *tenant) {
	files := map[string]string{
		"daemonset.yaml": reader(agent, "v1", "[{name: token, secret: {secretName: token}}]", ""),
		"secret.yaml":    plainSecret("token", oldToken), "config.yaml": plainConfig("config", "1"), "extra.yaml": plainConfig("extra", "1"),
	}
	n.waitProven(n.followAfter(files))
	n.waitAtRest()
	if seen := n.versions(); seen["NodeRollout "+agent] == "" || seen["DaemonSet "+agent] == "" || seen["ConfigMap "+agent+".rollcall-state"] == "" {
		n.t.Fatalf("looked only at %v", slices.Sorted(maps.Keys(seen)))
	}

	same := n.wantPlan(0, files)
	if same.GitSync != n.namespace+"/fleet" || len(same.operations()) > 0 || len(same.DaemonSets) != 1 || same.DaemonSets[0].Verdict != "Proven" {
		n.t.Errorf("of what runs the plan says %+v, want nothing to do for %s/fleet", same, n.namespace)
	}

	changed := maps.Clone(files)
	delete(changed, "extra.yaml")
	changed["config.yaml"], changed["secret.yaml"] = plainConfig("config", "2"), plainSecret("token", newToken)
	next := n.wantPlan(2, changed)
	want := []string{"Create Secret token-HASH", "Delete ConfigMap extra", "Keep Secret token-HASH", "Update ConfigMap config", "Update Secret token"}
	if d := cmp.Diff(want, next.operations()); d != "" {
		n.t.Errorf("operations (-want +got):\n%s", d)
	}
	if ds := next.DaemonSets[0]; ds.Verdict != "Rollout" || ds.Nodes != 6 || len(ds.Waves) != 2 || ds.Waves[0].Nodes != 2 || ds.Waves[1].Nodes != 4 {
		n.t.Errorf("of a new token the plan says %+v, want a rollout over 2 nodes and then 4", ds)
	}

	refused := maps.Clone(changed)
	refused["service.yaml"] = "apiVersion: v1\nkind: Service\nmetadata:\n  name: agent\nspec:\n  ports:\n  - port: 99999\n"
	if got := n.wantPlan(1, refused).operations(); !slices.Contains(got, "Refused Service agent") {
		n.t.Errorf("operations are %v, want the Service refused", got)
	}
	n.wantNoPlan(map[string]string{"mangled.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: mangled\ndata:\n  key: " + newToken + "\n"}, "mangled.yaml", "data.key")
	n.wantNoPlan(map[string]string{"broken.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  a: " + newToken + "\n  - " + oldToken + "\n"}, "broken.yaml:")
	n.wantNoPlan(map[string]string{"typo.yaml": strings.Replace(manifest("v2"), "image:", "imaeg:", 1)}, "typo.yaml", "imaeg")
	n.wantNoPlan(nil, "absent")
}

// plannedAfresh is a directory that nobody follows yet.
func plannedAfresh(n *tenant) {
	first := n.wantPlan(2, map[string]string{"daemonset.yaml": manifest("v1"), "config.yaml": plainConfig("config", "1")})
	if ds := first.DaemonSets; len(ds) != 1 || ds[0].Verdict != "FirstInstall" || ds[0].Nodes != 6 {
		n.t.Errorf("of a new agent the plan says %+v, want a first install on 6 nodes", ds)
	}
}

// waitAtRest waits until Kubernetes has counted what is proven, for it writes to
// the DaemonSet until then, and until rollcall has written the last of it: the end
// of the records, and counts that waited for their turn.
func (n *tenant) waitAtRest() {
	n.t.Helper()
	last, since := n.versions(), time.Now()
	n.eventually("the DaemonSet's status is up to date", func(ctx context.Context) (string, error) {
		ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(ctx, agent, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if s := ds.Status; s.ObservedGeneration != ds.Generation || s.UpdatedNumberScheduled != 6 || s.NumberAvailable != 6 {
			return s.String(), nil
		}
		if now := n.versions(); !maps.Equal(now, last) {
			last, since = now, time.Now()
		}
		if still := time.Since(since); still < 3*time.Second {
			return fmt.Sprintf("nothing has been written for %s", still), nil
		}
		return "", nil
	})
}

// wantPlan plans a directory of these files in every format. Each ends with
// that exit code, shows no token, and leaves the cluster as it is.
func (n *tenant) wantPlan(code int, files map[string]string) *plan {
	n.t.Helper()
	dir, before := n.directory(files), n.versions()
	var asJSON, asYAML plan
	for _, format := range []string{"text", "json", "yaml", "markdown"} {
		got, stdout, stderr := n.rollcall("plan", dir, "--namespace", n.namespace, "-o", format)
		n.t.Logf("plan -o %s exits with %d:\n%s%s", format, got, stdout, stderr)
		if got != code || stdout == "" || stderr != "" {
			n.t.Errorf("plan -o %s exits with %d and %q on standard error, want %d and a plan", format, got, stderr, code)
		}
		n.wantNoToken(stdout + stderr)
		switch format {
		case "json":
			n.must(json.Unmarshal([]byte(stdout), &asJSON), "read json")
		case "yaml":
			n.must(yaml.UnmarshalStrict([]byte(stdout), &map[string]any{}), "read yaml")
			n.must(yaml.Unmarshal([]byte(stdout), &asYAML), "read yaml")
		}
	}
	if d := cmp.Diff(asJSON, asYAML); d != "" {
		n.t.Errorf("the formats differ (-json +yaml):\n%s", d)
	}
	if asJSON.Changes != (code == 2) && code != 1 || asJSON.Blocked != (code == 1) {
		n.t.Errorf("exit code %d, and the plan says changes %t, blocked %t", code, asJSON.Changes, asJSON.Blocked)
	}
	if d := cmp.Diff(before, n.versions()); d != "" {
		n.t.Errorf("the plan has written something (-before +after):\n%s", d)
	}
	return &asJSON
}

// wantNoPlan plans what cannot be read: a directory of these files, or one that
// there is not. It is an error that names the words and no token.
func (n *tenant) wantNoPlan(files map[string]string, words ...string) {
	n.t.Helper()
	dir, before := filepath.Join(n.t.TempDir(), "absent"), n.versions()
	if files != nil {
		dir = n.directory(files)
	}
	code, stdout, stderr := n.rollcall("plan", dir, "--namespace", n.namespace)
	n.t.Logf("plan exits with %d: %s", code, stderr)
	if code != 1 || stdout != "" {
		n.t.Errorf("exit code %d and a plan %q, want 1 and none", code, stdout)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			n.t.Errorf("the error is %q, want it to name %q", stderr, word)
		}
	}
	n.wantNoToken(stderr)
	if d := cmp.Diff(before, n.versions()); d != "" {
		n.t.Errorf("what failed has written something (-before +after):\n%s", d)
	}
}

func (n *tenant) wantNoToken(said string) {
	n.t.Helper()
	for _, token := range []string{oldToken, newToken} {
		if strings.Contains(said, token) || strings.Contains(said, base64.StdEncoding.EncodeToString([]byte(token))) {
			n.t.Errorf("the plan shows the token %s:\n%s", token, said)
		}
	}
}

func (n *tenant) directory(files map[string]string) string {
	n.t.Helper()
	dir := n.t.TempDir()
	for name, content := range files {
		n.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600), "write "+name)
	}
	return dir
}

// rollcall runs the program as a person does, with an administrator's
// kubeconfig.
func (n *tenant) rollcall(args ...string) (code int, stdout, stderr string) {
	n.t.Helper()
	binary, err := product.Binary("rollcall")
	n.must(err, "find rollcall")
	c := exec.CommandContext(n.t.Context(), binary, append([]string{args[0], "--kubeconfig", n.w.cluster.Kubeconfig}, args[1:]...)...)
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	err = c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("run rollcall %s: %v", args, err)
	}
	return c.ProcessState.ExitCode(), out.String(), complaints.String()
}

// versions are the resourceVersions of all that a plan looks at and tries, so
// that a dry-run that was none would show.
func (n *tenant) versions() map[string]string {
	n.t.Helper()
	out := map[string]string{}
	for _, r := range []schema.GroupVersionResource{
		{Group: "apps", Version: "v1", Resource: "daemonsets"}, {Group: "apps", Version: "v1", Resource: "controllerrevisions"},
		{Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "secrets"}, {Version: "v1", Resource: "services"}, {Version: "v1", Resource: "pods"},
		resource("noderollouts"),
	} {
		list, err := n.w.cluster.Dynamic.Resource(r).Namespace(n.namespace).List(n.t.Context(), metav1.ListOptions{})
		n.must(err, "list "+r.Resource)
		for _, o := range list.Items {
			out[o.GetKind()+" "+o.GetName()] = o.GetResourceVersion()
		}
	}
	return out
}
