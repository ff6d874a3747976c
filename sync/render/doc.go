// Package render turns a path of a repository into the objects that a cluster should run, and pins the
// configuration that each DaemonSet reads.
//
// It is pure: it reads the fs.FS that it is given and nothing else, so the same tree gives the same
// result, byte for byte. A repository is hostile until proven otherwise: every size is capped before it is
// paid for, nothing is fetched, nothing is executed, and whatever cannot be read exactly is an error, never
// a shorter list, because what is missing from the result may be deleted from the cluster.
//
//	fs.FS ──guard──► documents ──────────────► objects ──check──► ──pin──► Declared
//	         └──scan──► reached files ──kustomize──┘
package render
