// Package apply is the only writer: it applies and prunes objects, and executes
// what package rollout decides about the pods of a DaemonSet.
package apply
