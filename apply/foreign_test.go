package apply

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// What a GitSync has claimed is its, whichever of the two objects says so.
func TestWhoseADaemonSetIs(t *testing.T) {
	t.Parallel()
	owned, free := metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelOwner: "a.b"}}, metav1.ObjectMeta{}
	for sentence, c := range map[string]struct {
		rollout, live metav1.ObjectMeta
		want          bool
	}{
		"nobody's is another tool's":                   {free, free, true},
		"a claimed one is the GitSync's":               {free, owned, false},
		"one that is to be made is the GitSync's":      {owned, free, false},
		"one with both labels is the GitSync's anyway": {owned, owned, false},
	} {
		if got := foreign(&v1alpha1.NodeRollout{ObjectMeta: c.rollout}, &appsv1.DaemonSet{ObjectMeta: c.live}); got != c.want {
			t.Errorf("%s: %t", sentence, got)
		}
	}
}

// The policy of a DaemonSet that another tool applies has to say what happens to
// new pods; the built-in one is nobody's word.
func TestNewPodsOfAnotherTool(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		foreign bool
		policy  chosen
		held    bool
	}{
		"candidate can be kept":     {true, chosen{"p", v1alpha1.RolloutPolicySpec{NewPods: v1alpha1.NewPodsCandidate}}, false},
		"proven cannot":             {true, chosen{"p", v1alpha1.RolloutPolicySpec{NewPods: v1alpha1.NewPodsProven}}, true},
		"the built-in one may stay": {true, chosen{BuiltInPolicyName, BuiltInPolicy()}, false},
		"a GitSync's can be proven": {false, chosen{"p", v1alpha1.RolloutPolicySpec{NewPods: v1alpha1.NewPodsProven}}, false},
	} {
		b := (&view{foreign: c.foreign, policy: c.policy}).newPodsBlock()
		if (b != nil) != c.held || b != nil && !strings.Contains(b.Message, "spec.policy") {
			t.Errorf("%s: %+v", sentence, b)
		}
	}
}

// A template has one digest, whoever reads it, and another template another one.
func TestWrittenDigest(t *testing.T) {
	t.Parallel()
	template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:v1"}}, SchedulingGates: []corev1.PodSchedulingGate{}}}
	raw, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	var read, other corev1.PodTemplateSpec
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	template.DeepCopyInto(&other)
	other.Spec.Containers[0].Image = "agent:v2"
	digest := func(t2 *corev1.PodTemplateSpec) string {
		d, err := writtenDigest(t2)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if digest(template) != digest(&read) || digest(template) == digest(&other) || len(digest(template)) > 100 {
		t.Errorf("%s, read again %s, another one %s", digest(template), digest(&read), digest(&other))
	}
}

// Whoever wrote a field last is named; rollcall and Kubernetes itself are not.
func TestLastWriter(t *testing.T) {
	t.Parallel()
	entry := func(manager, subresource string, second int64, fields string) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(time.Unix(second, 0))
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, Time: &at, FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}
	}
	strategy, template := `{"f:spec":{"f:updateStrategy":{"f:type":{}}}}`, `{"f:spec":{"f:template":{"f:spec":{"f:hostNetwork":{}}}}}`
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		entry("helm", "", 1, strategy), entry("kubectl-edit", "", 2, strategy), entry("kubectl-set", "", 3, template),
		entry(v1alpha1.FieldManager, "", 4, strategy), entry("kube-controller-manager", "status", 5, strategy), entry("garbled", "", 6, "{"),
	}}}
	if got := lastWriter(ds, fieldStrategy); got != "kubectl-edit" {
		t.Errorf("%s wrote the strategy", got)
	}
	if got := lastWriter(ds, fieldTemplate); got != "kubectl-set" {
		t.Errorf("%s wrote the template", got)
	}
	if got := lastWriter(&appsv1.DaemonSet{}, fieldTemplate); got != "somebody" {
		t.Errorf("%s wrote what nobody is known to have written", got)
	}
}

// A template of nobody is meddling, and so is a candidate without its gate; what
// rollcall writes over in the course of a rollout is not.
func TestMeddled(t *testing.T) {
	t.Parallel()
	v1, v2 := &rollout.Version{Digest: "v1"}, &rollout.Version{Digest: "v2"}
	moving := rollout.State{Proven: v1, Candidate: v2}
	back := rollout.Step{Action: rollout.WriteTemplate, Digest: "v1"}
	for sentence, c := range map[string]struct {
		state  rollout.State
		live   rollout.Live
		policy rollout.Policy
		step   rollout.Step
		want   bool
	}{
		"a template of nobody":                      {rollout.State{Proven: v1}, rollout.Live{}, rollout.Policy{}, back, true},
		"a candidate without its gate":              {moving, rollout.Live{Digest: "v2"}, rollout.Policy{}, back, true},
		"the end of a pulse":                        {moving, rollout.Live{Digest: "v2", Gated: true}, rollout.Policy{}, back, false},
		"the beginning of a pulse":                  {moving, rollout.Live{Digest: "v1"}, rollout.Policy{}, rollout.Step{Action: rollout.WriteTemplate, Digest: "v2", Gated: true}, false},
		"a rejected candidate that was in the spec": {moving, rollout.Live{Digest: "v2"}, rollout.Policy{NewPodsCandidate: true}, back, false},
		"a proof": {moving, rollout.Live{Digest: "v1"}, rollout.Policy{}, rollout.Step{Action: rollout.WriteTemplate, Digest: "v2"}, false},
	} {
		v := &view{input: rollout.Input{State: c.state, Live: c.live, Policy: c.policy}}
		if got := v.meddled(c.step); got != c.want {
			t.Errorf("%s: %t", sentence, got)
		}
	}
}
