package e2e

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// frozen is a policy in a freeze that began an hour ago.
func frozen(p *v1alpha1.RolloutPolicySpec) {
	p.Freezes = []v1alpha1.Freeze{{Start: metav1.NewTime(time.Now().Add(-time.Hour)), End: metav1.NewTime(time.Now().Add(time.Hour)), Reason: "peak season"}}
}

// window is a policy with one window.
func window(schedule, zone string) func(*v1alpha1.RolloutPolicySpec) {
	return func(p *v1alpha1.RolloutPolicySpec) {
		p.Windows = []v1alpha1.Window{{Schedule: schedule, TimeZone: zone, Duration: metav1.Duration{Duration: time.Minute}}}
	}
}

// waitReason waits until the rollout stands in the phase for the reason.
func (w *world) waitReason(phase v1alpha1.Phase, reason string) *v1alpha1.NodeRollout {
	w.t.Helper()
	return w.waitRollout("it is "+string(phase)+" for "+reason, time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Status.Phase == phase && n.Status.Reason == reason
	})
}

func TestWindowsAndFreezes(t *testing.T) {
	t.Parallel()
	w := settled(t, 6, quick(soak(0, 1)))

	w.act(t, "in a freeze nothing goes forward", func(t *testing.T) {
		before := w.uids()
		w.changePolicy(quick(soak(0, 1), frozen))
		commit := w.deliver("v2")
		n := w.waitReason(v1alpha1.PhaseWaiting, "Frozen")
		if !strings.Contains(n.Status.Message, "peak season") {
			t.Errorf("message %q does not say what the freeze is for", n.Status.Message)
		}
		w.wantQuiet(3 * time.Second)
		w.wantSame(before)
		w.changePolicy(quick(soak(0, 1)))
		w.waitProven(commit, time.Minute)
	})
	w.act(t, "in a freeze what failed goes back", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		w.changePolicy(quick(soak(0, 20)))
		bad := w.deliver("flaky")
		w.waitSoaking(r, "canary", "flaky")
		w.changePolicy(quick(soak(0, 20), frozen))
		w.waitRejected(bad, time.Minute)
		w.waitTag("v2", w.nodes())
		r.wantRadius(t, "flaky")
		w.changePolicy(quick(soak(0, 1)))
	})
	w.act(t, "when a window closes, the nodes that have begun end", func(t *testing.T) {
		r := record(t, w.cluster.Client)
		commit := w.deliver("v3:slow")
		begun := w.waitInFlight("v3:slow")
		w.changePolicy(quick(soak(0, 1), window("0 0 1 1 *", "UTC")))
		n := w.waitReason(v1alpha1.PhaseWaiting, "WindowClosed")
		if !strings.Contains(n.Status.Message, "01-01 00:00") {
			t.Errorf("message %q does not say when it opens", n.Status.Message)
		}
		w.until("the nodes that had begun have the candidate", time.Minute, func() (bool, string) {
			agents := w.agents()
			for _, node := range append(r.nodesOf("v3:slow"), begun) {
				if p, there := agents[node]; !there || tag(&p) != "v3:slow" {
					return false, node
				}
			}
			return true, begun
		})
		hurt := r.nodesOf("v3:slow")
		w.wantQuiet(3 * time.Second)
		if now := r.nodesOf("v3:slow"); len(now) != len(hurt) {
			t.Errorf("outside of the window %v were replaced beside %v", now, hurt)
		}
		w.changePolicy(quick(soak(0, 1), window("* * * * *", "Europe/Berlin")))
		w.waitProven(commit, 2*time.Minute)
		r.wantWorst(t, 3)
	})
	w.act(t, "a policy that cannot be read holds and says so", func(t *testing.T) {
		w.changePolicy(quick(soak(0, 1), window("* * * * *", "Europe/Berln")))
		commit := w.deliver("v4")
		n := w.waitReason(v1alpha1.PhaseHeld, "PolicyInvalid")
		if !strings.Contains(n.Status.Message, "spec.windows[0].timeZone") {
			t.Errorf("message %q does not name the field", n.Status.Message)
		}
		w.changePolicy(quick(soak(0, 1)))
		w.waitProven(commit, time.Minute)
	})
}
