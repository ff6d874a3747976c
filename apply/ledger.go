package apply

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// ledger is what the rollouts of different DaemonSets have to know of each other.
// Whoever decides holds it from looking at the others' claims until its own are in
// it, so that no two take one node. All of it is read again by a new process: the
// claims of all rollouts before the first decision, and the rest as each is looked
// at. The zero value is ready.
type ledger struct {
	mu sync.Mutex
	of map[types.NamespacedName]*page
}

// page is one rollout's part of the ledger.
type page struct {
	// claims are the nodes that it is at work on, by what is recorded and by what is
	// about to be, sorted by name.
	claims []held
	// claimFor is for how long it may claim a node for one pod.
	claimFor time.Duration
	// looked is whether this process has decided about it.
	looked bool
	// digest is what Git declares, behind are the nodes where that is not healthy, and
	// stuck is why it will not become so by itself.
	digest string
	behind []string
	stuck  string
	// after are the DaemonSets that it comes after.
	after []types.NamespacedName
	// eligible nodes should have its agent, and those of them that are sick.
	eligible, sick []string
	// waits is whether it may decide otherwise when another page changes.
	waits bool
}

// held is a claim, and until when it keeps others away.
type held struct {
	rollout.Claim
	until time.Time
}

// longest is for how long a claim counts of which it is not known yet for how long
// it may: the longest deadline that a policy can have.
const longest = 24 * time.Hour

// page returns the rollout's, which is made if there is none.
func (l *ledger) page(key types.NamespacedName) *page {
	if l.of == nil {
		l.of = map[types.NamespacedName]*page{}
	}
	if l.of[key] == nil {
		l.of[key] = &page{claimFor: longest}
	}
	return l.of[key]
}

// claim makes those the rollout's claims. One that it has already for the same pod
// lasts no longer than it did: a pod that nobody can delete keeps others away for
// so long and no more.
func (p *page) claim(next []rollout.Claim, now time.Time) {
	out := make([]held, 0, len(next))
	for _, c := range next {
		until := now.Add(p.claimFor)
		i, _ := slices.BinarySearchFunc(p.claims, c.Node, func(o held, name string) int { return cmp.Compare(o.Node, name) })
		for ; i < len(p.claims) && p.claims[i].Node == c.Node; i++ {
			if p.claims[i].Claim == c && p.claims[i].until.Before(until) {
				until = p.claims[i].until
			}
		}
		out = append(out, held{c, until})
	}
	p.claims = out
}

// holds is what is claimed.
func (p *page) holds() []rollout.Claim {
	var out []rollout.Claim
	for _, c := range p.claims {
		out = append(out, c.Claim)
	}
	return out
}

// both are the claims of two lists, sorted by name.
func both(a, b []rollout.Claim) []rollout.Claim {
	out := slices.Concat(a, b)
	slices.SortFunc(out, func(a, b rollout.Claim) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.UID, b.UID), cmp.Compare(a.Pod, b.Pod))
	})
	return slices.Compact(out)
}

// take reads what is recorded of a rollout that this process has not decided about.
func (l *ledger) take(key types.NamespacedName, s rollout.State, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.page(key)
	p.claim(both(p.holds(), rollout.Claims(s)), now)
}

// release leaves the rollout what it has recorded, and returns who waited for that.
func (l *ledger) release(key types.NamespacedName, s rollout.State, now time.Time) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.page(key)
	before := len(p.claims)
	p.claim(rollout.Claims(s), now)
	if len(p.claims) == before {
		return nil
	}
	return l.waiting(key)
}

// forget drops the page of a rollout that is gone, or has no DaemonSet, and returns
// who waited for it.
func (l *ledger) forget(key types.NamespacedName) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[key] == nil {
		return nil
	}
	delete(l.of, key)
	return l.waiting(key)
}

// waiting are the rollouts that wait for what others do, but for that one.
func (l *ledger) waiting(but types.NamespacedName) []types.NamespacedName {
	var out []types.NamespacedName
	for _, key := range l.keys() {
		if key != but && l.of[key].waits {
			out = append(out, key)
		}
	}
	return out
}

func (l *ledger) keys() []types.NamespacedName {
	out := make([]types.NamespacedName, 0, len(l.of))
	for key := range l.of {
		out = append(out, key)
	}
	slices.SortFunc(out, func(a, b types.NamespacedName) int { return cmp.Compare(a.String(), b.String()) })
	return out
}

// busy are the nodes that others are at work on, sorted by name.
func (l *ledger) busy(but types.NamespacedName, now time.Time) []rollout.Busy {
	var out []rollout.Busy
	for _, key := range l.keys() {
		if key == but {
			continue
		}
		for _, c := range l.of[key].claims {
			if now.Before(c.until) {
				out = append(out, rollout.Busy{Node: c.Node, UID: c.UID, By: key.String(), Until: c.until})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b rollout.Busy) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// sick is how much of the fleet is, by what every rollout has seen last.
func (l *ledger) sick() rollout.Sick {
	var sick, all []string
	out := rollout.Sick{}
	for _, p := range l.of {
		if !p.looked {
			out.Unseen++
		}
		sick, all = append(sick, p.sick...), append(all, p.eligible...)
	}
	slices.Sort(sick)
	slices.Sort(all)
	sick = slices.Compact(sick)
	out.Nodes, out.Of, out.Examples = len(sick), len(slices.Compact(all)), sick[:min(len(sick), 3)]
	return out
}

// cycle is the way from the rollout over what it comes after back to itself; nil
// if there is none.
func (l *ledger) cycle(from types.NamespacedName) []types.NamespacedName {
	seen := map[types.NamespacedName]bool{}
	var follow func(at types.NamespacedName) []types.NamespacedName
	follow = func(at types.NamespacedName) []types.NamespacedName {
		if l.of[at] == nil {
			return nil
		}
		for _, next := range l.of[at].after {
			if next == from {
				return []types.NamespacedName{at, next}
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if rest := follow(next); rest != nil {
				return append([]types.NamespacedName{at}, rest...)
			}
		}
		return nil
	}
	return follow(from)
}
