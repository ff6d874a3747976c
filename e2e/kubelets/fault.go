package kubelets

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/e2e/fleet"
)

const (
	tagKiller = "killer"
	tagNoisy  = "noisy"

	// killAfter is the time from a killer pod's Ready to the fall of its node.
	killAfter = 20 * time.Second

	// causePrefix starts every cause that the injector writes, so that it takes back its own marks only.
	causePrefix = "fault injected by pod "
)

// mark is one change that the injector makes: it sets fleet.NotReadyAnnotation of a node or pod to Cause, or takes it
// away where Cause is empty.
type mark struct {
	// Namespace is empty for a node.
	Namespace, Name string
	UID             types.UID
	Cause           string
}

// decide compares the pods of every node with the marks that are there and returns what has to change, ordered by node
// and name, and when to look again at the latest: zero means not before something changes.
func decide(nodes []*corev1.Node, pods []*corev1.Pod, now time.Time) (marks []mark, again time.Duration) {
	byNode := map[string][]*corev1.Pod{}
	for _, pod := range pods {
		byNode[pod.Spec.NodeName] = append(byNode[pod.Spec.NodeName], pod)
	}
	nodes = slices.SortedFunc(slices.Values(nodes), func(a, b *corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	for _, node := range nodes {
		here := byNode[node.Name]
		slices.SortFunc(here, func(a, b *corev1.Pod) int {
			return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
		})
		change, wait := decideNode(node, here, now)
		marks = append(marks, change...)
		marks = append(marks, decideNeighbours(here)...)
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	return marks, again
}

// decideNode marks a node on which a killer has been Ready for killAfter, and unmarks one that no killer is left on.
func decideNode(node *corev1.Node, here []*corev1.Pod, now time.Time) (change []mark, again time.Duration) {
	killers := tagged(here, tagKiller)
	cause, marked := node.Annotations[fleet.NotReadyAnnotation]
	if marked {
		if len(killers) == 0 && strings.HasPrefix(cause, causePrefix) {
			return []mark{{Name: node.Name, UID: node.UID}}, 0
		}
		return nil, 0
	}
	for _, killer := range killers {
		ready, since := readySince(killer)
		if !ready {
			continue
		}
		left := since.Add(killAfter).Sub(now)
		if left <= 0 {
			return []mark{{Name: node.Name, UID: node.UID, Cause: causePrefix + killer.Name}}, 0
		}
		if again == 0 || left < again {
			again = left
		}
	}
	return nil, again
}

// decideNeighbours marks the first healthy pod of another owner beside a noisy pod that is Ready, and unmarks what was
// marked where no noisy pod is left.
func decideNeighbours(here []*corev1.Pod) []mark { //nolint:gocyclo // three rules in a row
	noisy := tagged(here, tagNoisy)
	var victims []mark
	for _, pod := range here {
		if strings.HasPrefix(pod.Annotations[fleet.NotReadyAnnotation], causePrefix) {
			victims = append(victims, mark{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID})
		}
	}
	if len(noisy) == 0 {
		return victims
	}
	if len(victims) > 0 {
		return nil
	}
	for _, source := range noisy {
		if ready, _ := readySince(source); !ready {
			continue
		}
		for _, pod := range here {
			if ready, _ := readySince(pod); ready && tag(pod) != tagNoisy && owner(pod) != owner(source) && pod.DeletionTimestamp == nil {
				return []mark{{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Cause: causePrefix + source.Name}}
			}
		}
	}
	return nil
}

func tagged(pods []*corev1.Pod, wanted string) []*corev1.Pod {
	var found []*corev1.Pod
	for _, pod := range pods {
		if tag(pod) == wanted {
			found = append(found, pod)
		}
	}
	return found
}

// tag returns the tag of the image of the pod's first container.
func tag(pod *corev1.Pod) string {
	image := pod.Spec.Containers[0].Image
	return image[strings.LastIndex(image, ":")+1:]
}

// owner returns the UID of the pod's controller, or its own if it has none.
func owner(pod *corev1.Pod) types.UID {
	if controller := metav1.GetControllerOf(pod); controller != nil {
		return controller.UID
	}
	return pod.UID
}

// readySince says whether the pod is Ready, and since when.
func readySince(pod *corev1.Pod) (bool, time.Time) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue, condition.LastTransitionTime.Time
		}
	}
	return false, time.Time{}
}
