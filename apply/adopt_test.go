package apply

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/health"
)

func TestMostRun(t *testing.T) {
	t.Parallel()
	pods := func(count int, p health.Agent) []health.Agent { return slices.Repeat([]health.Agent{p}, count) }
	ready := func(hash string) health.Agent { return health.Agent{Revision: "hash-" + hash, Ready: true} }
	owned := []*appsv1.ControllerRevision{revisionOf("old", 1, ptr.To(pod("v1"))), revisionOf("new", 2, ptr.To(pod("v2")))}
	for name, c := range map[string]struct {
		owned []*appsv1.ControllerRevision
		pods  []health.Agent
		want  string
	}{
		"all run the live one":                   {owned, pods(3, ready("new")), "v2"},
		"there is no pod":                        {owned, nil, "v2"},
		"no pod is of a known revision":          {owned, pods(3, ready("strange")), "v2"},
		"no revision is known":                   {nil, pods(3, ready("old")), "v2"},
		"none runs the live one yet":             {owned, pods(3, ready("old")), "v1"},
		"most run the old one":                   {owned, slices.Concat(pods(2, ready("old")), pods(1, ready("new"))), "v1"},
		"most run the live one":                  {owned, slices.Concat(pods(1, ready("old")), pods(2, ready("new"))), "v2"},
		"as many run the one as the other":       {owned, slices.Concat(pods(2, ready("old")), pods(2, ready("new"))), "v1"},
		"most are of the live one and not Ready": {owned, slices.Concat(pods(1, ready("old")), pods(3, health.Agent{Revision: "hash-new"})), "v1"},
		"none is Ready":                          {owned, slices.Concat(pods(1, health.Agent{Revision: "hash-old"}), pods(2, health.Agent{Revision: "hash-new"})), "v2"},
		"what is on its way out does not count":  {owned, slices.Concat(pods(3, health.Agent{Revision: "hash-old", Ready: true, Terminating: true}), pods(1, ready("new"))), "v2"},
		"what failed or is gated does not run": {owned, slices.Concat(pods(3, health.Agent{Revision: "hash-old", Failed: true}), pods(3, health.Agent{Revision: "hash-old", Gated: true}),
			pods(1, ready("new"))), "v2"},
		"two revisions differ in the gate alone": {
			[]*appsv1.ControllerRevision{revisionOf("old", 1, ptr.To(pod("v1"))), revisionOf("gated", 2, withGate(ptr.To(pod("v2")))), revisionOf("new", 3, ptr.To(pod("v2")))},
			slices.Concat(pods(3, ready("old")), pods(2, ready("gated")), pods(2, ready("new"))), "v2",
		},
		"the live one is an old one again": {
			[]*appsv1.ControllerRevision{revisionOf("first", 1, ptr.To(pod("v2"))), revisionOf("old", 2, ptr.To(pod("v1"))), revisionOf("new", 3, ptr.To(pod("v2")))},
			slices.Concat(pods(2, ready("old")), pods(2, ready("new"))), "v1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mostRun(ptr.To(pod("v2")), c.owned, c.pods)
			if err != nil {
				t.Fatal(err)
			}
			if want := pod(c.want); !equality.Semantic.DeepEqual(got, &want) {
				t.Errorf("most run %v, want %s", got, c.want)
			}
		})
	}
}

func TestMostRunOfARevisionThatCannotBeRead(t *testing.T) {
	t.Parallel()
	_, err := mostRun(&corev1.PodTemplateSpec{}, []*appsv1.ControllerRevision{{Data: runtime.RawExtension{Raw: []byte("{")}}}, nil)
	if err == nil {
		t.Error("no error, want one")
	}
}
