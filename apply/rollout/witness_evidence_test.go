package rollout_test

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// seeEvidence holds P3: whatever a decision calls passed has been healthy, on
// every node of it that is there, for long enough.
func (w *witness) seeEvidence(in *rollout.Input, d rollout.Decision) {
	before, after := in.State, d.Next
	if before.Candidate == nil {
		return
	}
	promoted := after.Proven != nil && after.Proven.Digest == before.Candidate.Digest && (before.Proven == nil || before.Proven.Digest != after.Proven.Digest)
	advanced := after.Candidate != nil && after.Candidate.Digest == before.Candidate.Digest && after.Wave > before.Wave
	if !promoted && !advanced {
		return
	}
	waves := w.wavesOf(before.Candidate.Digest, in)
	w.seeFailures(in)
	passed, records := after.Wave, after.Records
	if promoted {
		passed, records = len(waves), before.Records
		w.seePromotion(in, before.Candidate.Digest)
		w.seeLastWave(in, records, after.Records, len(waves)-1)
	}
	for _, r := range records {
		n := find(in.Fleet, r.UID)
		if promoted && slices.ContainsFunc(after.Records, func(x rollout.Record) bool { return x.UID == r.UID && x.KeptOut }) {
			continue // failed within the budget, and remembered for it
		}
		if r.Wave >= passed || n == nil || r.Failed != "" || r.SickBefore || n.Held || !n.Eligible && !n.Won || n.Lost {
			continue
		}
		if promoted && !r.Ran && (!n.Ready || !n.Schedulable || n.Agent() == nil) {
			continue // it was never reached, and belongs to the tail
		}
		soak := waves[r.Wave].Soak
		if r.Late { // it joined in the middle of the last wave, and does not put off the proof
			if r.Touched.IsZero() {
				continue
			}
			soak = 0
		}
		if !healthySince(n, before.Candidate.Digest, in, soak) {
			w.accuse("P3", "wave %d passed without evidence from %s: %+v", r.Wave, n.Name, n.Agents)
		}
	}
}

// seePromotion wants a healthy node for a proof, and no version that breaks
// every node that it runs on.
func (w *witness) seePromotion(in *rollout.Input, digest string) {
	healthy := 0
	for i := range in.Fleet {
		if healthySince(&in.Fleet[i], digest, in, 0) {
			healthy++
		}
	}
	_, fault, _ := strings.Cut(digest, ":")
	switch {
	case healthy == 0:
		w.accuse("P3", "%s is proven without a healthy node", digest)
	case fault == "bad", fault == "stuck", fault == "flaky" && in.Policy.Health.ReadyFor.Seconds() > 10:
		w.accuse("P3", "%s is proven", digest)
	}
}

// seeLastWave wants a healthy node of the last wave, unless no node is left for
// it, or all of them failed within the budget.
func (w *witness) seeLastWave(in *rollout.Input, records, after []rollout.Record, last int) {
	healthy, left := 0, 0
	for i := range in.Fleet {
		n := &in.Fleet[i]
		j := slices.IndexFunc(records, func(r rollout.Record) bool { return r.UID == n.UID })
		switch {
		case j >= 0 && records[j].Wave < last:
		case healthySince(n, in.State.Candidate.Digest, in, 0):
			healthy++
		case !n.Eligible && !n.Won, n.Lost, n.Held:
		case slices.ContainsFunc(after, func(r rollout.Record) bool { return r.UID == n.UID && r.KeptOut }):
		case j < 0 || !records[j].SickBefore:
			left++
		}
	}
	if in.State.Proven != nil && healthy == 0 && left > 0 {
		w.accuse("P3", "%s is proven without evidence from the last wave, %d nodes are left for it", in.State.Candidate.Digest, left)
	}
}

// healthySince is whether the node has run the digest, Ready, for as long as the
// policy wants plus the soak.
func healthySince(n *health.Node, digest string, in *rollout.Input, soak time.Duration) bool {
	for _, a := range n.Agents {
		if !a.Terminating {
			return n.Ready && a.Digest == digest && a.Ready && !a.Gated && !in.Now.Before(a.ReadySince.Add(in.Policy.Health.ReadyFor+soak))
		}
	}
	return false
}

func find(fleet []health.Node, uid types.UID) *health.Node {
	i := slices.IndexFunc(fleet, func(n health.Node) bool { return n.UID == uid })
	if i < 0 {
		return nil
	}
	return &fleet[i]
}
