package apply

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// ReasonDependencyInvalid holds a rollout whose DaemonSet names one to come after
// that there is not, or that comes after itself.
const ReasonDependencyInvalid = "DependencyInvalid"

// After are the DaemonSets that the annotation names, of the namespace of the one
// that has it unless they say another.
func After(annotations map[string]string, namespace string) []types.NamespacedName {
	var out []types.NamespacedName
	for word := range strings.SplitSeq(annotations[v1alpha1.AnnotationAfter], ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		key := types.NamespacedName{Namespace: namespace, Name: word}
		if ns, name, found := strings.Cut(word, "/"); found {
			key = types.NamespacedName{Namespace: ns, Name: name}
		}
		out = append(out, key)
	}
	return out
}

// after are those that Git declares.
func (d *declared) after(namespace string) []types.NamespacedName {
	if d == nil || rollout.Removes(d.Digest) { // what is to go waits for none
		return nil
	}
	around := unstructured.Unstructured{Object: d.Around}
	return After(around.GetAnnotations(), namespace)
}

// predecessor is a DaemonSet to come after, as the API server has it now.
type predecessor struct {
	key types.NamespacedName
	// known is whether it has a rollout of the same GitSync, and digest is what Git
	// declares of it; empty when that is not known.
	known  bool
	digest string
}

type predecessors []predecessor

func (all predecessors) keys() []types.NamespacedName {
	var out []types.NamespacedName
	for _, p := range all {
		out = append(out, p.key)
	}
	return out
}

// readPredecessors reads live what Git declares of them: the rollout of one that
// was declared a moment ago may not have looked yet. Nobody asks at rest.
func (r *Rollouts) readPredecessors(ctx context.Context, v *view, s rollout.State) (predecessors, error) {
	v.rests = v.want != nil && s.Proven != nil && s.Candidate == nil && s.Proven.Digest == v.want.Digest
	var out predecessors
	for _, key := range v.want.after(v.key.Namespace) {
		p, err := predecessor{key: key}, error(nil)
		if !v.rests {
			p, err = r.readPredecessor(ctx, key, v.want.Owner)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (r *Rollouts) readPredecessor(ctx context.Context, key types.NamespacedName, gitSync string) (predecessor, error) {
	p := predecessor{key: key}
	n, err := r.Kinds.NodeRollouts(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return p, fmt.Errorf("get noderollout %s: %w", key, err)
	}
	if p.known = err == nil && owner(n) == gitSync; !p.known {
		return p, nil
	}
	d, err := (store{r.Kube, key}).declared(ctx)
	if d != nil {
		p.digest = d.Digest
	}
	return p, err
}

// predecessors is what Decide is told of them, or what is wrong with one.
func (l *ledger) predecessors(v *view) ([]rollout.Predecessor, *rollout.Block) {
	if v.rests {
		return nil, nil
	}
	var out []rollout.Predecessor
	for _, p := range v.predecessors {
		if !p.known || p.key == v.key {
			return nil, v.invalidAfter(p.key)
		}
		out = append(out, l.predecessor(v, p))
	}
	if way := l.cycle(v.key); way != nil {
		return nil, v.cyclic(way)
	}
	return out, nil
}

// predecessor is where the other DaemonSet is not yet: nowhere at all while its
// rollout has not looked at what Git declares.
func (l *ledger) predecessor(v *view, p predecessor) rollout.Predecessor {
	out := rollout.Predecessor{Name: p.key.String()}
	if page := l.of[p.key]; page != nil && page.looked && p.digest != "" && page.digest == p.digest {
		out.Behind, out.Stuck = page.behind, page.stuck
		return out
	}
	for i := range v.input.Fleet {
		if n := &v.input.Fleet[i]; n.Eligible {
			out.Behind = append(out.Behind, n.Name)
		}
	}
	return out
}

func (v *view) invalidAfter(key types.NamespacedName) *rollout.Block {
	what := fmt.Sprintf("GitSync %s has no DaemonSet %s that rollcall rolls out", v.want.Owner, key)
	if key == v.key {
		what = "that is the DaemonSet itself"
	}
	return &rollout.Block{Reason: ReasonDependencyInvalid, Message: fmt.Sprintf("the annotation %s of DaemonSet %s names %s, but %s: correct the annotation in Git or take it out; nothing is begun until then, returns go on",
		v1alpha1.AnnotationAfter, v.key, key, what)}
}

func (v *view) cyclic(way []types.NamespacedName) *rollout.Block {
	words := make([]string, 0, len(way))
	for _, key := range way {
		words = append(words, key.String())
	}
	return &rollout.Block{Reason: ReasonDependencyInvalid, Message: fmt.Sprintf("by the annotation %s DaemonSet %s comes after itself: %s: take it out of one of them in Git; nothing is begun until then, returns go on",
		v1alpha1.AnnotationAfter, v.key, strings.Join(words, " after "))}
}

// Dependency is what is wrong with those that a DaemonSet is to come after, by what the GitSync of the owner label
// declares of all of its DaemonSets; nil when nothing is. It is what holds the rollout, in the same words.
func Dependency(owner string, of types.NamespacedName, all map[types.NamespacedName][]types.NamespacedName) *rollout.Block {
	v, l := &view{key: of, want: &declared{Owner: owner}}, &ledger{of: map[types.NamespacedName]*page{}}
	for key, after := range all {
		l.of[key] = &page{after: after}
	}
	for _, key := range all[of] {
		if _, known := all[key]; !known || key == of {
			return v.invalidAfter(key)
		}
	}
	if way := l.cycle(of); way != nil {
		return v.cyclic(way)
	}
	return nil
}
