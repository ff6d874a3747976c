// Package rollout decides how one DaemonSet's change moves over the nodes.
//
// Decide is a pure function of the policy, the recorded state, the fleet and
// the time; it returns the next state to record and the steps to take after
// that. Whoever executes it records first, acts second and observes again:
// every step is safe to repeat and safe to lose.
//
//	            ┌────────────── superseded, retried ───────────────┐
//	            ▼                                                  │
//	Proven ─► Replacing ─► Soaking ─► (next wave) … ─► Proven      │
//	            │  ▲          │                                    │
//	            │  └──────────┘ node fell back                     │
//	            └─► failing evidence ─► Returning ─► Rejected ─────┘
//
// One node's agent is replaced inside a pulse: the intent is recorded, the
// gated candidate is written to the DaemonSet, the pods are deleted, the gates of
// those that come in their place are opened, one UID at a time, and the proven
// template is written back when all have come. A gated pod runs nowhere, so whatever
// else creates a pod meanwhile is a stray that can do no harm.
//
// By a policy that gives new pods the candidate, and for a DaemonSet that another
// tool writes, the candidate is in the DaemonSet itself: inspec.go says what is
// different then.
package rollout
