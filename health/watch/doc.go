// Package watch turns informers on nodes, pods and controller revisions into
// the fleet that a rollout is decided on.
package watch
