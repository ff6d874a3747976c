package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func nodeRollouts() map[string]refusal {
	return map[string]refusal{
		"nothing that a person asks":  {spec: "{}"},
		"a pause":                     {spec: "{paused: true}"},
		"a retry":                     {spec: "{retry: 'sha256:" + strings.Repeat("a", 64) + "'}"},
		"a pause that is no boolean":  {"{paused: 'yes'}", []string{"spec.paused"}},
		"a retry that is no digest":   {"{retry: " + strings.Repeat("a", 101) + "}", []string{"spec.retry"}},
		"a field that there is not":   {"{stopped: true}", []string{`unknown field "spec.stopped"`}},
		"an approval":                 {spec: "{approved: {digest: 'sha256:" + strings.Repeat("a", 64) + "'}}"},
		"an approval of one wave":     {spec: "{approved: {digest: a, wave: half}}"},
		"an approval of no version":   {"{approved: {wave: half}}", []string{"spec.approved.digest: Required value"}},
		"an approval of an empty one": {"{approved: {digest: ''}}", []string{"spec.approved.digest"}},
		"a retry of several versions": {"{retry: [a, b]}", []string{"spec.retry"}},
	}
}

// testUnserved shows of every planned field that is not built yet that
// nobody can set it and believe that it is obeyed: kubectl, which validates
// strictly, is told that there is no such field. A field that gets built leaves
// this list.
func testUnserved(t *testing.T, c *cluster.Cluster) {
	sync := func(fields string) string {
		return "{source: {url: https://git.example.com/agents.git, ref: {branch: main}}, " + fields + "}"
	}
	source := func(fields string) string {
		return "{source: {url: https://git.example.com/agents.git, ref: {branch: main}, " + fields + "}}"
	}
	policy := func(fields string) string { return "{waves: [{name: all, upTo: 100%}], " + fields + "}" }
	unknown := func(path, spec string) refusal {
		return refusal{spec, []string{fmt.Sprintf("unknown field %q", "spec."+path)}}
	}

	judge(t, "GitSync", c.Dynamic.Resource(resource("gitsyncs")).Namespace(metav1.NamespaceDefault), map[string]refusal{
		"provenFor": unknown("source.provenFor", source("provenFor: 24h")),
		"publish":   unknown("publish", sync("publish: {ref: refs/rollcall/proven/staging}")),
	})
	judge(t, "RolloutPolicy", c.Dynamic.Resource(resource("rolloutpolicies")), map[string]refusal{
		"gates":      unknown("gates", policy("gates: [{name: smoke, webhook: {url: https://example.com}}]")),
		"neighbours": unknown("health.neighbours", policy("health: {neighbours: true}")),
	})
}

// testNames shows how people may call the kinds, and where they live.
func testNames(t *testing.T, c *cluster.Cluster) {
	list, err := c.Client.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion().String())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			got[r.Kind] = fmt.Sprintf("%s %v %v namespaced=%t", r.Name, r.ShortNames, r.Categories, r.Namespaced)
		}
	}
	if d := cmp.Diff(map[string]string{
		"GitSync":       "gitsyncs [gsync] [rollcall] namespaced=true",
		"RolloutPolicy": "rolloutpolicies [rpol] [rollcall] namespaced=false",
		"NodeRollout":   "noderollouts [nroll] [rollcall] namespaced=true",
	}, got); d != "" {
		t.Errorf("kinds (-want +got):\n%s", d)
	}
}

// testColumns shows what kubectl get prints of each kind: what moves, how far,
// and why not further.
func testColumns(t *testing.T, c *cluster.Cluster) {
	client, err := kinds.NewClient(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	commit := strings.Repeat("a", 40)
	held := []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, Reason: "RolloutStopped", Message: "agent is Held", LastTransitionTime: metav1.Now()}}
	gs := &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Name: "fleet"}, Spec: v1alpha1.GitSyncSpec{
		Source: v1alpha1.GitSource{URL: "https://git.example.com/agents.git", Ref: v1alpha1.GitRef{Branch: "main"}, Interval: metav1.Duration{Duration: time.Minute}},
	}}
	gs, err = client.GitSyncs(metav1.NamespaceDefault).Create(t.Context(), gs, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gs.Status = v1alpha1.GitSyncStatus{Conditions: held, Fetched: &v1alpha1.Commit{Commit: commit, Time: metav1.Now()}, Applied: commit, Proven: "bbb"}
	if _, err := client.GitSyncs(metav1.NamespaceDefault).UpdateStatus(t.Context(), gs, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	n, err := client.NodeRollouts(metav1.NamespaceDefault).Create(t.Context(), &v1alpha1.NodeRollout{ObjectMeta: metav1.ObjectMeta{Name: "agent"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.Status = v1alpha1.NodeRolloutStatus{
		Phase: v1alpha1.PhaseHeld, Reason: "Paused", Message: "paused with 2 of 9", Since: metav1.NewTime(time.Now().Add(-time.Hour)),
		Wave: &v1alpha1.WaveStatus{Name: "early", Index: 2, Of: 4}, Nodes: v1alpha1.NodeCounts{Eligible: 9, Present: 8, Candidate: 2, Healthy: 1, Failed: 1},
	}
	if _, err := client.NodeRollouts(metav1.NamespaceDefault).UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RolloutPolicies().Create(t.Context(), &v1alpha1.RolloutPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: hurried()}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	for plural, want := range map[string][]string{
		"namespaces/default/gitsyncs": {"Name=fleet", "Ready=False", "Reason=RolloutStopped", "Git (wide)=" + commit, "Applied=" + commit, "Proven=bbb", "Message (wide)=agent is Held"},
		"namespaces/default/noderollouts": {
			"Name=agent", "Phase=Held", "Reason=Paused", "Wave=early", "Eligible=9", "Present=8", "Candidate=2", "Healthy=1", "Failed=1", "Since=60m", "Message (wide)=paused with 2 of 9",
		},
		"rolloutpolicies": {"Name=default", "First-Wave=canary", "Max-Unavailable=3", "On-Failure=return"},
	} {
		if d := cmp.Diff(want, columns(t, c, plural)); d != "" {
			t.Errorf("%s (-want +got):\n%s", plural, d)
		}
	}
}

// columns are those of the one object of a resource, as kubectl get asks for
// them, but for its age.
func columns(t *testing.T, c *cluster.Cluster, plural string) []string {
	t.Helper()
	raw, err := c.Client.Discovery().RESTClient().Get().AbsPath("/apis/"+v1alpha1.GroupVersion().String()+"/"+plural).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("%s has %d rows, want one", plural, len(table.Rows))
	}
	var out []string
	for i, column := range table.ColumnDefinitions {
		name := column.Name
		if column.Priority > 0 {
			name += " (wide)"
		}
		out = append(out, fmt.Sprintf("%s=%v", name, table.Rows[0].Cells[i]))
	}
	return slices.DeleteFunc(out, func(c string) bool { return strings.HasPrefix(c, "Age=") })
}
