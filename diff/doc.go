// Package diff decides what one pass changes in the cluster: it compares what Git declares with what the cluster has
// and with what the API server's dry-run says an apply would make of it, and returns a Plan.
//
// It is pure: it asks nobody, waits for nothing and changes none of its arguments. A value of a Secret enters here
// and does not leave: see masked.
//
//	declared, live, merged ──► Create Update Unchanged Conflict Refused Foreign
//	previous inventory ──────► Release Delete Keep Foreign
package diff
