package rollout_test

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// What is promised when what is recorded of the nodes is lost. What is known then is
// what the cluster still shows: live pods of the candidate, and the nodes in flight,
// which are recorded elsewhere. The waves are those of the policy from then on.

// seeForgotten bounds P1 and P2 to that.
func (w *witness) seeForgotten() {
	w.forgotten, w.everForgotten = true, true
	s := w.cluster.State()
	for digest, r := range w.reach {
		r.waves = nil
		clear(r.begun)
		for uid := range r.nodes {
			if !w.runs(uid, digest) {
				delete(r.nodes, uid)
			}
		}
	}
	for uid := range w.taken {
		flies := slices.ContainsFunc(s.InFlight, func(f rollout.InFlight) bool { return f.NodeUID == uid })
		if !flies && (s.Candidate == nil || s.Candidate.Digest != w.declared || !w.runs(uid, w.declared)) {
			delete(w.taken, uid)
			delete(w.down, uid)
		}
	}
}

// runs is whether the node has a live pod of the digest.
func (w *witness) runs(uid types.UID, digest string) bool {
	n := find(w.cluster.Fleet(), uid)
	return n != nil && slices.ContainsFunc(n.Agents, func(a health.Agent) bool { return a.Digest == digest && !a.Terminating && !a.Gated })
}

// seeUntold takes what goes by itself before anything is recorded again for what was
// never known.
func (w *witness) seeUntold(f sim.Fact) {
	if !w.forgotten || f.By == sim.Rollcall {
		return
	}
	for _, r := range w.reach {
		delete(r.nodes, f.NodeUID)
	}
}
