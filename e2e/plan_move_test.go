package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// plannedMove is a commit that moves an agent with its config from the path of one GitSync to that of another: the plans of
// both paths say what their passes then do, from a working tree, from the repository, and without a cluster.
func plannedMove(n *tenant) {
	ds := mounting(agent, "v1")
	first := n.push("first", map[string]string{"a/daemonset.yaml": ds, "a/config.yaml": plainConfig("config", "1"), "a/stays.yaml": plainConfig("stays", "1"), "b/other.yaml": plainConfig("other", "1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "a" })
	n.follow(func(gs *v1alpha1.GitSync) { gs.Name, gs.Spec.Source.Path = "receiver", "b" })
	n.waitProven(first)
	n.waitAtRest()
	for _, file := range []string{"daemonset.yaml", "config.yaml"} {
		n.must(n.repo.Remove("a/"+file), "remove")
	}
	n.must(n.repo.Write("b/daemonset.yaml", ds), "write")
	n.must(n.repo.Write("b/config.yaml", plainConfig("config", "1")), "write")

	from := filepath.Join(n.repo.Dir, "b")
	p := n.planOf(2, from)
	if p.GitSync != n.namespace+"/receiver" || p.Blocked || len(p.DaemonSets) != 1 || p.DaemonSets[0].Verdict != "Proven" {
		n.t.Errorf("of what comes over the plan says %+v", p)
	}
	for _, o := range p.Objects {
		if o.Name == "config" && (o.Operation != "Update" || o.Reason != "Inherits") {
			n.t.Errorf("of the config that comes over the plan says %+v", o)
		}
	}
	p = n.planOf(2, filepath.Join(n.repo.Dir, "a"))
	for _, o := range p.Objects {
		if want := map[string]string{"stays": "Unchanged", "config": "Release", agent: "Release"}[o.Name]; want != "" && o.Operation != want {
			n.t.Errorf("of %s the path that it leaves says %+v, want %s", o.Name, o, want)
		}
	}
	p = n.planOf(2, from, "--against", "HEAD", "--kubeconfig", "/nonexistent")
	if p.Against != first[:8] || len(p.DaemonSets) != 1 || p.DaemonSets[0].Verdict != "FirstInstall" {
		n.t.Errorf("against the commit before the plan says %+v", p)
	}
	if code, _, stderr := n.rollcall("plan", from, "--against", "nonexistent"); code != 1 || !strings.Contains(stderr, `find commit "nonexistent"`) {
		n.t.Errorf("against a commit that there is not the plan exits with %d and says %q", code, stderr)
	}

	before := n.state()
	moved := n.push("move", nil)
	p = n.planOf(2, n.repo.URL, "--insecure-http", "--gitsync", n.namespace+"/receiver")
	if p.Commit != moved[:8] || p.GitSync != n.namespace+"/receiver" || p.Blocked {
		n.t.Errorf("of the repository the plan says %+v", p)
	}
	n.poke()
	n.waitSync("receiver", "the move is proven", func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven == moved })
	n.wantUnchanged(before)
	n.planOf(0, from)
	n.planOf(0, n.repo.URL, "--insecure-http", "--path", "b", "--ref", "main", "--against", "main", "--kubeconfig", "/nonexistent")
}

// planOf is what a plan says, which ends with that code.
func (n *tenant) planOf(code int, args ...string) *plan {
	n.t.Helper()
	got, stdout, stderr := n.rollcall(append([]string{"plan", "--namespace", n.namespace, "-o", "json"}, args...)...)
	var out plan
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || got != code {
		n.t.Errorf("plan %v exits with %d, want %d:\n%s%s", args, got, code, stdout, stderr)
	}
	return &out
}
