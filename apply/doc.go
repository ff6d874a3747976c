// Package apply is the only writer: it applies and prunes objects, and executes
// what package rollout decides about the pods of a DaemonSet.
//
// Objects, for an Applier:
//
//	set, prepare, order ..... what is declared, checked and in its order
//	observe, answer ......... get and dry-run, and what the API server answers
//	ours, ignore ............ which fields are compared, and which are left to others
//	conflict, takeover,
//	tryout, without ......... fields that somebody else manages, and a dry-run of what is left without them
//	settled, reverted ....... what need not be asked about, and what somebody changed back
//	apply, establish ........ the writes
//	prune, inuse, pods,
//	workload, spare,
//	config, secrets ......... what may go, and who still needs it
//	ports ................... what waits for what waits for it
//	inventory, owner ........ what is rollcall's, and whose GitSync's
//	rights .................. which right is missing, and how to give it
//	immutable ............... what cannot be changed, in the API server's words
//	client, result, error ... what an Applier is made of, and what it says of each object
//
// DaemonSets, for Rollouts:
//
//	daemonsets .............. as whom they are read and written
//	declare, claim, around .. a commit hands a DaemonSet to its rollout
//	release ................. what Git declares elsewhere goes over to there
//	adopt ................... one that runs already
//	make .................... with which template one is made
//	foreign ................. one that another tool declares
//	meddled ................. what somebody else wrote to one
//	gone, remake, restore ... one that was deleted, or left in the middle
//	removal ................. one that Git declares no more
//	recreate ................ one whose selector changes
//	run, loop ............... the watches, and the queue of what to decide
//	rollouts ................ one decision: observe, decide, record, execute
//	policy, waves, calendar,
//	block ................... by which policy, and what holds it beside that
//	share, ledger, after .... what the rollouts of several DaemonSets know of each other
//	template, learned,
//	carried ................. which template is which version
//	store, pack ............. what is recorded, and how it fits into a ConfigMap
//	status, pace, metrics,
//	stragglers .............. what is shown, how often, and what runs on after the end
//	confirm, execute,
//	written ................. before a wave passes; the steps; what the cache lags behind
//	move .................... where a candidate wants to run, beside where the proven one does
//	surge ................... a second agent before the first one goes
//	trouble ................. what goes wrong until it does no more
//	leave ................... the last steps of a process
package apply
