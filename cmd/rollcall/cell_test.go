package main

import (
	"testing"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestCell(t *testing.T) {
	type change = func(*health.Node, *v1alpha1.NodeRolloutStatus)
	candidate := func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { moved(n) }
	notReady := func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { n.Agents[0].Ready = false }
	noAgent := func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { n.Agents = nil }
	inFlight := func(_ *health.Node, s *v1alpha1.NodeRolloutStatus) {
		s.InFlight = []v1alpha1.InFlight{{Node: "a"}}
	}
	gated := func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) {
		n.Agents[0].Ready, n.Agents[0].Gated = false, true
	}
	removal := func(_ *health.Node, s *v1alpha1.NodeRolloutStatus) {
		s.Candidate.Digest = rollout.RemovalOf(oldDigest)
	}
	first := func(_ *health.Node, s *v1alpha1.NodeRolloutStatus) { s.Proven = nil }
	failing := func(_ *health.Node, s *v1alpha1.NodeRolloutStatus) {
		s.Failing = []v1alpha1.NodeProblem{{Node: "a"}}
	}
	tests := map[string]struct {
		changes []change
		want    cell
	}{
		"a Ready agent of the proven version":                 {nil, cellProven},
		"a Ready agent of the candidate":                      {[]change{candidate}, cellReady},
		"a candidate that gave evidence against itself":       {[]change{candidate, failing}, cellFailed},
		"a candidate that is not Ready yet":                   {[]change{candidate, notReady}, cellStarting},
		"a candidate that has restarted":                      {[]change{candidate, notReady, func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { n.Agents[0].Restarts = 1 }}, cellFailed},
		"a candidate that waits for its gate":                 {[]change{gated}, cellStarting},
		"a node whose agent is removed":                       {[]change{gated, removal}, cellRemoved},
		"a node whose agent is being removed":                 {[]change{gated, removal, inFlight}, cellStarting},
		"an agent of a first version whose turn it is":        {[]change{gated, first, inFlight}, cellStarting},
		"an agent of a first version that waits for its wave": {[]change{gated, first}, cellWaiting},
		"the old pod is gone, the new one is not there":       {[]change{noAgent, inFlight}, cellStarting},
		"no agent, and rollcall has nothing to do with it":    {[]change{noAgent, failing}, cellAbsent},
		"an agent of the proven version that is not Ready":    {[]change{notReady}, cellFailed},
		"a NotReady node":                                     {[]change{func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { n.Ready = false }}, cellDown},
		"a node that is held out":                             {[]change{func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { n.Held = true }}, cellHeld},
		"a version that is neither proven nor the candidate":  {[]change{func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { n.Agents[0].Digest = "" }}, cellOther},
		"an agent on a node that should have none":            {[]change{func(n *health.Node, _ *v1alpha1.NodeRolloutStatus) { n.Eligible = false }}, cellOther},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := health.Node{Name: "a", Ready: true, Eligible: true, Agents: []health.Agent{{Digest: oldDigest, Ready: true}}}
			s := v1alpha1.NodeRolloutStatus{Proven: &v1alpha1.Version{Digest: oldDigest}, Candidate: &v1alpha1.Version{Digest: newDigest}}
			for _, f := range test.changes {
				f(&n, &s)
			}
			got, drawn := newJudge(&v1alpha1.NodeRollout{Status: s}).cell(&n)
			if !drawn || got != test.want {
				t.Errorf("got %q, want %q", got.look().legend, test.want.look().legend)
			}
		})
	}
	if _, drawn := newJudge(&v1alpha1.NodeRollout{}).cell(&health.Node{Name: "a", Ready: true}); drawn {
		t.Error("a node that needs no agent and has none is drawn")
	}
}
