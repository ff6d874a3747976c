package sync

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Metrics are the GitSync metrics. They carry the GitSync's namespace and name,
// never a commit or an object.
type Metrics struct {
	info, ready, success, pruneBlocked, drift, fights *prometheus.GaugeVec
	passes, requests, conflicts, corrected, reverts   *prometheus.CounterVec
	duration                                          *prometheus.HistogramVec
}

// NewMetrics registers the GitSync metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		info:         gauge("rollcall_gitsync_info", "1 for every GitSync, with what it follows.", "namespace", "name", "url", "ref", "path"),
		ready:        gauge("rollcall_gitsync_ready", "Whether the GitSync's Ready condition is true.", "namespace", "name"),
		success:      gauge("rollcall_gitsync_last_success_timestamp_seconds", "When a pass last ended without an error.", "namespace", "name"),
		pruneBlocked: gauge("rollcall_prune_blocked", "Objects that Git no longer declares and that are kept, by reason.", "namespace", "name", "reason"),
		passes:       counter("rollcall_gitsync_passes_total", "Passes by result.", "namespace", "name", "result"),
		requests:     counter("rollcall_git_requests_total", "Requests to Git servers.", "op", "result"),
		conflicts:    counter("rollcall_conflicts_total", "Objects that came into conflict with another field manager or another GitSync; each counts once until that is over.", "namespace", "name"),
		drift:        gauge("rollcall_drift_objects", "Objects that are not as the applied commit declares them now; in mode observe, that would change.", "namespace", "name"),
		corrected:    counter("rollcall_drift_corrected_total", "Objects made again as the applied commit declares them.", "namespace", "name"),
		fights:       gauge("rollcall_fights", "Objects that somebody else has changed back again and again, in the last 20 minutes or so.", "namespace", "name"),
		reverts:      counter("rollcall_reverts_total", "How often somebody else has changed an object back, or deleted it, since it was as the commit declares it.", "namespace", "name"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_gitsync_pass_duration_seconds", Help: "How long the stages of a pass took.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 10),
		}, []string{"stage"}),
	}
	reg.MustRegister(m.info, m.ready, m.success, m.pruneBlocked, m.passes, m.requests, m.conflicts, m.drift, m.corrected, m.fights, m.reverts, m.duration)
	return m
}

// stage is one part of a pass, timed.
type stage string

// The stages. The set is closed.
const (
	stageResolve stage = "resolve"
	stageFetch   stage = "fetch"
	stageRender  stage = "render"
	stageDiff    stage = "diff"
	stageApply   stage = "apply"
	stagePrune   stage = "prune"
)

// time runs one stage and measures it.
func (m *Metrics) time(s stage, f func() error) error {
	started := time.Now()
	err := f()
	m.duration.WithLabelValues(string(s)).Observe(time.Since(started).Seconds())
	return err
}

// Requested counts a request that went out to a Git server.
func (m *Metrics) Requested(op string, err error) {
	result := "ok"
	if err != nil {
		result = newFailure(err).Reason
	}
	m.requests.WithLabelValues(op, result).Inc()
}

// read measures what one read of a commit took, as whoever made it says.
func (m *Metrics) read(a reader.Answer, err error) {
	own, _ := errors.AsType[*reader.Error](err)
	if a.Commit != nil {
		err = nil // it was fetched
	}
	if a.Spent.Asked || own != nil && own.Doing == reader.Fetching {
		m.Requested("fetch", err)
	}
	for stage, took := range map[stage]time.Duration{stageFetch: a.Spent.Fetch, stageRender: a.Spent.Render} {
		if took > 0 {
			m.duration.WithLabelValues(string(stage)).Observe(took.Seconds())
		}
	}
}

// passed exports what the pass left in the status.
func (m *Metrics) passed(gs *v1alpha1.GitSync, o *outcome) {
	ns, name := gs.Namespace, gs.Name
	s := gs.Spec.Source
	m.info.DeletePartialMatch(prometheus.Labels{"namespace": ns, "name": name})
	m.info.WithLabelValues(ns, name, s.URL, labelled(s.Ref), s.Path).Set(1)
	ready := 0.0
	if o.condition().Ready == "True" {
		ready = 1
	}
	m.ready.WithLabelValues(ns, name).Set(ready)
	result := "ok"
	switch {
	case o.failure != nil:
		result = "error"
	default:
		m.success.WithLabelValues(ns, name).Set(float64(time.Now().Unix()))
	}
	m.passes.WithLabelValues(ns, name, result).Inc()
	if o.withheld == nil {
		return // this pass did not get so far; what the last one said stays true
	}
	m.pruneBlocked.DeletePartialMatch(prometheus.Labels{"namespace": ns, "name": name})
	for _, c := range o.withheld {
		m.pruneBlocked.WithLabelValues(ns, name, c.Reason).Inc()
	}
}

// labelled is what is followed, but for the name of a commit, which is no label.
func labelled(r v1alpha1.GitRef) string {
	if r.Commit != "" {
		return "commit"
	}
	return r.String()
}

// rested counts a pass that found nothing to do.
func (m *Metrics) rested(gs *v1alpha1.GitSync) {
	m.success.WithLabelValues(gs.Namespace, gs.Name).Set(float64(time.Now().Unix()))
	m.passes.WithLabelValues(gs.Namespace, gs.Name, "ok").Inc()
}

func (m *Metrics) conflicted(gs *v1alpha1.GitSync, began int) {
	m.conflicts.WithLabelValues(gs.Namespace, gs.Name).Add(float64(began))
}

// drifted exports how many objects differ from Git, before and after some were
// corrected.
func (m *Metrics) drifted(gs *v1alpha1.GitSync, objects, corrected int) {
	m.drift.WithLabelValues(gs.Namespace, gs.Name).Set(float64(objects - corrected))
	m.corrected.WithLabelValues(gs.Namespace, gs.Name).Add(float64(corrected))
}

// fought exports how many objects are fought over, and counts the reverts.
func (m *Metrics) fought(gs *v1alpha1.GitSync, objects, reverts int) {
	m.fights.WithLabelValues(gs.Namespace, gs.Name).Set(float64(objects))
	m.reverts.WithLabelValues(gs.Namespace, gs.Name).Add(float64(reverts))
}

// forget drops the series of a GitSync that is gone.
func (m *Metrics) forget(key types.NamespacedName) {
	match := prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
	for _, g := range []*prometheus.GaugeVec{m.info, m.ready, m.success, m.pruneBlocked, m.drift, m.fights} {
		g.DeletePartialMatch(match)
	}
	for _, c := range []*prometheus.CounterVec{m.passes, m.conflicts, m.corrected, m.reverts} {
		c.DeletePartialMatch(match)
	}
}
