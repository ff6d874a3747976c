package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestDecide(t *testing.T) {
	of := func(change func(*v1alpha1.NodeRolloutStatus)) *v1alpha1.NodeRollout {
		n := &v1alpha1.NodeRollout{Status: v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Proven: &v1alpha1.Version{Digest: oldDigest}}}
		change(&n.Status)
		return n
	}
	tests := map[string]struct {
		seen found
		want verdict
	}{
		"neither DaemonSet nor NodeRollout":         {found{}, willInstall},
		"a DaemonSet that runs as declared":         {found{live: &appsv1.DaemonSet{}, same: true}, willAdopt},
		"a DaemonSet that runs something else":      {found{live: &appsv1.DaemonSet{}}, willRoll},
		"the proven version is another one":         {found{rollout: of(func(*v1alpha1.NodeRolloutStatus) {})}, willRoll},
		"the declared version is proven":            {found{rollout: of(func(s *v1alpha1.NodeRolloutStatus) { s.Proven.Digest = newDigest })}, willStay},
		"the declared version is the candidate":     {found{rollout: of(func(s *v1alpha1.NodeRolloutStatus) { s.Candidate = &v1alpha1.Version{Digest: newDigest} })}, isUnderWay},
		"another candidate is superseded":           {found{rollout: of(func(s *v1alpha1.NodeRolloutStatus) { s.Candidate = &v1alpha1.Version{Digest: "sha256:3"} })}, willRoll},
		"the declared version failed before":        {found{rollout: of(func(s *v1alpha1.NodeRolloutStatus) { s.Rejected = []v1alpha1.Rejection{{Digest: newDigest}} })}, isRejected},
		"a NodeRollout that nobody has looked at":   {found{rollout: &v1alpha1.NodeRollout{}}, willInstall},
		"a first install that is not proven so far": {found{rollout: of(func(s *v1alpha1.NodeRolloutStatus) { s.Proven, s.Candidate = nil, &v1alpha1.Version{Digest: newDigest} })}, isUnderWay},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := forecast{Digest: newDigest}
			f.decide(&test.seen)
			if f.Verdict != test.want {
				t.Errorf("got %s, want %s", f.Verdict, test.want)
			}
		})
	}
}

// However the waves are cut, they take every node once.
func TestWavesTakeEveryNodeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(0, 600).Draw(t, "nodes")
		waves := []rollout.Wave{}
		for range rapid.IntRange(0, 4).Draw(t, "waves") {
			upTo := intstr.FromString(fmt.Sprintf("%d%%", rapid.IntRange(1, 100).Draw(t, "percent")))
			if rapid.Bool().Draw(t, "count") {
				upTo = intstr.FromInt(rapid.IntRange(1, 700).Draw(t, "upTo"))
			}
			waves = append(waves, rollout.Wave{UpTo: upTo, EachGroup: rapid.Bool().Draw(t, "eachGroup"),
				Select: rapid.SampledFrom([]string{"", "zone=a", "zone in (b,c)", "zone=x"}).Draw(t, "select")})
		}
		waves = append(waves, rollout.Wave{UpTo: intstr.FromString("100%")})
		sum := 0
		for _, w := range wavesOf(waves, bareFleet(nodes), newDigest) {
			if w.Nodes < 0 {
				t.Fatalf("a wave takes %d nodes", w.Nodes)
			}
			if sum += w.Nodes; sum != w.UpTo {
				t.Fatalf("%d nodes are up to %d", sum, w.UpTo)
			}
		}
		if sum != nodes {
			t.Fatalf("the waves take %d of %d nodes", sum, nodes)
		}
	})
}

// bareFleet are nodes in three zones, the first of which has half of them.
func bareFleet(count int) []health.Node {
	var out []health.Node
	for i := range count {
		zone := []string{"a", "b", "a", "c"}[i%4]
		out = append(out, health.Node{Name: fmt.Sprint(i), UID: types.UID(fmt.Sprint(i)), Eligible: true, Groups: []string{zone}, Labels: map[string]string{"zone": zone}})
	}
	return out
}

func TestWavesAreForetoldAsTheyAre(t *testing.T) {
	all := intstr.FromString("100%")
	type counts struct {
		Nodes, Each int
		Empty       bool
	}
	for sentence, c := range map[string]struct {
		waves []rollout.Wave
		want  []counts
	}{
		"one of each group, and the rest": {[]rollout.Wave{{UpTo: intstr.FromInt32(1), EachGroup: true}, {UpTo: all}}, []counts{{3, 3, false}, {17, 0, false}}},
		"a percentage of each group":      {[]rollout.Wave{{UpTo: intstr.FromString("30%"), EachGroup: true}, {UpTo: all}}, []counts{{5, 3, false}, {15, 0, false}}},
		"all of what is selected":         {[]rollout.Wave{{UpTo: all, Select: "zone=a"}, {UpTo: all}}, []counts{{10, 0, false}, {10, 0, false}}},
		"upTo counts what others have":    {[]rollout.Wave{{UpTo: intstr.FromInt32(4), Select: "zone=a"}, {UpTo: intstr.FromString("50%")}, {UpTo: all}}, []counts{{4, 0, false}, {6, 0, false}, {10, 0, false}}},
		"fewer are selected than asked":   {[]rollout.Wave{{UpTo: intstr.FromInt32(8), Select: "zone=b"}, {UpTo: intstr.FromInt32(8)}, {UpTo: all}}, []counts{{5, 0, false}, {3, 0, false}, {12, 0, false}}},
		"nothing is selected":             {[]rollout.Wave{{UpTo: intstr.FromInt32(1), Select: "zone=x"}, {UpTo: all}}, []counts{{0, 0, true}, {20, 0, false}}},
		"nothing is, and that is allowed": {[]rollout.Wave{{UpTo: intstr.FromInt32(1), Select: "zone=x", AllowEmpty: true}, {UpTo: all}}, []counts{{0, 0, false}, {20, 0, false}}},
		"the wave before has them all":    {[]rollout.Wave{{UpTo: intstr.FromInt32(2)}, {UpTo: intstr.FromString("10%")}, {UpTo: all}}, []counts{{2, 0, false}, {0, 0, false}, {18, 0, false}}},
	} {
		t.Run(sentence, func(t *testing.T) {
			var got []counts
			for _, w := range wavesOf(c.waves, bareFleet(20), newDigest) {
				got = append(got, counts{w.Nodes, w.EachGroup, w.Empty})
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestEachGroupSoaksByItself(t *testing.T) {
	f := forecast{Waves: wavesOf([]rollout.Wave{
		{Name: "canary", UpTo: intstr.FromInt32(1), EachGroup: true, Soak: time.Minute}, {Name: "rest", UpTo: intstr.FromString("100%"), Soak: time.Hour, OneGroupAtATime: true},
	}, bareFleet(20), newDigest)}
	if got := f.soaking(); got != 3*time.Hour+time.Minute {
		t.Errorf("soaks for %s, want 3h1m", got)
	}
	if got := f.Waves[1].notes(); got != "3 groups one after the other" {
		t.Errorf("notes are %q", got)
	}
}

// changed is a change with what it was calculated from, so that it has a diff.
func changed(t *testing.T, source string, before, after string) diff.Change {
	t.Helper()
	in, object := diff.Input{}, diff.Object{Source: source}
	for text, o := range map[string]**unstructured.Unstructured{before: &object.Live, after: &object.Merged} {
		if text == "" {
			continue
		}
		*o = &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &(*o).Object); err != nil {
			t.Fatal(err)
		}
	}
	object.Declared = object.Merged
	in.Objects = []diff.Object{object}
	return diff.Calculate(in).Changes[0]
}

const agentTemplate = `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: kube-system, name: log-agent}, spec: {minReadySeconds: 5, template: {spec: {
	containers: [{name: agent, image: "log:IMAGE", args: [--verbose], volumeMounts: [{name: config, mountPath: /etc/log}]}], volumes: [{name: config, configMap: {name: log-config-HASH}}]}}}}`

const logConfig = `{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: log-config}, data: {level: LEVEL, pipeline: "input: /var/log\noutput: LEVEL.example.com\nbatch: 100\n"}}`

func plannedRollout(t *testing.T) *planned {
	t.Helper()
	roll := forecast{Namespace: "kube-system", Name: "log-agent", Source: "agents/log.yaml", Verdict: willRoll, Digest: newDigest, Proven: oldDigest,
		Policy: apply.BuiltInPolicyName, Nodes: 50, MaxUnavailable: 1, After: []string{"kube-system/cilium"}, Won: []string{"node-8"}, Waves: wavesOf([]rollout.Wave{
			{Name: "canary", UpTo: intstr.FromInt32(1), Soak: 2 * time.Minute}, {Name: "early", UpTo: intstr.FromString("10%"), Soak: time.Minute},
			{Name: "half", UpTo: intstr.FromString("50%"), Soak: 30 * time.Second, Approval: true}, {Name: "rest", UpTo: intstr.FromString("100%")},
		}, bareFleet(50), newDigest), pins: []render.Reference{{Kind: "ConfigMap", Namespace: "kube-system", Name: "log-config-2222bbbb22"}}}
	roll.change = changed(t, "agents/log.yaml", strings.NewReplacer("IMAGE", "1", "HASH", "1111aaaa11").Replace(agentTemplate), strings.NewReplacer("IMAGE", "2", "HASH", "2222bbbb22").Replace(agentTemplate))
	roll.Fields = roll.change.Fields
	roll.AtLeast.Duration = roll.atLeast(10 * time.Second)
	pin := strings.NewReplacer("name: log-config", "name: log-config-2222bbbb22", "LEVEL", "debug", "}, data:", ", labels: {rollcall.dev/pinned-from: log-config}}, immutable: true, data:").Replace(logConfig)
	out := &planned{
		gitsync: "platform/agents",
		objects: diff.Plan{Changes: []diff.Change{
			changed(t, "agents/log.yaml", strings.ReplaceAll(logConfig, "LEVEL", "info"), strings.ReplaceAll(logConfig, "LEVEL", "debug")),
			changed(t, "agents/log.yaml", "", pin),
			{ID: diff.ID{Namespace: "kube-system", Name: "log-config-1111aaaa11", Kind: "ConfigMap"}, Operation: diff.Keep, Reason: diff.ReasonInUse, Message: "a pod or the way back reads it, whichever GitSync declares that: it goes when nothing does"},
			changed(t, "agents/token.yaml", `{apiVersion: v1, kind: Secret, metadata: {namespace: kube-system, name: token}, data: {token: b2xk}}`, `{apiVersion: v1, kind: Secret, metadata: {namespace: kube-system, name: token}, data: {token: bmV3, user: bWU=}}`),
			{ID: diff.ID{Namespace: "kube-system", Name: "old-config", Kind: "ConfigMap"}, Operation: diff.Delete, Reason: diff.ReasonNotDeclared},
		}},
		rollouts: []forecast{
			roll,
			{Namespace: "kube-system", Name: "gpu-agent", Source: "agents/gpu.yaml", Verdict: wouldBeHeld, Digest: newDigest, Proven: oldDigest, Nodes: 4,
				Message: "PlacementChange: the new placement loses 2 nodes and wins 0, which Kubernetes does on all of them at once"},
			{Namespace: "kube-system", Name: "new-agent", Source: "agents/new.yaml", Verdict: willInstall, Digest: newDigest, Nodes: 50},
			{Namespace: "kube-system", Name: "new-cni", Source: "agents/cni.yaml", Verdict: willInstall, Digest: newDigest, Nodes: 50, Policy: "cautious", AtLeast: metav1.Duration{Duration: 80 * time.Second},
				Waves: []waveForecast{{Name: "canary", Nodes: 1, UpTo: 1, Names: []string{"node-17"}, Soak: metav1.Duration{Duration: time.Minute}}, {Name: "rest", Nodes: 49, UpTo: 50}}},
			{Namespace: "kube-system", Name: "cilium", Source: "agents/cilium.yaml", Verdict: willStay, Digest: oldDigest, Proven: oldDigest, Nodes: 50},
			{Namespace: "kube-system", Name: "csi-node", Source: "agents/csi.yaml", Verdict: isRejected, Digest: newDigest, Proven: oldDigest, Nodes: 50, Message: "it failed before, Restarted: 1 of 1 touched nodes failed; it is not tried again unless asked: rollcall retry"},
		},
	}
	for i := range out.rollouts {
		out.rollouts[i].Causes = causes(&out.rollouts[i], out.objects)
	}
	return out
}

func TestPlanned(t *testing.T) {
	tests := map[string]struct {
		planned         *planned
		changes, blocks bool
	}{
		"rollout": {plannedRollout(t), true, false},
		"against": {plannedAgainst(t), true, false},
		"hostile": {plannedHostile(), true, true},
		"under-way": {&planned{
			objects:  diff.Plan{Changes: []diff.Change{{ID: diff.ID{Namespace: "kube-system", Name: "log-config-1", Kind: "ConfigMap"}, Operation: diff.Keep, Reason: diff.ReasonInUse, Message: "a pod or the way back reads it: it goes when nothing does"}}},
			rollouts: []forecast{{Namespace: "kube-system", Name: "log-agent", Source: "agents/log.yaml", Verdict: isUnderWay, Digest: newDigest, Proven: oldDigest, Nodes: 3, Message: "Soaking: wave canary: 1 of 3 nodes healthy"}},
		}, false, false},
		"refused": {&planned{rollouts: []forecast{{Namespace: "kube-system", Name: "log-agent", Source: "agents/log.yaml", Verdict: cannotBeMade, Digest: newDigest,
			Message: "Invalid: dry-run: spec.template.spec.terminationGracePeriodSeconds: Invalid value: -7: must be greater than or equal to 0"}}}, false, true},
		"removed": {&planned{gitsync: "platform/agents", objects: diff.Plan{Changes: []diff.Change{
			{ID: diff.ID{Namespace: "kube-system", Name: "log-agent", Group: "apps", Kind: "DaemonSet"}, Operation: diff.Delete, Reason: diff.ReasonNotDeclared},
		}}}, true, false},
		"nothing": {&planned{rollouts: []forecast{{Namespace: "kube-system", Name: "cilium", Source: "cilium.yaml", Verdict: willStay, Nodes: 3}}}, false, false},
		"warnings": {&planned{
			rollouts: []forecast{{Namespace: "kube-system", Name: "cilium", Source: "cilium.yaml", Verdict: willStay, Nodes: 3}},
			findings: []render.Finding{
				{Concern: render.NoReadinessProbe, File: "cilium.yaml", Object: "DaemonSet kube-system/cilium", Message: "no container has a readinessProbe: add one"},
				{Concern: render.FloatingImage, File: "a|b`<@all>.yaml", Object: "DaemonSet kube-system/x\x1b[31m", Message: "the tag moves @all <b> | `x`"},
			},
		}, false, false},
		"blocked": {&planned{objects: diff.Plan{Changes: []diff.Change{
			{ID: diff.ID{Namespace: "kube-system", Name: "log-config", Kind: "ConfigMap"}, Source: "agents/log.yaml", Declared: true, Operation: diff.Conflict, Reason: diff.ReasonConflict, Message: "ops has data.level"},
		}}}, false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.planned.changes() != test.changes || test.planned.blocked() != test.blocks {
				t.Errorf("changes %t, blocked %t", test.planned.changes(), test.planned.blocked())
			}
			text := test.planned.render(style{width: 80})
			golden(t, "plan-"+name+".txt", text)
			golden(t, "plan-"+name+".md", test.planned.markdown())
			var document bytes.Buffer
			if err := (&outputFlag{format: "json"}).print(&document, test.planned.forPrograms(), nil); err != nil {
				t.Fatal(err)
			}
			golden(t, "plan-"+name+".json", document.String())
			if diff := cmp.Diff(text, withoutSGR(test.planned.render(style{width: 80, colour: true}))); diff != "" {
				t.Errorf("colours change the text (-plain +coloured):\n%s", diff)
			}
		})
	}
}

// plannedAgainst is one commit against another.
func plannedAgainst(t *testing.T) *planned {
	t.Helper()
	build := func(image, level, more string) *render.Declared {
		files := fstest.MapFS{"ds.yaml": {Data: []byte(strings.NewReplacer("IMAGE", image, "log-config-HASH", "log-config", "spec: {minReadySeconds: 5, template: {", "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, ").Replace(agentTemplate))},
			"config.yaml": {Data: []byte(strings.ReplaceAll(logConfig, "LEVEL", level))}, "more.yaml": {Data: []byte(more)}}
		declared, err := tree{name: "a", files: files, path: "."}.build("")
		if err != nil {
			t.Fatal(err)
		}
		return declared
	}
	const gone = "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: gone}}"
	out := betweenTrees(build("1", "info", gone), build("1", "debug", strings.Replace(gone, "gone", "new", 1)))
	out.from, out.to = "0123abcd", "4567ef01"
	return out
}

// plannedHostile holds what would break out of a comment or a terminal.
func plannedHostile() *planned {
	evil := "`a` <img src=x> @everyone | [x](http://example.com) \x1b[2J\n## ```"
	return &planned{objects: diff.Plan{Changes: []diff.Change{
		{ID: diff.ID{Namespace: "kube-system", Name: "a", Kind: "ConfigMap"}, Source: evil, Declared: true, Operation: diff.Refused, Reason: "Invalid", Message: evil},
		{ID: diff.ID{Namespace: "kube-system", Name: "b", Kind: "ConfigMap"}, Source: evil, Declared: true, Operation: diff.Update, Reason: diff.ReasonDiffers,
			Fields: []diff.FieldChange{{Path: "data.a", From: `"1"`, To: evil}}, Before: map[string]any{"data": map[string]any{"a": "1"}}, After: map[string]any{"data": map[string]any{"a": evil}}},
	}}, rollouts: []forecast{{Namespace: "kube-system", Name: "log-agent", Source: evil, Verdict: wouldBeHeld, Digest: newDigest, Message: "Invalid: " + evil}}}
}

// A comment is never longer than one may be, and says what it leaves out.
func TestMarkdownIsCut(t *testing.T) {
	for sentence, grow := range map[string]func(*planned){
		"many objects": func(p *planned) {
			for i := range 3000 {
				p.objects.Changes = append(p.objects.Changes, changed(t, "a.yaml", "", fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {namespace: a, name: c-%d}, data: {a: b}}", i)))
			}
		},
		"one large object": func(p *planned) {
			p.objects.Changes = append(p.objects.Changes, changed(t, "a.yaml", "", "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: a, name: c}, data: {a: \""+strings.Repeat("line of text\\n", 20_000)+"\"}}"))
		},
		"many DaemonSets": func(p *planned) {
			for i := range 400 {
				f := p.rollouts[0]
				f.Name = fmt.Sprintf("agent-%d", i)
				p.rollouts = append(p.rollouts, f)
			}
		},
		"many that are held": func(p *planned) {
			for i := range 2000 {
				p.objects.Changes = append(p.objects.Changes, diff.Change{ID: diff.ID{Namespace: "a", Name: fmt.Sprintf("c-%d", i), Kind: "ConfigMap"}, Operation: diff.Keep, Reason: diff.ReasonInUse, Message: "a pod or the way back reads it"})
			}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := plannedRollout(t)
			grow(p)
			got := p.markdown()
			if len(got) > 65_536 || !strings.Contains(got, "✂ **Cut here:**") {
				t.Errorf("%d bytes, and it ends with %q", len(got), got[max(0, len(got)-300):])
			}
			if strings.Count(got, "<details>") != strings.Count(got, "</details>") || strings.Count(got, "```")%2 != 0 {
				t.Error("something is left open")
			}
		})
	}
}

func TestWithoutOwner(t *testing.T) {
	label := diff.FieldChange{Path: `metadata.labels["rollcall.dev/gitsync"]`, To: `"default.plan"`}
	other := diff.FieldChange{Path: "data.level", To: `"info"`}
	in := diff.Plan{Changes: []diff.Change{
		{Operation: diff.Update, Reason: diff.ReasonDiffers, Fields: []diff.FieldChange{label}},
		{Operation: diff.Update, Reason: diff.ReasonDiffers, Fields: []diff.FieldChange{other, label}},
		{Operation: diff.Create, Reason: diff.ReasonAbsent, Fields: []diff.FieldChange{label}},
	}}
	want := diff.Plan{Changes: []diff.Change{
		{Operation: diff.Unchanged, Reason: diff.ReasonEqual, Fields: []diff.FieldChange{}},
		{Operation: diff.Update, Reason: diff.ReasonDiffers, Fields: []diff.FieldChange{other}},
		{Operation: diff.Create, Reason: diff.ReasonAbsent, Fields: []diff.FieldChange{}},
	}}
	if diff := cmp.Diff(want, withoutOwner(in)); diff != "" {
		t.Error(diff)
	}
	if len(in.Changes[0].Fields) != 1 {
		t.Error("the plan was changed in place")
	}
}

func TestChangesConfig(t *testing.T) {
	ds := render.DaemonSet{Config: []render.Reference{{Kind: "ConfigMap", Namespace: "a", Name: "config"}}}
	change := func(name, path string) diff.Plan {
		return diff.Plan{Changes: []diff.Change{{ID: diff.ID{Namespace: "a", Name: name, Kind: "ConfigMap"}, Operation: diff.Update, Fields: []diff.FieldChange{{Path: path}}}}}
	}
	tests := map[string]struct {
		plan diff.Plan
		want bool
	}{
		"content that it reads": {change("config", "data.level"), true},
		"a label":               {change("config", "metadata.labels.a"), false},
		"what others read":      {change("other", "data.level"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := changesConfig(test.plan, ds); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestWorkingTree(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "clusters", "prod")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := workingTree(deep); got != deep {
		t.Errorf("outside a working tree: %s", got)
	}
	if err := os.Mkdir(filepath.Join(root, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := workingTree(deep); got != root {
		t.Errorf("inside one: %s, want %s", got, root)
	}
}

func TestBrief(t *testing.T) {
	for want, d := range map[string]time.Duration{"0s": 0, "45s": 45 * time.Second, "2m": 2 * time.Minute, "2m30s": 150 * time.Second, "1h": time.Hour, "1h5m": 65 * time.Minute, "168h": 168 * time.Hour} {
		if got := brief(d); got != want {
			t.Errorf("%v is %s, want %s", metav1.Duration{Duration: d}, got, want)
		}
	}
}
