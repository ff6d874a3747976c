package apply

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// pod is a template with one container of the image.
func pod(image string, change ...func(*corev1.PodTemplateSpec)) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: image}}}}
	for _, c := range change {
		c(&t)
	}
	return t
}

// newDefault is what a newer API server adds to a template.
func newDefault(t *corev1.PodTemplateSpec) { t.Spec.EnableServiceLinks = ptr.To(true) }

func drain(seconds int64) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) { t.Spec.TerminationGracePeriodSeconds = &seconds }
}

func TestBookNamesVersions(t *testing.T) {
	t.Parallel()
	rec := recorded{Templates: templates{"v1": pod("a"), "v2": pod("b")}, Spellings: []spelling{{"v1", pod("a", drain(1))}}}
	want := &declared{Digest: "v3", Template: pod("a")}
	b := newBook(rec, want, spelling{Digest: "v2", Template: pod("b", newDefault)})
	for sentence, c := range map[string]struct {
		template corev1.PodTemplateSpec
		first    string
		digest   string
	}{
		"a template is known with rollcall's gate":              {*withGate(ptr.To(pod("b", newDefault))), "", "v2"},
		"what the API server made of it is the same version":    {pod("b", newDefault), "", "v2"},
		"and so is what it was before":                          {pod("b"), "", "v2"},
		"a form that is recorded is the same version":           {pod("a", drain(1)), "", "v1"},
		"of two versions with one template one is always named": {pod("a"), "", "v1"},
		"and that is the one that is asked for":                 {pod("a"), "v3", "v3"},
		"the one that is asked for has to be among them":        {pod("b"), "v3", "v2"},
		"another template is none":                              {pod("c"), "", ""},
	} {
		if got := b.digestOf(&c.template, c.first); got != c.digest {
			t.Errorf("%s: %q, want %q", sentence, got, c.digest)
		}
	}
}

func TestBookKeepsTheNewestForms(t *testing.T) {
	t.Parallel()
	b := newBook(recorded{Templates: templates{"v1": pod("a"), "v2": pod("b")}}, nil, spelling{})
	for seconds := range int64(5) {
		b.learn("v1", pod("a", drain(seconds)))
	}
	b.learn("v2", pod("b", newDefault))
	b.learn("gone", pod("c"))

	var grace []int64
	for _, s := range b.kept(templates{"v1": b.templates["v1"]}) {
		grace = append(grace, ptr.Deref(s.Template.Spec.TerminationGracePeriodSeconds, -1))
	}
	if diff := cmp.Diff([]int64{3, 2, 1}, grace); diff != "" {
		t.Errorf("forms of v1 (-want +kept):\n%s", diff)
	}
	if _, known := b.templates["gone"]; known {
		t.Error("a version that nobody needs was learned")
	}
}

// A commit that spells out what the API server adds anyway is proven as the old
// one is, whatever forms that has.
func TestTheSameTemplateIsTheSameVersion(t *testing.T) {
	t.Parallel()
	rec := recorded{Templates: templates{"old": pod("a", newDefault)}, Spellings: []spelling{{"old", pod("a")}}}
	v := &view{want: &declared{Digest: "new", Commit: "c2", Template: pod("a")}, rollout: &v1alpha1.NodeRollout{}}
	v.book = newBook(rec, v.want, spelling{})
	s := rollout.State{Proven: &rollout.Version{Digest: "old", Commit: "c1"}}

	v.takeWantForProven(&s)

	if *s.Proven != (rollout.Version{Digest: "new", Commit: "c2"}) {
		t.Errorf("proven is %+v, want the declared version", *s.Proven)
	}
	for sentence, template := range map[string]corev1.PodTemplateSpec{"as the API server has it": pod("a", newDefault), "as it was": pod("a")} {
		if got := v.digestOf(&template); got != "new" {
			t.Errorf("the template %s is %q, want new", sentence, got)
		}
	}
	v.want = &declared{Digest: "other", Template: pod("b")}
	v.book = newBook(rec, v.want, spelling{})
	s.Proven.Digest = "old"
	if v.takeWantForProven(&s); s.Proven.Digest != "old" {
		t.Errorf("proven is %+v though another template is declared", *s.Proven)
	}
}

func TestAPulseWaitsForThePodsOfBothVersions(t *testing.T) {
	t.Parallel()
	for _, all := range []templates{{"old": pod("a", drain(600)), "new": pod("b", drain(30))}, {"old": pod("a", drain(30)), "new": pod("b", drain(600))}} {
		if got := all.grace(); got != 10*time.Minute {
			t.Errorf("grace %s, want the longer one", got)
		}
	}
}

func TestRevisionsOfOneVersion(t *testing.T) {
	t.Parallel()
	live := pod("a", newDefault)
	b := newBook(recorded{Templates: templates{"v1": pod("a")}}, nil, spelling{Digest: "v1", Template: live})
	all := []*appsv1.ControllerRevision{
		revisionOf("x-1", 1, ptr.To(pod("a"))), revisionOf("x-2", 2, withGate(ptr.To(pod("a")))), revisionOf("x-3", 3, &live), revisionOf("x-4", 4, ptr.To(pod("c"))),
	}

	got, err := newRevisions(all, &live, func(t *corev1.PodTemplateSpec) string { return b.digestOf(t, "") })

	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"hash-x-1": "v1", "hash-x-2": "v1", "hash-x-3": "v1", "hash-x-4": "", "1": "v1", "2": "v1", "3": "v1", "4": ""}
	if diff := cmp.Diff(want, got.digests); diff != "" {
		t.Errorf("versions of revisions (-want +got):\n%s", diff)
	}
	if got.live != "hash-x-3" || !slices.Contains([]string{"x-1", "x-3"}, got.names["v1"]) {
		t.Errorf("live %q, names %v", got.live, got.names)
	}
}

// A pod keeps the label that it was made with when its revision gets another one.
func TestARevisionIsKnownByItsFormerLabel(t *testing.T) {
	t.Parallel()
	ds := revisionOf("agent-of-a-node-5d8f", 1, ptr.To(pod("a")))
	ds.Labels["controller-revision-hash"] = "77c9"
	live := pod("a")

	got, err := newRevisions([]*appsv1.ControllerRevision{ds}, &live, func(*corev1.PodTemplateSpec) string { return "v1" })

	if err != nil || got.live != "77c9" || got.liveName != ds.Name {
		t.Fatalf("live %q of %q, %v", got.live, got.liveName, err)
	}
	if d := cmp.Diff(map[string]string{"77c9": "v1", "5d8f": "v1"}, got.digests); d != "" {
		t.Errorf("versions of pods (-want +got):\n%s", d)
	}
}

func TestProvenTemplateIsRecovered(t *testing.T) {
	t.Parallel()
	owned := []*appsv1.ControllerRevision{revisionOf("x-1", 1, ptr.To(pod("a"))), revisionOf("x-2", 2, withGate(ptr.To(pod("b"))))}
	for sentence, c := range map[string]struct {
		recorded templates
		proven   *v1alpha1.Version
		want     templates
	}{
		"nothing is proven":                   {templates{}, nil, templates{}},
		"what is recorded holds":              {templates{"v1": pod("c")}, &v1alpha1.Version{Digest: "v1", Revision: "x-1"}, templates{"v1": pod("c")}},
		"it is the revision of that name":     {templates{"v2": pod("c")}, &v1alpha1.Version{Digest: "v1", Revision: "x-1"}, templates{"v1": pod("a"), "v2": pod("c")}},
		"it is written back without the gate": {templates{}, &v1alpha1.Version{Digest: "v2", Revision: "x-2"}, templates{"v2": pod("b")}},
		"no other revision will do":           {templates{}, &v1alpha1.Version{Digest: "v1", Revision: "x-3"}, templates{}},
		"and none without a name":             {templates{}, &v1alpha1.Version{Digest: "v1"}, templates{}},
	} {
		if err := c.recorded.recoverProven(c.proven, owned); err != nil {
			t.Errorf("%s: %v", sentence, err)
		}
		if diff := cmp.Diff(c.want, c.recorded); diff != "" {
			t.Errorf("%s (-want +got):\n%s", sentence, diff)
		}
	}
}

func revisionOf(name string, number int64, t *corev1.PodTemplateSpec) *appsv1.ControllerRevision {
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"template": t}})
	if err != nil {
		panic(err)
	}
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: "hash-" + name}},
		Revision:   number, Data: runtime.RawExtension{Raw: raw},
	}
}

// A pod at the gate whose revision the watch does not show yet is not taken for a stray: the revisions are read live.
func TestRevisionsThatTheWatchLacks(t *testing.T) {
	t.Parallel()
	owned := []*appsv1.ControllerRevision{
		{ObjectMeta: metav1.ObjectMeta{Name: "agent-a", Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: "a"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "agent-made", Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: "named"}}},
	}
	for sentence, c := range map[string]struct {
		waiting []string
		want    bool
	}{
		"no pod waits":                         {nil, false},
		"one of a revision that is shown":      {[]string{"a"}, false},
		"one of a revision that was relabeled": {[]string{"made", "named"}, false},
		"one of a revision that is not shown":  {[]string{"a", "b"}, true},
	} {
		if got := lack(owned, c.waiting); got != c.want {
			t.Errorf("%s: %t, want %t", sentence, got, c.want)
		}
	}
}
