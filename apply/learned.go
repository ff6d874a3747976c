package apply

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// learned remembers by DaemonSet what the API server made of a template that was
// written, until that is recorded. A new process learns it again. The zero value
// is ready.
type learned struct {
	mu   sync.Mutex
	last map[types.NamespacedName]spelling
}

func (l *learned) note(key types.NamespacedName, s spelling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[types.NamespacedName]spelling{}
	}
	l.last[key] = s
}

// of returns what was learned last; its digest is empty when that is nothing.
func (l *learned) of(key types.NamespacedName) spelling {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last[key]
}

func (l *learned) forget(key types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.last, key)
}
