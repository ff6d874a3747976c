package apply

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A removal ends for who declared it, and for who has the DaemonSet by now.
func TestStay(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		declaredBy, has, digest string
		want                    declared
	}{
		"its own removal":                        {declaredBy: "a", has: "a", digest: "removed:v1", want: declared{Digest: "v1", Owner: "a"}},
		"that of who handed the DaemonSet to it": {declaredBy: "b", has: "a", digest: "removed:v1", want: declared{Digest: "v1", Owner: "a"}},
		"that of another one":                    {declaredBy: "b", has: "b", digest: "removed:v1", want: declared{Digest: "removed:v1", Owner: "b"}},
		"a version is no removal":                {declaredBy: "a", has: "a", digest: "v2", want: declared{Digest: "v2", Owner: "a"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			key := types.NamespacedName{Namespace: "ns", Name: "agent"}
			n := &v1alpha1.NodeRollout{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Status: v1alpha1.NodeRolloutStatus{Proven: &v1alpha1.Version{Digest: "v1"}}}
			n.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind("NodeRollout"))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(n)
			}))
			t.Cleanup(server.Close)
			own, err := kinds.NewClient(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			client := fake.NewClientset(&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: labelled(nil, c.has)}})
			s := store{client, key}
			if err := s.writeDeclared(t.Context(), n, declared{Digest: c.digest, Owner: c.declaredBy}); err != nil {
				t.Fatal(err)
			}
			if err := s.writeRecorded(t.Context(), n, change{after: recorded{Templates: templates{"v1": corev1.PodTemplateSpec{}}}}); err != nil {
				t.Fatal(err)
			}
			r := &Rollouts{Kube: client, Kinds: own, Logger: slog.New(slog.DiscardHandler)}

			if err := r.Stay(t.Context(), "a", key); err != nil {
				t.Fatal(err)
			}

			got, err := s.declared(t.Context())
			if err != nil || got == nil || got.Digest != c.want.Digest || got.Owner != c.want.Owner {
				t.Errorf("declared is %+v, %v; want %s of %s", got, err, c.want.Digest, c.want.Owner)
			}
		})
	}
}
