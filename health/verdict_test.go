package health

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// wellNode is a Ready node whose agent has been Ready for an hour.
func wellNode(change ...func(n *Node, a *Agent)) *Node {
	agent := Agent{Name: "agent-1", UID: "pod-1", Created: ago(2 * time.Hour), Ready: true, ReadySince: ago(time.Hour)}
	n := &Node{Name: "n1", UID: "node-1", Ready: true, ReadySince: ago(24 * time.Hour), Eligible: true, Schedulable: true,
		Agents: []Agent{agent}}
	first := &n.Agents[0]
	for _, c := range change {
		c(n, first)
	}
	return n
}

func noPod(n *Node, _ *Agent)         { n.Agents = nil }
func terminating(_ *Node, a *Agent)   { a.Terminating, a.Deleted = true, ago(time.Minute) }
func gated(_ *Node, a *Agent)         { a.Gated, a.Ready = true, false }
func failedPhase(_ *Node, a *Agent)   { a.Failed, a.Ready = true, false }
func nodeNotReady(n *Node, _ *Agent)  { n.Ready = false }
func unready(_ *Node, a *Agent)       { a.Ready, a.ReadySince = false, ago(time.Minute) }
func unschedulable(n *Node, _ *Agent) { n.Schedulable, n.Taint = false, "gpu=yes:NoSchedule" }
func ineligible(n *Node, _ *Agent)    { n.Eligible = false }
func virtual(n *Node, _ *Agent)       { n.Virtual = true }
func unbound(_ *Node, a *Agent)       { a.Unbound = true }

func restarted(times int32) func(*Node, *Agent) {
	return func(_ *Node, a *Agent) { a.Restarts = times }
}

func readyFor(d time.Duration) func(*Node, *Agent) {
	return func(_ *Node, a *Agent) { a.ReadySince = ago(d) }
}

func troubled(reason string) func(*Node, *Agent) {
	return func(_ *Node, a *Agent) { a.Ready, a.Trouble = false, Trouble{Reason: reason, Message: "because"} }
}

func TestJudge(t *testing.T) {
	rule := Rule{ReadyFor: 30 * time.Second, Deadline: 10 * time.Minute, MaxRestarts: 1, Node: true}
	lenient := rule
	lenient.Node = false
	fresh, late := ago(time.Minute), ago(time.Hour)
	deadline := fresh.Add(rule.Deadline)
	for sentence, c := range map[string]struct {
		node    *Node
		touched time.Time
		rule    Rule
		want    Verdict
	}{
		"an agent that has been Ready for an hour is healthy since ReadyFor was over": {wellNode(), fresh, rule,
			Verdict{Status: Healthy, Reason: ReasonHealthy, Since: ago(time.Hour - 30*time.Second)}},
		"an agent that is Ready for exactly ReadyFor is healthy from now on": {wellNode(readyFor(30 * time.Second)), fresh, rule,
			Verdict{Status: Healthy, Reason: ReasonHealthy, Since: now}},
		"an agent that is Ready a moment too short is not healthy before ReadyFor is over": {wellNode(readyFor(30*time.Second - time.Nanosecond)), fresh, rule,
			Verdict{Status: Progressing, Reason: ReasonReadyTooShort, Next: now.Add(time.Nanosecond)}},
		"an agent that is Ready too short past the deadline still progresses": {wellNode(readyFor(time.Second)), late, rule,
			Verdict{Status: Progressing, Reason: ReasonReadyTooShort, Next: now.Add(29 * time.Second)}},
		"an agent that is not Ready has time until the deadline": {wellNode(unready), fresh, rule,
			Verdict{Status: Progressing, Reason: ReasonBecomingReady, Next: deadline}},
		"an agent that is not Ready a moment before the deadline progresses": {wellNode(unready), now.Add(-rule.Deadline + time.Nanosecond), rule,
			Verdict{Status: Progressing, Reason: ReasonBecomingReady, Next: now.Add(time.Nanosecond)}},
		"an agent that is not Ready at the deadline has failed": {wellNode(unready), now.Add(-rule.Deadline), rule,
			Verdict{Status: Failed, Reason: ReasonDeadlineExceeded}},
		"a node without a pod has time until the deadline":      {wellNode(noPod), fresh, rule, Verdict{Status: Progressing, Reason: ReasonBecomingReady, Next: deadline}},
		"a node without a pod past the deadline has failed":     {wellNode(noPod), late, rule, Verdict{Status: Failed, Reason: ReasonDeadlineExceeded}},
		"a pod on its way out is none":                          {wellNode(terminating), late, rule, Verdict{Status: Failed, Reason: ReasonDeadlineExceeded}},
		"a gated pod waits for rollcall and has no deadline":    {wellNode(gated), late, rule, Verdict{Status: Progressing, Reason: ReasonBecomingReady}},
		"a gated pod on a NotReady node is still a dead node":   {wellNode(gated, nodeNotReady), fresh, rule, Verdict{Status: Failed, Reason: ReasonNodeNotReady}},
		"a pod whose phase is Failed has failed at once":        {wellNode(failedPhase), fresh, rule, Verdict{Status: Failed, Reason: ReasonAgentFailed}},
		"as many restarts as are allowed are forgiven":          {wellNode(restarted(1)), fresh, rule, Verdict{Status: Healthy, Reason: ReasonHealthy, Since: ago(time.Hour - 30*time.Second)}},
		"one restart more than allowed fails, Ready or not":     {wellNode(restarted(2)), fresh, rule, Verdict{Status: Failed, Reason: ReasonRestarted}},
		"a crash loop fails at once":                            {wellNode(troubled("CrashLoopBackOff")), fresh, rule, Verdict{Status: Failed, Reason: ReasonCannotStart}},
		"an image that cannot be pulled again fails at once":    {wellNode(troubled("ImagePullBackOff")), fresh, rule, Verdict{Status: Failed, Reason: ReasonCannotStart}},
		"the first pull error may pass":                         {wellNode(troubled("ErrImagePull")), fresh, rule, Verdict{Status: Progressing, Reason: ReasonBecomingReady, Next: deadline}},
		"what has no room has time until the deadline":          {wellNode(troubled(ReasonUnschedulable)), fresh, rule, Verdict{Status: Progressing, Reason: ReasonBecomingReady, Next: deadline}},
		"trouble of an agent that is Ready again is over":       {wellNode(func(_ *Node, a *Agent) { a.Trouble.Reason = "CrashLoopBackOff" }), fresh, rule, Verdict{Status: Healthy, Reason: ReasonHealthy, Since: ago(time.Hour - 30*time.Second)}},
		"a NotReady node fails whatever its agent shows":        {wellNode(nodeNotReady), fresh, rule, Verdict{Status: Failed, Reason: ReasonNodeNotReady}},
		"a NotReady node that is no evidence is not healthy":    {wellNode(nodeNotReady), fresh, lenient, Verdict{Status: Progressing, Reason: ReasonBecomingReady, Next: deadline}},
		"a NotReady node that is no evidence has the deadline":  {wellNode(nodeNotReady), late, lenient, Verdict{Status: Failed, Reason: ReasonDeadlineExceeded}},
		"the oldest pod that stays speaks for the node":         {wellNode(func(n *Node, _ *Agent) { n.Agents = append(n.Agents, Agent{UID: "pod-2", Failed: true}) }), fresh, rule, Verdict{Status: Healthy, Reason: ReasonHealthy, Since: ago(time.Hour - 30*time.Second)}},
		"the pod after one on its way out speaks for the node":  {wellNode(terminating, func(n *Node, _ *Agent) { n.Agents = append(n.Agents, Agent{UID: "pod-2", Failed: true}) }), fresh, rule, Verdict{Status: Failed, Reason: ReasonAgentFailed}},
		"without ReadyFor an agent is healthy when it is Ready": {wellNode(readyFor(0)), fresh, Rule{Deadline: time.Minute}, Verdict{Status: Healthy, Reason: ReasonHealthy, Since: now}},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := Judge(c.node, c.touched, c.rule, now)
			if got.Status != Healthy && got.Message == "" {
				t.Error("the verdict has no message")
			}
			got.Message = ""
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMessagesNameTheCause(t *testing.T) {
	rule := Rule{Deadline: time.Minute, Node: true}
	for want, n := range map[string]*Node{
		"no Ready agent for 1h0m0s (deadline 1m0s): it has no pod":         wellNode(noPod),
		"no Ready agent for 1h0m0s (deadline 1m0s): ErrImagePull: because": wellNode(troubled("ErrImagePull")),
		"CrashLoopBackOff: because":                                        wellNode(troubled("CrashLoopBackOff")),
		"3 restarts, at most 0 allowed":                                    wellNode(restarted(3)),
		"the node is NotReady since its agent was replaced":                wellNode(nodeNotReady),
	} {
		if got := Judge(n, ago(time.Hour), rule, now).Message; got != want {
			t.Errorf("message %q, want %q", got, want)
		}
	}
}

func TestRollCall(t *testing.T) {
	two := func(n *Node, a *Agent) {
		n.Agents = append(n.Agents, Agent{Name: "agent-2", UID: "pod-2", Created: ago(time.Minute), Ready: true, ReadySince: ago(time.Second)})
	}
	for sentence, c := range map[string]struct {
		node   *Node
		reason string
		since  time.Time
	}{
		"a node with a Ready agent is present":                          {node: wellNode()},
		"a node that should have none and has none is fine":             {node: wellNode(noPod, ineligible)},
		"a node that should have none but has one":                      {wellNode(ineligible), ReasonUnwanted, ago(2 * time.Hour)},
		"a virtual node for whose pod there is no place":                {node: wellNode(ineligible, virtual, unbound, unready)},
		"a virtual node that runs one all the same":                     {wellNode(ineligible, virtual), ReasonUnwanted, ago(2 * time.Hour)},
		"a virtual node that was asked for is one like any other":       {wellNode(virtual, unready), ReasonNotReady, ago(time.Minute)},
		"an unwanted agent on its way out is none":                      {node: wellNode(ineligible, terminating)},
		"two agents, even if both are Ready":                            {wellNode(two), ReasonDuplicate, ago(time.Minute)},
		"an agent beside one on its way out is one":                     {node: wellNode(terminating, two)},
		"a NotReady node explains everything":                           {wellNode(nodeNotReady, noPod, unschedulable), ReasonNodeNotReady, ago(24 * time.Hour)},
		"an old pod that does not go":                                   {wellNode(terminating), ReasonTerminating, ago(time.Minute)},
		"a taint that keeps the agent out":                              {wellNode(noPod, unschedulable), ReasonTainted, time.Time{}},
		"a pod that was never made":                                     {wellNode(noPod), ReasonNoPod, time.Time{}},
		"a pod that waits for its gate":                                 {wellNode(gated), ReasonGated, ago(2 * time.Hour)},
		"a pod that no node has room for":                               {wellNode(troubled(ReasonUnschedulable)), ReasonUnschedulable, ago(2 * time.Hour)},
		"a pod that cannot start":                                       {wellNode(troubled("ErrImageNeverPull"), readyFor(time.Minute)), ReasonCannotStart, ago(time.Minute)},
		"a pod that is not Ready":                                       {wellNode(unready), ReasonNotReady, ago(time.Minute)},
		"a new node's agent is timed from the node's Ready, not before": {wellNode(unready, func(n *Node, _ *Agent) { n.ReadySince = ago(time.Second) }), ReasonNotReady, ago(time.Second)},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, wrong := RollCall(c.node)
			if wrong != (c.reason != "") || got.Reason != c.reason {
				t.Fatalf("RollCall = %+v, %t, want reason %q", got, wrong, c.reason)
			}
			if wrong && (got.Node != "n1" || got.Message == "" || !got.Since.Equal(c.since)) {
				t.Errorf("RollCall = %+v, want node n1 with a message since %s", got, c.since)
			}
		})
	}
}

func TestATaintIsNamed(t *testing.T) {
	got, _ := RollCall(wellNode(noPod, unschedulable))
	if !strings.Contains(got.Message, "gpu=yes:NoSchedule") {
		t.Errorf("message %q does not name the taint", got.Message)
	}
}
