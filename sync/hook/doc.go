// Package hook hears the webhooks of Git servers: that there is something new in a repository, and nothing else. A
// webhook is a hint to ask Git now instead of later. Nothing that it carries is used, so that whoever can forge one gains
// a poll.
//
//	POST /hook/NAMESPACE/NAME ──► limits ──► does this replica lead? ──no──► the one that does
//	                                            │ yes
//	                                            ▼
//	                             token of the GitSync ──► signature over the body ──► Hint
//
// Which GitSyncs there are, and which of them have a token, is not told: a GitSync that there is not, one without a
// token and a signature that is not right get the same answer after the same time.
package hook
