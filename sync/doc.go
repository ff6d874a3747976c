// Package sync is the pass: Git to commit, commit to objects, objects to plan,
// plan to cluster, and the outcome of all that to the GitSync's status.
//
// One pass, in its order:
//
//	controller, desk ........ the watches and the queue: what asks for a pass, and when the next one is
//	rest, resting, same ..... whether there is nothing to do, and which DaemonSets need not be asked about
//	pass .................... one call a stage
//	account ................. as whom
//	source, rhythm .......... Git: which repository, and when it is asked
//	ask, webhook ............ what answers of it will do, and who wants a new one
//	inputs, read, refused ... polled, and rendered with which variables and keys
//	secret .................. credentials that do not do, until somebody corrects them
//	verify .................. whose signature a commit has to have
//	admit, depend ........... whether the commit may be applied: its approval, and GitSyncs that come before
//	foresee ................. what would change, where nothing is written
//	objects, order, drift ... observed, applied in order, pruned; what had changed since
//	others .................. what other GitSyncs declare, and what goes over to them
//	fight ................... what somebody changes back again and again
//	summary ................. how far its rollouts are
//
// What is said of it, and the end:
//
//	outcome ................. all that a pass found out, and the status that is made of it
//	failure, condition ...... errors in words, and Ready
//	history, metrics ........ what became of the last commits, and what is counted
//	memory .................. what this process knows between two passes
//	retire .................. a GitSync that is deleted
package sync
