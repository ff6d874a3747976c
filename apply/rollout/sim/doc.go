// Package sim is a cluster in miniature: one DaemonSet with its controller,
// the kubelets, and rollcall's executor around rollout.Decide, under an
// adversary that is driven by short commands ("evict n3", "commit v2:bad").
//
// Time is counted in ticks of one second. In every tick the kubelets act, then
// the DaemonSet controller, then each leader:
//
//	commands ─► nodes, Git, people
//	                 │
//	kubelets ◄─► pods ◄─► DaemonSet controller ◄─► DaemonSet
//	                 │                                 │
//	          stale cache ─► leader: read, Decide, record, step, step …
//
// Time in which nothing happens by itself can be skipped: Next says until when,
// and a run is the same with and without. A cluster may also be made of nodes as
// they are somewhere, and be counted: rollcall simulate does both.
//
// A run is a function of its options and its commands. What the executor may
// rely on is modelled as the API server gives it: a record is guarded by the
// resourceVersions that were read, but only if there is something to write; a
// template write by that of the DaemonSet; deletes and gates by the pod's UID,
// and a delete also by the pod's resourceVersion where the step names one.
package sim
