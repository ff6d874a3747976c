package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file) //nolint:gosec // a file of this test
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is another now (-golden +now; run with -update if that is right):\n%s", file, diff)
	}
}

const (
	oldCommit = "5d1e0b7c41aa0e3b9f6d2c8e7a5b4c3d2e1f0a9b"
	newCommit = "9f3c2a1e77b05d4c8e6f1a2b3c4d5e6f7a8b9c0d"
	oldDigest = "sha256:1111aaaa2222bbbb3333cccc4444dddd5555eeee6666ffff7777000088889999"
	newDigest = "sha256:9999ffff8888eeee7777dddd6666cccc5555bbbb4444aaaa3333000022221111"
)

func noon() time.Time {
	return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
}

func ago(d time.Duration) metav1.Time {
	return metav1.NewTime(noon().Add(-d))
}

// syncOf is a GitSync that has applied the new commit.
func syncOf(ready metav1.ConditionStatus, reason, message string, change ...func(*v1alpha1.GitSync)) v1alpha1.GitSync {
	gs := v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "platform", Name: "node-agents"}, Status: v1alpha1.GitSyncStatus{
		Fetched:    &v1alpha1.Commit{Commit: newCommit, Author: "Ann Lee <ann@example.com>", Subject: "log-agent 2.4.1", Time: ago(12 * time.Minute)},
		Applied:    newCommit,
		Proven:     newCommit,
		Conditions: []metav1.Condition{{Type: "Ready", Status: ready, Reason: reason, Message: message, LastTransitionTime: ago(3 * time.Minute)}},
	}}
	for _, f := range change {
		f(&gs)
	}
	return gs
}

func provenBefore(gs *v1alpha1.GitSync) {
	gs.Status.Proven = oldCommit
}

func stalled(gs *v1alpha1.GitSync) {
	gs.Status.Conditions = append(gs.Status.Conditions, metav1.Condition{Type: "Stalled", Status: metav1.ConditionTrue})
}

// fleetOf has the nodes evenly in the zones, each with a Ready agent of the
// proven version; change makes some of them otherwise.
func fleetOf(nodes, zones int, change func(i int, n *health.Node)) ([]health.Node, map[string]string) {
	var fleet []health.Node
	zone := map[string]string{}
	for i := range nodes {
		n := health.Node{Name: fmt.Sprintf("node-%03d", i+1), Ready: true, Eligible: true, Schedulable: true, Agents: []health.Agent{{Digest: oldDigest, Ready: true}}}
		if change != nil {
			change(i, &n)
		}
		if zones > 0 {
			zone[n.Name] = fmt.Sprintf("eu-west-1%c", 'a'+i%zones)
		}
		fleet = append(fleet, n)
	}
	return fleet, zone
}

// moved is the candidate, Ready.
func moved(n *health.Node) {
	n.Agents = []health.Agent{{Digest: newDigest, Ready: true}}
}

// viewOf is a rollout of log-agent with its nodes.
func viewOf(s v1alpha1.NodeRolloutStatus, fleet []health.Node, zones map[string]string) rolloutView {
	s.Proven = &v1alpha1.Version{Digest: oldDigest, Commit: oldCommit}
	if s.Phase != v1alpha1.PhaseProven {
		s.Candidate = &v1alpha1.Version{Digest: newDigest, Commit: newCommit}
	}
	return rolloutView{detailed: true, fleet: fleet, zones: zones, rollout: v1alpha1.NodeRollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "log-agent"}, Status: s,
	}}
}

func proven(nodes int32) v1alpha1.NodeRolloutStatus {
	return v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Reason: "Proven", Since: ago(26 * time.Hour),
		Message: fmt.Sprintf("commit 5d1e0b7c runs on all %d eligible nodes", nodes),
		Nodes:   v1alpha1.NodeCounts{Eligible: nodes, Present: nodes}}
}

func atRestScreen() screen {
	fleet, _ := fleetOf(3, 0, nil)
	return screen{now: noon(), syncs: []v1alpha1.GitSync{syncOf(metav1.ConditionTrue, "Proven", "")}, rollouts: []rolloutView{viewOf(proven(3), fleet, nil)}}
}

// movingScreen has something of everything: a wave in progress over 50 nodes.
func movingScreen() screen {
	fleet, zones := fleetOf(50, 3, func(i int, n *health.Node) {
		switch {
		case i < 4:
			moved(n)
		case i == 4:
			n.Agents = []health.Agent{{Digest: newDigest}}
		case i == 5:
			n.Agents = []health.Agent{{Digest: newDigest, Gated: true}}
		case i == 20:
			n.Agents = nil
		case i == 33:
			n.Ready = false
		case i == 40:
			n.Held = true
		}
	})
	v := viewOf(v1alpha1.NodeRolloutStatus{
		Phase: v1alpha1.PhaseReplacing, Reason: "Replacing", Since: ago(45 * time.Second),
		Message:  "wave early: 6 of 50 eligible nodes run the candidate, 4 healthy, 2 unavailable of at most 2",
		Wave:     &v1alpha1.WaveStatus{Name: "early", Index: 2, Of: 4},
		Nodes:    v1alpha1.NodeCounts{Eligible: 50, Present: 46, Absent: 4, Candidate: 6, Healthy: 4, Unavailable: 2, Held: 1, Unreachable: 1},
		InFlight: []v1alpha1.InFlight{{Node: "node-005"}, {Node: "node-006"}},
		Failing: []v1alpha1.NodeProblem{
			{Node: "node-021", Reason: "Tainted", Message: "the taint dedicated=gpu:NoSchedule keeps the agent out", Since: ago(3 * time.Hour)},
			{Node: "node-034", Reason: "NodeNotReady", Message: "the node is NotReady", Since: ago(80 * time.Second)},
		},
	}, fleet, zones)
	return screen{now: noon(), rollouts: []rolloutView{v},
		syncs: []v1alpha1.GitSync{syncOf(metav1.ConditionFalse, "Rolling", "commit 9f3c2a1e is applied; DaemonSet kube-system/log-agent is Replacing", provenBefore)}}
}

func rejectedScreen() screen {
	fleet, zones := fleetOf(12, 3, func(i int, n *health.Node) {
		if i == 7 {
			n.Agents = []health.Agent{{Digest: newDigest, Restarts: 4, Trouble: health.Trouble{Reason: "CrashLoopBackOff"}}}
		}
	})
	v := viewOf(v1alpha1.NodeRolloutStatus{
		Phase: v1alpha1.PhaseReturning, Reason: "Returning", Since: ago(2 * time.Second), Message: "touched nodes go back to commit 5d1e0b7c",
		Wave:     &v1alpha1.WaveStatus{Name: "canary", Index: 1, Of: 4},
		Nodes:    v1alpha1.NodeCounts{Eligible: 12, Present: 11, Absent: 1, Candidate: 1, Failed: 1, Unavailable: 1},
		Rejected: []v1alpha1.Rejection{{Digest: newDigest, Commit: newCommit, Reason: "Restarted"}},
		Failing: []v1alpha1.NodeProblem{{Node: "node-008", Reason: "Restarted", Since: ago(9 * time.Second),
			Message: "the agent's containers restarted 4 times, at most 0 are allowed: CrashLoopBackOff: back-off 10s restarting failed container=agent pod=log-agent-x8k2p"}},
	}, fleet, zones)
	return screen{now: noon(), rollouts: []rolloutView{v},
		syncs: []v1alpha1.GitSync{syncOf(metav1.ConditionFalse, "RolloutStopped", "DaemonSet kube-system/log-agent is Rejected (Restarted): see its NodeRollout", provenBefore, stalled)}}
}

// returnedScreen is a rejection whose one node has gone back: all agents are Ready.
func returnedScreen() screen {
	s := rejectedScreen()
	v := &s.rollouts[0]
	v.fleet, v.zones = fleetOf(30, 3, nil)
	n := &v.rollout.Status
	n.Phase, n.Reason, n.Message = v1alpha1.PhaseRejected, "CannotStart", "commit 9f3c2a1e: 1 of 1 touched nodes failed (budget 0)"
	n.Nodes, n.Failing = v1alpha1.NodeCounts{Eligible: 30, Present: 30, Failed: 1}, nil
	s.natives = []nativeView{
		{namespace: "kube-system", name: "kube-proxy", status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 30, NumberReady: 30}},
		{namespace: "kube-system", name: "gpu-agent", status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 4, NumberReady: 3}},
	}
	return s
}

// A bar is never wider than there are nodes, and each has one cell while they fit.
func TestABarHasNoMoreCellsThanNodes(t *testing.T) {
	t.Parallel()
	for _, width := range []int{40, 80, 120} {
		got := returnedScreen().render(style{width: width})
		if n := strings.Count(got, "✗") - strings.Count(got, "✗ "); width >= 80 && n != 1 {
			t.Errorf("at %d columns one failed node has %d cells:\n%s", width, n, got)
		}
		if n := strings.Count(got, "░"); n > 29 || width >= 80 && n != 29 {
			t.Errorf("at %d columns the rest of 29 nodes has %d cells:\n%s", width, n, got)
		}
		if !strings.Contains(strings.Join(strings.Fields(got), " "), "candidate: 0 healthy, 1 failed; 30 of 30") {
			t.Errorf("at %d columns it does not say how many agents are Ready:\n%s", width, got)
		}
	}
}

// largeScreen has more nodes than are drawn one by one.
func largeScreen() screen {
	fleet, zones := fleetOf(500, 3, func(i int, n *health.Node) {
		switch {
		case i < 180:
			moved(n)
		case i < 185:
			n.Agents = []health.Agent{{Digest: newDigest}}
		case i == 300, i == 301:
			n.Ready = false
		}
	})
	v := viewOf(v1alpha1.NodeRolloutStatus{
		Phase: v1alpha1.PhaseReplacing, Reason: "Replacing", Since: ago(14 * time.Minute),
		Message: "wave half: 185 of 500 eligible nodes run the candidate, 180 healthy, 5 unavailable of at most 5",
		Wave:    &v1alpha1.WaveStatus{Name: "half", Index: 3, Of: 4},
		Nodes:   v1alpha1.NodeCounts{Eligible: 500, Present: 493, Absent: 7, Candidate: 185, Healthy: 180, Unavailable: 5, Unreachable: 2},
	}, fleet, zones)
	return screen{now: noon(), rollouts: []rolloutView{v}}
}

// manyScreen has the agents of a whole cluster, one of which needs a look.
func manyScreen() screen {
	s := screen{now: noon(), syncs: []v1alpha1.GitSync{syncOf(metav1.ConditionTrue, "Proven", "")}}
	for _, name := range []string{"cilium", "csi-node", "kube-proxy", "node-exporter"} {
		v := viewOf(proven(6), nil, nil)
		v.rollout.Name, v.detailed = name, false
		s.rollouts = append(s.rollouts, v)
	}
	fleet, _ := fleetOf(6, 0, func(i int, n *health.Node) {
		if i == 3 {
			n.Agents = nil
		}
	})
	v := viewOf(v1alpha1.NodeRolloutStatus{Phase: v1alpha1.PhaseProven, Reason: "AgentsAbsent", Since: ago(5 * time.Minute),
		Message: "commit 5d1e0b7c is proven; 1 of 6 eligible nodes have no Ready agent", Nodes: v1alpha1.NodeCounts{Eligible: 6, Present: 5, Absent: 1},
		Failing: []v1alpha1.NodeProblem{{Node: "node-004", Reason: "NoPod", Message: "no pod was made for it: look for quota or admission errors in the DaemonSet's events", Since: ago(5 * time.Minute)}},
	}, fleet, nil)
	v.rollout.Name = "security-agent"
	s.rollouts = append(s.rollouts, v)
	return s
}

func hostileScreen() screen {
	s := movingScreen()
	s.syncs[0].Status.Fetched.Subject = "harmless\x1b[2J\x1b[31m \u202Etxt.exe\r\nsecond line"
	s.syncs[0].Status.Conditions[0].Message = "bell \a and a word of " + strings.Repeat("x", 150)
	s.rollouts = nil
	return s
}

func TestScreen(t *testing.T) {
	screens := map[string]screen{
		"at-rest": atRestScreen(), "moving": movingScreen(), "rejected": rejectedScreen(), "returned": returnedScreen(), "large": largeScreen(), "many": manyScreen(), "hostile": hostileScreen(),
		"empty": {now: noon(), empty: "No GitSync and no NodeRollout in namespace default; -A shows all namespaces."},
	}
	for name, s := range screens {
		for _, width := range []int{80, 120} {
			t.Run(fmt.Sprintf("%s at %d columns", name, width), func(t *testing.T) {
				got := s.render(style{width: width})
				for line := range strings.Lines(got) {
					if n := cells(strings.TrimSuffix(line, "\n")); n > width {
						t.Errorf("a line takes %d columns: %s", n, line)
					}
				}
				golden(t, fmt.Sprintf("screen-%s-%d.txt", name, width), got)
			})
		}
	}
}

func TestScreenInColourSaysTheSame(t *testing.T) {
	for _, s := range []screen{atRestScreen(), movingScreen(), rejectedScreen(), largeScreen(), manyScreen(), hostileScreen()} {
		coloured := s.render(style{width: 100, colour: true})
		if !strings.Contains(coloured, "\x1b[32m") {
			t.Error("nothing is green")
		}
		if diff := cmp.Diff(s.render(style{width: 100}), withoutSGR(coloured)); diff != "" {
			t.Errorf("colours change the text (-plain +coloured):\n%s", diff)
		}
	}
}

// withoutSGR takes out the escape sequences that only paint.
func withoutSGR(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = strings.TrimLeft(after, "0123456789;")
		s = strings.TrimPrefix(s, "m")
	}
}

func TestStaleScreenSaysSo(t *testing.T) {
	s := atRestScreen()
	s.stale = "connection refused"
	if got := s.render(style{width: 80}); !strings.Contains(got, "the cluster cannot be read, this is what was seen last: connection refused") {
		t.Error(got)
	}
}

// A rollout whose steps fail stands still wherever it is: it is shown with its
// message, and not as if all were well.
func TestWhatCannotBeginSaysWhy(t *testing.T) {
	t.Parallel()
	v := viewOf(v1alpha1.NodeRolloutStatus{Reason: "DaemonSetGone", Since: ago(time.Minute), Message: "there is no DaemonSet of that name"}, nil, nil)
	got := (&screen{now: noon(), rollouts: []rolloutView{v}}).render(style{width: 80})
	if first, _, _ := strings.Cut(got, "\n"); !strings.HasPrefix(first, "! DaemonSet ") || !strings.HasSuffix(first, " DaemonSetGone · 60s") {
		t.Errorf("the headline is %q", first)
	}
	if said, want := whereItStands(&v.rollout), "DaemonSetGone: there is no DaemonSet of that name"; said != want {
		t.Errorf("it stands at %q, want %q", said, want)
	}
}

func TestAFailingStepIsNoRest(t *testing.T) {
	t.Parallel()
	n := atRestScreen().rollouts[0].rollout
	if !atRest(&n) || rolloutMark(&n).symbol != "✓" {
		t.Fatalf("a proven rollout is not at rest: %+v", rolloutMark(&n))
	}
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseProven, v1alpha1.PhaseReplacing, v1alpha1.PhaseWaiting} {
		n.Status.Phase, n.Status.Reason = phase, "StepFailed"
		if atRest(&n) || rolloutMark(&n).symbol != "!" {
			t.Errorf("%s with a failing step is at rest %t and marked %q, want it not at rest and marked", phase, atRest(&n), rolloutMark(&n).symbol)
		}
	}
}
