package e2e

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// labelled is the tutorial's DaemonSet with another label on its pods, which the selector
// asks for instead of the first one if it is to.
func labelled(selects, recreate bool) string {
	out := strings.Replace(manifest("v1"), "      labels:\n        app: example\n", "      labels:\n        app: example\n        tier: node\n", 1)
	if selects {
		out = strings.Replace(out, "    matchLabels:\n      app: example\n", "    matchLabels:\n      tier: node\n", 1)
	}
	if recreate {
		out = strings.Replace(out, "metadata:\n  name:", "metadata:\n  annotations: {rollcall.dev/recreate: \"true\"}\n  name:", 1)
	}
	return out
}

// TestSelectorChange gives a DaemonSet another selector, around the pods that it has.
func TestSelectorChange(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, cluster.Options{Nodes: 3, Zones: 3})
	w.policy(quick(soak(0, 1)))
	first := w.push("v1", map[string]string{"daemonset.yaml": labelled(false, false)})
	w.follow()
	w.waitProven(first, 2*time.Minute)
	uids, old := w.uids(), w.daemonSet().UID

	w.act(t, "not asked for, it is held, with the way out", func(t *testing.T) {
		w.deliverFiles(map[string]string{"daemonset.yaml": labelled(true, false)})
		w.waitSync("it is held", time.Minute, func(gs *v1alpha1.GitSync) bool {
			c := readyCondition(gs)
			return c.Reason == "Immutable" && strings.Contains(c.Message, "spec.selector") && strings.Contains(c.Message, `annotation rollcall.dev/recreate: "true"`)
		})
	})
	w.act(t, "pods that do not match are not lost", func(t *testing.T) {
		w.deliverFiles(map[string]string{"daemonset.yaml": strings.ReplaceAll(labelled(false, true), "app: example\n", "app: renamed\n")})
		w.waitSync("it is held", time.Minute, func(gs *v1alpha1.GitSync) bool {
			c := readyCondition(gs)
			return c.Reason == "Immutable" && strings.Contains(c.Message, "3 of its 3 pods do not match")
		})
		w.wantSame(uids)
		if now := w.daemonSet().UID; now != old {
			t.Errorf("the DaemonSet is another one")
		}
	})
	w.act(t, "asked for, it adopts its pods, though rollcall is killed in between", func(t *testing.T) {
		watch, err := w.cluster.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Watch(t.Context(), metav1.ListOptions{ResourceVersion: w.daemonSet().ResourceVersion})
		w.must(err, "watch DaemonSets")
		defer watch.Stop()
		commit := w.deliverFiles(map[string]string{"daemonset.yaml": labelled(true, true)})
		for e := range watch.ResultChan() {
			if o, ok := e.Object.(metav1.Object); ok && (e.Type == "DELETED" || o.GetDeletionTimestamp() != nil) {
				w.must(w.control.Kill(), "kill rollcall")
				break
			}
		}
		time.Sleep(time.Second)
		w.wantSame(uids)
		w.startController()
		w.waitProven(commit, time.Minute)
		w.until("the DaemonSet is another one and has its pods", 30*time.Second, func() (bool, string) {
			ds := w.daemonSet()
			return ds.UID != old && ds.Status.NumberReady == 3 && ds.Spec.Selector.MatchLabels["tier"] == "node", ds.Status.String()
		})
		w.wantQuiet(2 * time.Second)
		w.wantSame(uids)
		for _, p := range w.pods() {
			if c := metav1.GetControllerOf(&p); c == nil || c.UID != w.daemonSet().UID {
				t.Errorf("pod %s is controlled by %v, want the DaemonSet", p.Name, c)
			}
		}
	})
}
