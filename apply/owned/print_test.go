package owned

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPrintOf(t *testing.T) {
	t.Parallel()
	object := func(change ...func(*metav1.ObjectMeta)) *metav1.PartialObjectMetadata {
		o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			UID: "u1", ResourceVersion: "7", Generation: 3,
			Labels: map[string]string{"a": "b", "c": "d"}, Annotations: map[string]string{"e": "f"},
		}}
		for _, c := range change {
			c(&o.ObjectMeta)
		}
		return o
	}
	status := func(m *metav1.ObjectMeta) { m.ResourceVersion = "8" }
	now := metav1.Now()
	for name, c := range map[string]struct {
		group  string
		change func(*metav1.ObjectMeta)
		same   bool
	}{
		"the status of a workload":                          {"apps", status, true},
		"the status of a custom resource":                   {"example.com", status, true},
		"a write of what counts no generations":             {"", status, false},
		"a write of what is of Kubernetes and has a number": {"scheduling.k8s.io", status, false},
		"a write of who has no generation yet":              {"apps", func(m *metav1.ObjectMeta) { m.Generation, m.ResourceVersion = 0, "8" }, false},
		"the spec":                                          {"apps", func(m *metav1.ObjectMeta) { m.Generation = 4 }, false},
		"a label":                                           {"apps", func(m *metav1.ObjectMeta) { m.Labels["a"] = "x" }, false},
		"an annotation":                                     {"apps", func(m *metav1.ObjectMeta) { m.Annotations["e"] = "x" }, false},
		"a finalizer":                                       {"apps", func(m *metav1.ObjectMeta) { m.Finalizers = []string{"x"} }, false},
		"its deletion":                                      {"apps", func(m *metav1.ObjectMeta) { m.DeletionTimestamp = &now }, false},
		"another owner":                                     {"apps", func(m *metav1.ObjectMeta) { m.OwnerReferences = []metav1.OwnerReference{{UID: "x"}} }, false},
		"another one of the name":                           {"apps", func(m *metav1.ObjectMeta) { m.UID = "u2" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := PrintOf(c.group, object()) == PrintOf(c.group, object(c.change)); got != c.same {
				t.Errorf("the same print: %t, want %t", got, c.same)
			}
		})
	}
}
