// Package git reads one commit of a repository: it asks the server where a ref is, fetches that commit
// alone, and shows its tree as an fs.FS that is either whole or an error.
//
// Each fetch is a fresh clone of depth 1 in a new directory, because a later fetch into a shallow clone can
// lose objects without an error (go-git#1443), and go-git's own tree walks skip what is missing: with prune,
// that empties a cluster. There is never a work tree, so nothing in a repository names a file of this machine.
// Objects are read when they are asked for, within limits, and their hashes are verified each time.
//
//	ls-remote ──► fetch (capped) ──► scan headers (capped) ──► index ──► rename into place ──► Snapshot
//
// Whoever writes to the repository, and the server itself, may be hostile. No error holds a credential or the
// query of a URL.
package git
