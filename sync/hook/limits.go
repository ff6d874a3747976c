package hook

import (
	"hash/maphash"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// perSecond and burst bound all requests together: each may cost one read of a Secret.
	perSecond = 20
	burst     = 100
	// perSecondEach and burstEach bound those of one GitSync, whether there is one of that name or not.
	perSecondEach = 1
	burstEach     = 10
	// atOnce is how many are heard at one time, those that wait to be refused among them.
	atOnce = 100
	// shares is how many limits there are for GitSyncs: those whose names fall together share one, so that names that
	// somebody makes up take no memory.
	shares = 1024
)

// limits bound what anybody who can reach the port may cost.
type limits struct {
	seed maphash.Seed
	all  *rate.Limiter
	each [shares]*rate.Limiter
	busy chan struct{}
}

func newLimits() *limits {
	l := &limits{seed: maphash.MakeSeed(), all: rate.NewLimiter(perSecond, burst), busy: make(chan struct{}, atOnce)}
	for i := range l.each {
		l.each[i] = rate.NewLimiter(perSecondEach, burstEach)
	}
	return l
}

// enter returns whether a request is heard, and what to call at its end.
func (l *limits) enter(key types.NamespacedName) (leave func(), ok bool) {
	share := maphash.String(l.seed, key.String()) % shares
	if !l.each[share].Allow() || !l.all.Allow() {
		return nil, false
	}
	select {
	case l.busy <- struct{}{}:
		return func() { <-l.busy }, true
	default:
		return nil, false
	}
}
