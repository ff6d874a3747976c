package apply

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// writtenFor is how long a write is remembered: longer than any cache lags.
const writtenFor = 10 * time.Minute

// Written remembers what this process did to pods until the cache shows it, so
// that no decision is made on a pod that is already gone. Losing it is safe: a
// new process starts from a fresh list. The zero value is ready.
type Written struct {
	mu   sync.Mutex
	pods map[types.UID]write
}

type write struct {
	at       time.Time
	deleted  bool
	opened   bool
	revision string
}

func (w *Written) note(pod types.UID, change func(*write)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pods == nil {
		w.pods = map[types.UID]write{}
	}
	now := time.Now()
	for uid, old := range w.pods {
		if now.Sub(old.at) > writtenFor {
			delete(w.pods, uid)
		}
	}
	entry := w.pods[pod]
	entry.at = now
	change(&entry)
	w.pods[pod] = entry
}

// overlay shows the writes on a fleet that was just read from the cache.
func (w *Written) overlay(fleet []health.Node) []health.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range fleet {
		for j := range fleet[i].Agents {
			a := &fleet[i].Agents[j]
			entry, known := w.pods[a.UID]
			if !known {
				continue
			}
			a.Terminating = a.Terminating || entry.deleted
			a.Gated = a.Gated && !entry.opened
			if entry.revision != "" {
				a.Revision = entry.revision
			}
		}
	}
	return fleet
}
