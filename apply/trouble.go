package apply

import (
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// ReasonStepFailed is a rollout whose steps the API server refuses.
const ReasonStepFailed = "StepFailed"

// trouble remembers by DaemonSet why its last steps could not be taken, so that
// the next status says it. The zero value is ready.
type trouble struct {
	mu   sync.Mutex
	last map[types.NamespacedName]string
}

// note remembers an error, or that there was none. A conflict is none: somebody
// else wrote, and the next look decides anew.
func (t *trouble) note(key types.NamespacedName, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		delete(t.last, key)
	case apierrors.IsConflict(err):
	case t.last == nil:
		t.last = map[types.NamespacedName]string{key: err.Error()}
	default:
		t.last[key] = err.Error()
	}
}

func (t *trouble) of(key types.NamespacedName) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[key]
}
