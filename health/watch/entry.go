package watch

import (
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/health"
)

// entry is what the cache keeps of a pod that a DaemonSet controls: a tenth of the
// pod.
type entry struct {
	namespace string
	// owner and daemonSet are the UID and the name of the DaemonSet.
	owner     types.UID
	daemonSet string
	// node is the one that the pod is on, or meant for.
	node string
	// agent has no digest: that depends on what a rollout knows.
	agent health.Agent
}

// GetObjectMeta is what an informer needs to know.
func (e *entry) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: e.namespace, Name: e.agent.Name, UID: e.agent.UID, ResourceVersion: e.agent.Version}
}

// stranger is what the cache keeps of a pod that no DaemonSet controls.
type stranger struct {
	namespace, name, version string
}

// GetObjectMeta is what an informer needs to know.
func (s *stranger) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: s.namespace, Name: s.name, ResourceVersion: s.version}
}

func newEntry(p *corev1.Pod) *entry {
	e := &entry{namespace: shared(p.Namespace), node: shared(nodeOf(p)), agent: newAgent(p)}
	if ref := metav1.GetControllerOfNoCopy(p); ref != nil {
		e.owner, e.daemonSet = shared(ref.UID), shared(ref.Name)
	}
	e.agent.Revision, e.agent.Trouble.Reason = shared(e.agent.Revision), shared(e.agent.Trouble.Reason)
	return e
}

// shared is the one copy of a string that thousands of objects have in common.
func shared[S ~string](s S) S {
	return unique.Make(s).Value()
}

// ownerOf is the DaemonSet that controls the pod or the controller revision, and
// whether rollcall's gate is on the pod.
func ownerOf(o any) (namespace, name string, uid types.UID, gate bool) {
	switch o := known(o).(type) {
	case *entry:
		return o.namespace, o.daemonSet, o.owner, o.agent.Gated
	case *appsv1.ControllerRevision:
		if ref := metav1.GetControllerOfNoCopy(o); ref != nil && ref.Kind == daemonSetKind {
			return o.Namespace, ref.Name, ref.UID, false
		}
	}
	return "", "", "", false
}
