// Package sync is the pass: Git to commit, commit to objects, objects to plan,
// plan to cluster, and the outcome of all that to the GitSync's status.
package sync
