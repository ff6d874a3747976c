package apply

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// statusPause is how long after a write of a status the next one comes in which
// nothing but counts and words has moved.
const statusPause = 2 * time.Second

// unnamedFor is for how long an account that may not label a revision is not asked
// to again: longer than it takes to label the pods, and no longer than until a
// person wonders.
const unnamedFor = time.Hour

// pace remembers by DaemonSet when something was last done. Losing it costs a
// request. The zero value is ready.
type pace struct {
	mu   sync.Mutex
	last map[types.NamespacedName]time.Time
}

func (p *pace) note(key types.NamespacedName, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[types.NamespacedName]time.Time{}
	}
	p.last[key] = now
}

func (p *pace) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, key)
}

// left is how much of the pause is left; 0 or less when it is over.
func (p *pace) left(key types.NamespacedName, pause time.Duration, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[key].Add(pause).Sub(now)
}

// onlyCounts is whether two statuses differ in nothing that a decision goes by,
// and in nothing that anybody acts on.
func onlyCounts(a, b v1alpha1.NodeRolloutStatus) bool {
	return equality.Semantic.DeepEqual(withoutCounts(a), withoutCounts(b))
}

func withoutCounts(s v1alpha1.NodeRolloutStatus) v1alpha1.NodeRolloutStatus {
	out := *s.DeepCopy()
	out.Message, out.Nodes, out.Failing = "", v1alpha1.NodeCounts{}, nil
	for i := range out.Conditions {
		out.Conditions[i].Message = ""
	}
	return out
}
