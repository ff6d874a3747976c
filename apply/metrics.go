package apply

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Metrics are the rollout metrics. They carry the DaemonSet's namespace and
// name, never a commit, a node or a pod.
type Metrics struct {
	phase, nodes, wave, held     *prometheus.GaugeVec
	unproven, superseded         *prometheus.GaugeVec
	replaced, returned, rejected *prometheus.CounterVec
	restored                     *prometheus.CounterVec
	pulse                        prometheus.Histogram

	mu sync.Mutex
	// opened is when this process opened a pulse that is not closed yet.
	opened map[types.NamespacedName]time.Time
}

// NewMetrics registers the rollout metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	labels := []string{"namespace", "name"}
	gauge := func(name, help string, extra ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append(labels[:2:2], extra...))
	}
	counter := func(name, help string, extra ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(labels[:2:2], extra...))
	}
	m := &Metrics{
		phase:      gauge("rollcall_noderollout_phase", "1 for the phase that the rollout is in, 0 for the others.", "phase"),
		nodes:      gauge("rollcall_noderollout_nodes", "Nodes of the DaemonSet by state; the states overlap.", "state"),
		wave:       gauge("rollcall_noderollout_wave", "Index of the wave in progress, from 1; 0 at rest."),
		held:       gauge("rollcall_noderollout_held_seconds", "How long the rollout has been held, rejected, waiting or failing to take its steps, by reason.", "reason"),
		unproven:   gauge("rollcall_noderollout_unproven_since_timestamp_seconds", "Since when Git has asked, without a break, for another version than the proven one; 0 when it asks for that."),
		superseded: gauge("rollcall_noderollout_superseded", "Versions that Git has replaced by others since then before they were proven or rejected."),
		replaced:   counter("rollcall_noderollout_replaced_total", "Agents deleted, or given a second one in a surge, to give their node the candidate."),
		returned:   counter("rollcall_noderollout_returned_total", "Agents deleted, or given a second one in a surge, to give their node the proven version again."),
		rejected:   counter("rollcall_noderollout_rejected_total", "Versions rejected."),
		restored:   counter("rollcall_noderollout_restored_total", "Times that what somebody else wrote to the DaemonSet was written over, by field.", "field"),
		pulse:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "rollcall_noderollout_pulse_seconds", Help: "How long the DaemonSet held the gated candidate.", Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}}),
		opened:     map[types.NamespacedName]time.Time{},
	}
	reg.MustRegister(m.phase, m.nodes, m.wave, m.held, m.unproven, m.superseded, m.replaced, m.returned, m.rejected, m.restored, m.pulse)
	return m
}

// observe exports a status: the one that was written, or, when none can be
// written, the one that should be. It counts what is new since the old one.
func (m *Metrics) observe(key types.NamespacedName, old, status v1alpha1.NodeRolloutStatus, now time.Time) {
	ns, name := key.Namespace, key.Name
	for _, p := range []v1alpha1.Phase{
		v1alpha1.PhaseProven, v1alpha1.PhaseWaiting, v1alpha1.PhaseReplacing, v1alpha1.PhaseSoaking, v1alpha1.PhaseReturning, v1alpha1.PhaseRejected, v1alpha1.PhaseHeld,
	} {
		value := 0.0
		if p == status.Phase {
			value = 1
		}
		m.phase.WithLabelValues(ns, name, string(p)).Set(value)
	}
	c := status.Nodes
	for state, n := range map[string]int32{
		"eligible": c.Eligible, "present": c.Present, "absent": c.Absent, "candidate": c.Candidate, "healthy": c.Healthy,
		"failed": c.Failed, "unavailable": c.Unavailable, "held": c.Held, "unreachable": c.Unreachable,
	} {
		m.nodes.WithLabelValues(ns, name, state).Set(float64(n))
	}
	m.wave.WithLabelValues(ns, name).Set(float64(waveIndex(status)))
	m.held.DeletePartialMatch(prometheus.Labels{"namespace": ns, "name": name})
	if stands(status) {
		m.held.WithLabelValues(ns, name, status.Reason).Set(now.Sub(status.Since.Time).Seconds())
	}
	since := 0.0
	if at := status.UnprovenSince; at != nil {
		since = float64(at.Unix())
	}
	m.unproven.WithLabelValues(ns, name).Set(since)
	m.superseded.WithLabelValues(ns, name).Set(float64(status.Superseded))
	m.rejected.WithLabelValues(ns, name).Add(float64(newRejections(old, status)))
	for _, field := range []string{fieldStrategy, fieldTemplate} {
		m.restored.WithLabelValues(ns, name, field).Add(0)
	}
}

func (m *Metrics) restore(key types.NamespacedName, field string) {
	m.restored.WithLabelValues(key.Namespace, key.Name, field).Inc()
}

// waveIndex is the wave in progress, from 1; 0 at rest. A first install on all
// nodes has no wave in its status, and is one.
func waveIndex(s v1alpha1.NodeRolloutStatus) int32 {
	switch {
	case s.Wave != nil:
		return s.Wave.Index
	case s.Candidate != nil:
		return 1
	default:
		return 0
	}
}

// stands is whether the rollout does not move: it waits, is held or rejected, or
// whatever it does fails.
func stands(s v1alpha1.NodeRolloutStatus) bool {
	switch s.Phase {
	case v1alpha1.PhaseHeld, v1alpha1.PhaseRejected, v1alpha1.PhaseWaiting:
		return true
	case v1alpha1.PhaseProven, v1alpha1.PhaseReplacing, v1alpha1.PhaseSoaking, v1alpha1.PhaseReturning:
	}
	return s.Reason == ReasonStepFailed
}

func newRejections(old, next v1alpha1.NodeRolloutStatus) int {
	known := map[string]bool{}
	for _, r := range old.Rejected {
		known[r.Digest] = true
	}
	count := 0
	for _, r := range next.Rejected {
		if !known[r.Digest] {
			count++
		}
	}
	return count
}

func (m *Metrics) stepped(key types.NamespacedName, s rollout.Step) {
	switch s.Action {
	case rollout.DeletePod, rollout.OpenGate:
		m.moved(key, s.Why)
	case rollout.WriteTemplate:
		m.wrote(key, s)
	case rollout.SetOnDelete, rollout.NameRevision, rollout.Relabel:
	}
}

func (m *Metrics) moved(key types.NamespacedName, why rollout.Why) {
	switch why {
	case rollout.ForReplace:
		m.replaced.WithLabelValues(key.Namespace, key.Name).Inc()
	case rollout.ForReturn:
		m.returned.WithLabelValues(key.Namespace, key.Name).Inc()
	case rollout.ForStray, rollout.ForStraggler:
	}
}

func (m *Metrics) wrote(key types.NamespacedName, s rollout.Step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if (s.Pod != "" || s.Surge) && s.Gated {
		m.opened[key] = time.Now()
		return
	}
	if at, open := m.opened[key]; open {
		m.pulse.Observe(time.Since(at).Seconds())
		delete(m.opened, key)
	}
}

// forget drops the series of a DaemonSet that is gone.
func (m *Metrics) forget(key types.NamespacedName) {
	match := prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
	for _, g := range []*prometheus.GaugeVec{m.phase, m.nodes, m.wave, m.held, m.unproven, m.superseded} {
		g.DeletePartialMatch(match)
	}
	for _, c := range []*prometheus.CounterVec{m.replaced, m.returned, m.rejected, m.restored} {
		c.DeletePartialMatch(match)
	}
}
