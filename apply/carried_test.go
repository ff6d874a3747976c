package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/health"
)

func TestPodsKeepTheirVersionWithoutTheirRevision(t *testing.T) {
	t.Parallel()
	agents := func(of ...string) (out []health.Node) {
		for i := 0; i < len(of); i += 2 {
			out = append(out, health.Node{Agents: []health.Agent{{Revision: of[i], Digest: of[i+1]}}})
		}
		return out
	}
	kept := templates{"one": {}, "two": {}}

	got := carriedBy(agents("h1", "one", "h1", "one", "h2", "two", "h1", "one", "h3", "", "h4", "gone", "", "two"), kept)

	if diff := cmp.Diff(carried{"h1": "one", "h2": "two"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	digests := map[string]string{"h2": "three", "h5": ""}
	carried{"h1": "one", "h2": "two", "h5": "two", "h6": "gone"}.complete(digests, func(digest string) string {
		return map[string]string{"one": "uno"}[digest]
	})
	if diff := cmp.Diff(map[string]string{"h1": "uno", "h2": "three", "h5": "", "h6": ""}, digests); diff != "" {
		t.Errorf("a revision that exists says what it is (-want +got):\n%s", diff)
	}
}

func TestAVersionIsCalledWhatTheDeclarationCallsIt(t *testing.T) {
	t.Parallel()
	of := func(image string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
	}
	v := &view{want: &declared{Digest: "spelled-out"}, book: book{templates: templates{"short": of("a"), "spelled-out": of("a"), "other": of("b")}}}
	for digest, want := range map[string]string{"short": "spelled-out", "other": "other", "unknown": ""} {
		if got := v.sameAs(digest); got != want {
			t.Errorf("%s is called %q, want %q", digest, got, want)
		}
	}
}
