package git

import (
	"cmp"
	"time"
)

// Limits bound what a repository may cost. A field that is zero means its default. The measured reasons: a
// repository of 1.2 MiB on the wire made go-git hold 1 to 6 GiB, and 2 KiB of nested trees make ten million
// paths.
type Limits struct {
	// RefBytes is the size of the list of refs; default 128 MiB. It passes through a sieve: refs that
	// nobody asked for cost no memory.
	RefBytes int64
	// WireBytes is the size of one fetch on the wire; default 256 MiB.
	WireBytes int64
	// Objects is the number of objects of the clone; default 500,000.
	Objects int64
	// ObjectBytes is the size of the largest object of the clone, read or not; default 64 MiB.
	ObjectBytes int64
	// InflatedBytes is the size of all objects of the clone; default 2 GiB.
	InflatedBytes int64

	// Entries is the number of directory entries read through one Snapshot; default 100,000.
	Entries int64
	// Depth is the number of elements of a path; default 64.
	Depth int64
	// FileBytes is the size of one file that is read; default 8 MiB.
	FileBytes int64
	// ReadBytes is the size of all files read through one Snapshot, each counted as often as it is read;
	// default 128 MiB.
	ReadBytes int64

	// ResolveTimeout bounds one ls-remote; default 30 s.
	ResolveTimeout time.Duration
	// FetchTimeout bounds one fetch, its ls-remote and the indexing included; default 5 min.
	FetchTimeout time.Duration
}

func (l Limits) orDefaults() Limits {
	return Limits{
		RefBytes:       cmp.Or(l.RefBytes, 128<<20),
		WireBytes:      cmp.Or(l.WireBytes, 256<<20),
		Objects:        cmp.Or(l.Objects, 500_000),
		ObjectBytes:    cmp.Or(l.ObjectBytes, 64<<20),
		InflatedBytes:  cmp.Or(l.InflatedBytes, 2<<30),
		Entries:        cmp.Or(l.Entries, 100_000),
		Depth:          cmp.Or(l.Depth, 64),
		FileBytes:      cmp.Or(l.FileBytes, 8<<20),
		ReadBytes:      cmp.Or(l.ReadBytes, 128<<20),
		ResolveTimeout: cmp.Or(l.ResolveTimeout, 30*time.Second),
		FetchTimeout:   cmp.Or(l.FetchTimeout, 5*time.Minute),
	}
}
