package apply

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing/fstest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// pruning prunes worlds by the rules, or by broken ones.
type pruning struct {
	rollouts  *Rollouts
	world     *pruned
	spare     func(context.Context, *Rollouts, Set, diff.Input) (diff.Input, error)
	inventory func(Set, diff.Plan, Results) *v1alpha1.Inventory
}

// pruned is what an API server has of one GitSync's objects.
type pruned struct {
	objects   map[diff.ID]*unstructured.Unstructured
	inventory *v1alpha1.Inventory
	git       *render.Declared
	sets      []*prunedSet
	history   int
	made      int
}

// prunedSet is one DaemonSet with its rollout.
type prunedSet struct {
	name                        string
	templates                   map[string]corev1.PodTemplateSpec
	declared, proven, candidate string
	// shown is the version that the status calls proven.
	shown     string
	recorded  recorded
	live      corev1.PodTemplateSpec
	revisions []*appsv1.ControllerRevision
	pods      []*corev1.Pod
}

func newPruned() *pruned {
	return &pruned{objects: map[diff.ID]*unstructured.Unstructured{}}
}

func newPruning() *pruning {
	p := &pruning{spare: func(ctx context.Context, r *Rollouts, set Set, in diff.Input) (diff.Input, error) {
		return r.Spare(ctx, set, in)
	}, inventory: Inventory}
	config := &rest.Config{Host: "http://cluster", Transport: p, QPS: -1}
	p.rollouts = &Rollouts{Kube: kubernetes.NewForConfigOrDie(config)}
	own, err := kinds.NewClient(config)
	if err != nil {
		panic(err)
	}
	p.rollouts.Kinds = own
	return p
}

// after changes what is spared.
func (p *pruning) after(edit func(*diff.Input)) {
	p.spare = func(ctx context.Context, r *Rollouts, set Set, in diff.Input) (diff.Input, error) {
		in, err := r.Spare(ctx, set, in)
		edit(&in)
		return in, err
	}
}

// tell lets a history happen and returns the first thing that is wrong with it.
func (p *pruning) tell(history []string) error {
	p.world = newPruned()
	for _, event := range history {
		if err := p.happen(strings.Fields(event)); err != nil {
			return fmt.Errorf("%s: %w", event, err)
		}
	}
	for _, event := range []string{"calm", "pass", "trim 0", "trim 1", "pass"} {
		if err := p.happen(strings.Fields(event)); err != nil {
			return fmt.Errorf("%s at the end: %w", event, err)
		}
	}
	return p.world.leaks()
}

func (p *pruning) happen(words []string) error {
	w, n := p.world, 0
	if len(words) > 1 {
		_, _ = fmt.Sscan(words[1], &n)
	}
	switch words[0] {
	case "keep":
		w.history = n
		return nil
	case "commit":
		return w.commit(words[1:])
	case "pass":
		return p.pass()
	case "calm":
		for _, s := range w.sets {
			s.calm(w)
		}
		return nil
	}
	if n < len(w.sets) {
		w.sets[n].happen(w, words[0], words[len(words)-1])
	}
	return nil
}

// commit is what Git declares from now on.
func (w *pruned) commit(declarations []string) error {
	var text strings.Builder
	for i, d := range declarations {
		fmt.Fprintf(&text, daemonSetOfPrune, fmt.Sprint("set-", i), d[0:1], d[1:2], d[2:3])
		if len(w.sets) <= i {
			w.sets = append(w.sets, &prunedSet{name: fmt.Sprint("set-", i), templates: map[string]corev1.PodTemplateSpec{}})
		}
	}
	var err error
	w.git, err = render.Build(fstest.MapFS{"all.yaml": &fstest.MapFile{Data: []byte(text.String())}}, render.Options{Namespace: "agents"})
	return err
}

// A DaemonSet that reads a pinned ConfigMap and a Secret that is not pinned, and whose
// pods need a role by another way than a reference.
const daemonSetOfPrune = `---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: %[1]s, namespace: agents}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}, annotations: {needs: %[1]s-role-%[4]s}}
    spec:
      containers: [{name: agent, image: "agent:1", envFrom: [{secretRef: {name: %[1]s-secret-%[3]s}}]}]
      volumes: [{name: config, configMap: {name: config}}, {name: own, configMap: {name: %[1]s-config}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: %[1]s-config, namespace: agents}
data: {a: "%[2]s"}
---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s-secret-%[3]s, namespace: agents, annotations: {rollcall.dev/pin-config: "false"}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %[1]s-role-%[4]s}
`

// pass applies what Git declares, hands it to the rollouts, and prunes.
func (p *pruning) pass() error {
	w := p.world
	set := NewSet(types.NamespacedName{Namespace: "agents", Name: "git"}, w.git, w.inventory)
	in := diff.Input{Owner: set.Owner, DaemonSets: set.DaemonSets, Previous: set.Previous, Prune: true}
	for _, o := range set.Objects {
		declared := o.DeepCopy()
		declared.SetLabels(labelled(declared.GetLabels(), set.Owner))
		w.objects[diff.IDOf(declared)] = declared
		in.Objects = append(in.Objects, diff.Object{Declared: declared, Live: declared, Merged: declared})
	}
	for _, id := range formerIDs(set) {
		in.Former = append(in.Former, diff.Former{ID: id.ID, Live: w.objects[id.ID]})
	}
	for i, ds := range w.git.DaemonSets {
		var typed appsv1.DaemonSet
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(ds.Pinned.Object, &typed); err != nil {
			return err
		}
		s := w.sets[i]
		s.declared, s.templates[ds.Digest] = ds.Digest, typed.Spec.Template
		if s.proven == "" && s.candidate == "" {
			s.candidate, s.live = ds.Digest, *withGate(&typed.Spec.Template)
			s.record()
		}
		in.Unproven = in.Unproven || s.shown != s.declared || s.candidate != "" // then its phase is another one than Proven
	}
	in, err := p.spare(context.Background(), p.rollouts, set, in)
	if err != nil {
		return err
	}
	plan := diff.Calculate(in)
	var results Results
	var deleted []diff.ID
	for _, c := range plan.Of(diff.Delete) {
		deleted, results = append(deleted, c.ID), append(results, Result{ID: c.ID, Done: Deleted})
	}
	err = w.judge(deleted)
	for _, id := range deleted {
		delete(w.objects, id)
	}
	w.inventory = p.inventory(set, plan, results)
	return err
}

// happen is what becomes of one DaemonSet.
func (s *prunedSet) happen(w *pruned, event, node string) {
	switch event {
	case "decide":
		s.decide()
	case "prove":
		if s.candidate != "" {
			s.proven, s.candidate = s.candidate, ""
			s.live = s.templates[s.proven]
			s.record()
			s.shown = s.proven
		}
	case "replace":
		s.place(w, node, cmp.Or(s.candidate, s.proven))
	case "return":
		s.place(w, node, cmp.Or(s.proven, s.candidate))
	case "gone":
		s.pods = slices.DeleteFunc(s.pods, func(p *corev1.Pod) bool { return p.Spec.NodeName == node })
	case "linger": // the next pod of the node does not end this one
		for _, p := range s.pods {
			if p.Spec.NodeName == node {
				p.Spec.NodeName += "-still"
			}
		}
	case "fail":
		for _, p := range s.pods {
			if p.Spec.NodeName == node {
				p.Status.Phase = corev1.PodFailed
			}
		}
	case "trim":
		s.trim(w)
	}
}

// decide takes what is declared for the candidate, or for what is proven already.
func (s *prunedSet) decide() {
	if s.declared == "" || s.proven == "" && s.candidate == "" {
		return
	}
	s.candidate = s.declared
	if s.declared == s.proven {
		s.candidate = ""
	}
	s.record()
}

// record is what the rollout records with a decision, by the rule that is in use.
func (s *prunedSet) record() {
	version := func(digest string) *rollout.Version {
		if digest == "" {
			return nil
		}
		return &rollout.Version{Digest: digest}
	}
	want := &declared{Digest: s.declared, Template: s.templates[s.declared]}
	v := &view{book: newBook(s.recorded, want, spelling{}), rollout: s.rollout(), want: want, recorded: s.recorded}
	s.recorded = v.nextRecorded(rollout.Decision{Next: rollout.State{Proven: version(s.proven), Candidate: version(s.candidate)}})
}

// place gives a node another pod, made from a revision that Kubernetes makes or finds.
func (s *prunedSet) place(w *pruned, node, digest string) {
	t, known := s.templates[digest]
	if !known {
		return
	}
	hash := digest[len("sha256:"):][:10]
	if !slices.ContainsFunc(s.revisions, func(r *appsv1.ControllerRevision) bool { return r.Name == s.name+"-"+hash }) {
		w.made++
		raw, _ := json.Marshal(map[string]any{"spec": map[string]any{"template": t}})
		s.revisions = append(s.revisions, &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Name: s.name + "-" + hash, Namespace: "agents", OwnerReferences: s.owners(),
				Labels: map[string]string{"app": s.name, appsv1.ControllerRevisionHashLabelKey: hash}},
			Data: runtime.RawExtension{Raw: raw}, Revision: int64(w.made),
		})
	}
	s.pods = slices.DeleteFunc(s.pods, func(p *corev1.Pod) bool { return p.Spec.NodeName == node })
	w.made++
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-pod-%d", s.name, w.made), Namespace: "agents", OwnerReferences: s.owners(),
		Labels: map[string]string{"app": s.name, appsv1.ControllerRevisionHashLabelKey: hash}, Annotations: t.Annotations}, Spec: *t.Spec.DeepCopy()}
	pod.Spec.NodeName, pod.Spec.ServiceAccountName = node, "default"
	s.pods = append(s.pods, pod)
}

// trim is what the DaemonSet controller does with revisions that no pod runs and that
// are not of the live template.
func (s *prunedSet) trim(w *pruned) {
	spare := 0
	for _, r := range slices.Backward(slices.Clone(s.revisions)) {
		hash := r.Labels[appsv1.ControllerRevisionHashLabelKey]
		used := slices.ContainsFunc(s.pods, func(p *corev1.Pod) bool { return p.Labels[appsv1.ControllerRevisionHashLabelKey] == hash })
		if used || strings.HasPrefix(s.proven, "sha256:"+hash) {
			continue
		}
		if spare++; spare > w.history {
			s.revisions = slices.DeleteFunc(s.revisions, func(o *appsv1.ControllerRevision) bool { return o == r })
		}
	}
}

// calm brings the rollout to its end on every node.
func (s *prunedSet) calm(w *pruned) {
	for range 2 {
		s.decide()
		s.happen(w, "prove", "")
	}
	s.decide()
	s.pods = nil
	for node := range 3 {
		s.place(w, fmt.Sprint(node), s.proven)
	}
}

func (s *prunedSet) owners() []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: s.name, UID: types.UID("uid-" + s.name), Controller: ptr.To(true)}}
}

func (s *prunedSet) rollout() *v1alpha1.NodeRollout {
	out := &v1alpha1.NodeRollout{ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: "agents"}}
	if s.shown != "" {
		out.Status.Proven = &v1alpha1.Version{Digest: s.shown}
	}
	return out
}

func (w *pruned) isDeclared(id diff.ID) bool {
	return slices.ContainsFunc(w.git.Objects, func(o render.Object) bool { return diff.IDOf(o.Unstructured) == id })
}

func sortedIDs(objects map[diff.ID]*unstructured.Unstructured) []diff.ID {
	out := make([]diff.ID, 0, len(objects))
	for id := range objects {
		out = append(out, id)
	}
	slices.SortFunc(out, diff.ID.Compare)
	return out
}

// RoundTrip answers what an API server would of the world.
func (p *pruning) RoundTrip(request *http.Request) (*http.Response, error) {
	name := request.URL.Path[strings.LastIndexByte(request.URL.Path, '/')+1:]
	selector, err := labels.Parse(request.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	body, code := any(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Reason: metav1.StatusReasonNotFound, Code: 404}), 404
	if found := p.world.answer(request.URL.Path, name, selector); found != nil {
		body, code = found, 200
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), Request: request}, nil
}

func (w *pruned) answer(path, name string, selector labels.Selector) any {
	switch name {
	case "noderollouts":
		out := v1alpha1.NodeRolloutList{TypeMeta: metav1.TypeMeta{Kind: "NodeRolloutList", APIVersion: v1alpha1.GroupVersion().String()}}
		for _, s := range w.sets {
			out.Items = append(out.Items, *s.rollout())
		}
		return out
	case "pods":
		out := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
		for _, s := range w.sets {
			for _, p := range s.pods {
				if selector.Matches(labels.Set(p.Labels)) {
					out.Items = append(out.Items, *p)
				}
			}
		}
		return out
	case "controllerrevisions":
		out := appsv1.ControllerRevisionList{TypeMeta: metav1.TypeMeta{Kind: "ControllerRevisionList", APIVersion: "apps/v1"}}
		for _, s := range w.sets {
			for _, r := range s.revisions {
				if selector.Matches(labels.Set(r.Labels)) {
					out.Items = append(out.Items, *r)
				}
			}
		}
		return out
	}
	for _, s := range w.sets {
		if strings.TrimSuffix(strings.TrimSuffix(name, stateSuffix), declaredSuffix) == s.name {
			return s.answer(path, name)
		}
	}
	return nil
}

func (s *prunedSet) answer(path, name string) any {
	switch {
	case strings.Contains(path, "/noderollouts/"):
		out := s.rollout()
		out.TypeMeta = metav1.TypeMeta{Kind: "NodeRollout", APIVersion: v1alpha1.GroupVersion().String()}
		return out
	case strings.Contains(path, "/daemonsets/"):
		return appsv1.DaemonSet{TypeMeta: metav1.TypeMeta{Kind: "DaemonSet", APIVersion: "apps/v1"},
			ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: "agents", UID: types.UID("uid-" + s.name)},
			Spec:       appsv1.DaemonSetSpec{Selector: metav1.SetAsLabelSelector(labels.Set{"app": s.name}), Template: s.live}}
	case strings.HasSuffix(name, declaredSuffix):
		text, _ := json.Marshal(declared{Digest: s.declared, Template: s.templates[s.declared]})
		return configMapOf(name, map[string]string{keyDeclared: string(text)})
	default:
		out, err := (&change{after: s.recorded}).content()
		if err != nil {
			return nil
		}
		return configMapOf(name, out.text)
	}
}

func configMapOf(name string, data map[string]string) corev1.ConfigMap {
	return corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "agents"}, Data: data}
}
