package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// many GitSyncs are in one controller, each with a path of its own.
const many = 200

// TestManyGitSyncs has so many teams in one cluster: all of them are proven, a
// commit that changes what one declares changes nothing else, and at rest nobody is
// asked for anything. How long it takes and how much memory is only logged.
func TestManyGitSyncs(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, cluster.Options{Nodes: 2, Zones: 1})
	w.policy(hurried())
	files := map[string]string{}
	for i := range many {
		for _, name := range []string{"a", "b", "c"} {
			files[fmt.Sprintf("team-%d/%s.yaml", i, name)] = plainConfig(fmt.Sprintf("team-%d-%s", i, name), "1")
		}
	}
	files["team-0/daemonset.yaml"] = manifest("v1")
	commit := w.push("many teams", files)
	began := time.Now()
	var creating errgroup.Group
	creating.SetLimit(8)
	for i := range many {
		creating.Go(func() error {
			_, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Create(t.Context(), &v1alpha1.GitSync{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("team-%d", i), Namespace: metav1.NamespaceDefault},
				Spec: v1alpha1.GitSyncSpec{Prune: true, Source: v1alpha1.GitSource{
					URL: w.repo.URL, InsecureHTTP: true, Ref: v1alpha1.GitRef{Branch: "main"}, Path: fmt.Sprintf("team-%d", i), Interval: metav1.Duration{Duration: 10 * time.Second},
				}},
			}, metav1.CreateOptions{})
			return err
		})
	}
	w.must(creating.Wait(), "create GitSyncs")
	w.waitAll(commit)
	w.use(t, "all proven", began)
	w.act(t, "no request while nothing changes", func(t *testing.T) {
		t.Helper()
		w.wantRequests(t, 0) // what happened before is answered
		before, _ := w.requests()
		polls := w.polls()
		time.Sleep(12 * time.Second) // each of them looks at Git meanwhile
		after, spelled := w.requests()
		if after != before {
			t.Errorf("%.0f requests though nothing changed: %s", after-before, spelled)
		}
		if w.polls() == polls {
			t.Error("nobody has looked at Git")
		}
		t.Logf("%.0f polls of Git for %d GitSyncs", w.polls()-polls, many)
		w.use(t, "at rest", began)
	})
	before := w.versions()
	w.act(t, "a commit of one team", func(t *testing.T) {
		began := time.Now()
		commit := w.push("one team", map[string]string{"team-7/a.yaml": plainConfig("team-7-a", "2")})
		w.waitAll(commit)
		w.use(t, "all proven again", began)
		var changed []string
		for name, version := range w.versions() {
			if before[name] != version {
				changed = append(changed, name)
			}
		}
		if !slices.Equal(changed, []string{"team-7-a"}) {
			t.Errorf("changed are %v, want team-7-a only", changed)
		}
		w.wantRequests(t, 0)
	})
}

// waitAll waits until every GitSync is proven at the commit.
func (w *world) waitAll(commit string) {
	w.t.Helper()
	w.until("all are proven", 4*time.Minute, func() (bool, string) {
		list, err := w.kinds.GitSyncs(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{})
		w.must(err, "list GitSyncs")
		proven, other := 0, ""
		for _, gs := range list.Items {
			if gs.Status.Proven == commit && readyCondition(&gs).Reason == "Proven" {
				proven++
			} else {
				other = gs.Name + ": " + readyCondition(&gs).Message
			}
		}
		return proven == many, fmt.Sprintf("%d are, but %s", proven, other)
	})
}

// versions are those of the plain ConfigMaps, by name.
func (w *world) versions() map[string]string {
	w.t.Helper()
	list, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(w.t.Context(), metav1.ListOptions{LabelSelector: v1alpha1.LabelOwner})
	w.must(err, "list ConfigMaps")
	out := map[string]string{}
	for _, cm := range list.Items {
		out[cm.Name] = cm.ResourceVersion
	}
	return out
}

// use logs what the controller has used since it began.
func (w *world) use(t *testing.T, when string, began time.Time) {
	t.Helper()
	u, err := w.control.Usage()
	w.must(err, "read usage")
	sum, spelled := w.requests()
	t.Logf("%s: %s later, %.1f s of CPU in all, %d MiB resident, %d at the most, %.0f requests (%s)",
		when, time.Since(began).Round(100*time.Millisecond), u.CPU.Seconds(), u.Resident>>20, u.MostResident>>20, sum, spelled)
}
