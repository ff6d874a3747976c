package main

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ledger is what the API server said of the agents' pods, event by event. It
// believes nothing that rollcall says of itself.
type ledger struct {
	// labels are the versions seen so far.
	labels map[version]string
	agents map[types.UID]agent
	// born are the nodes that had a Ready agent once.
	born map[string]bool
	act  measure
}

// measure is what one act has done to the nodes.
type measure struct {
	// label of the act's version; empty when it has none.
	label string
	// touched are the nodes that a pod of the act's version was ever bound to.
	touched map[string]bool
	// hurt are those of them where it failed: it restarted, was Ready and then
	// not, or went without ever having been Ready.
	hurt map[string]bool
	// down is the most nodes that were without a Ready agent at once, of those
	// that had one before.
	down int
}

// version tells pods apart by what their nodes run: the image and the names of
// the ConfigMaps, which rollcall derives from their content.
type version string

// agent is one pod.
type agent struct {
	node  string
	label string
	// bound is false while the pod waits at a gate or for the scheduler.
	bound, ready, wasReady, failed, leaving bool
}

func newLedger() *ledger {
	return &ledger{labels: map[version]string{}, agents: map[types.UID]agent{}, born: map[string]bool{}}
}

// begin starts the account of an act; a version not seen before is its own.
func (l *ledger) begin(label string) {
	l.act = measure{label: label, touched: map[string]bool{}, hurt: map[string]bool{}}
}

// see takes a pod as it is now.
func (l *ledger) see(p *corev1.Pod) {
	v := versionOf(p)
	if _, known := l.labels[v]; !known {
		l.labels[v] = l.act.label
	}
	before := l.agents[p.UID]
	now := agent{
		node:    nodeOf(p),
		label:   l.labels[v],
		bound:   p.Spec.NodeName != "",
		ready:   podReady(p) && p.DeletionTimestamp == nil,
		leaving: p.DeletionTimestamp != nil,
	}
	now.wasReady = before.wasReady || now.ready
	now.failed = before.failed || restarted(p) || before.ready && !now.ready && !now.leaving
	l.agents[p.UID] = now
	if now.ready {
		l.born[now.node] = true
	}
	l.judge(now)
	l.count()
}

// gone takes a pod that is no more.
func (l *ledger) gone(p *corev1.Pod) {
	last := l.agents[p.UID]
	last.leaving = true
	l.judge(last)
	delete(l.agents, p.UID)
	l.count()
}

func (l *ledger) judge(a agent) {
	if !a.bound || l.act.label == "" || a.label != l.act.label {
		return
	}
	l.act.touched[a.node] = true
	if a.failed || a.leaving && !a.wasReady {
		l.act.hurt[a.node] = true
	}
}

func (l *ledger) count() {
	l.act.down = max(l.act.down, len(l.without()))
}

// without are the nodes that had a Ready agent once and have none now.
func (l *ledger) without() []string {
	served := map[string]bool{}
	for _, a := range l.agents {
		if a.ready {
			served[a.node] = true
		}
	}
	var out []string
	for node := range l.born {
		if !served[node] {
			out = append(out, node)
		}
	}
	slices.Sort(out)
	return out
}

// atRest is whether every node has one agent, which is Ready, and all of the
// same version.
func (l *ledger) atRest(nodes int) bool {
	first, labels := true, ""
	for _, a := range l.agents {
		if !a.ready || !first && a.label != labels {
			return false
		}
		first, labels = false, a.label
	}
	return len(l.agents) == nodes
}

// cells are the nodes as they are drawn. A node with two pods shows the Ready one.
func (l *ledger) cells() map[string]cell {
	out := map[string]cell{}
	for _, a := range l.agents {
		c := cell{state: a.state(l.act.label), label: a.label, hurt: l.act.hurt[a.node]}
		if other, there := out[a.node]; !there || c.state < other.state {
			out[a.node] = c
		}
	}
	return out
}

func (a agent) state(candidate string) state {
	switch {
	case a.ready && candidate != "" && a.label == candidate:
		return candidateReady
	case a.ready:
		return provenReady
	case a.failed:
		return failing
	case a.leaving:
		return absent
	default:
		return starting
	}
}

func versionOf(p *corev1.Pod) version {
	parts := []string{p.Spec.Containers[0].Image}
	for _, v := range p.Spec.Volumes {
		if v.ConfigMap != nil {
			parts = append(parts, v.ConfigMap.Name)
		}
	}
	return version(strings.Join(parts, " "))
}

// nodeOf is the pod's node, also before it is bound: the DaemonSet controller
// names it in the pod's affinity.
func nodeOf(p *corev1.Pod) string {
	if p.Spec.NodeName != "" || p.Spec.Affinity == nil || p.Spec.Affinity.NodeAffinity == nil {
		return p.Spec.NodeName
	}
	required := p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		return ""
	}
	for _, term := range required.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == "metadata.name" && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func restarted(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.RestartCount > 0 })
}
