// Package reader reads what a commit declares in a process of its own: fetch and render meet what strangers wrote, and
// what that costs or breaks is the child's, never the controller's.
//
//	Read ──► turns ──► spawn ──────── request (gob, stdin) ───────► Serve
//	                     │                                            │ limits on itself: memory, no core, nice
//	                     │ deadline: the whole group is killed        │ fetch ──► same files as before? ──► render
//	                     ▼                                            ▼
//	Answer ◄── exit ◄── frames ◄──── commit, then answer (JSON, stdout)
//
// The request trusts its reader and holds credentials: it travels by a pipe, never as an argument or in the
// environment. The answer is not trusted: its size, its values and its depth are bounded before it is decoded, so a
// child that somebody took over can lie about what a repository declares and do nothing else.
//
// The child is the same binary, started as /proc/self/exe, so that parent and child are always of one version. It
// gets an environment without the parent's, the cache directory to work in, and no other file.
package reader
