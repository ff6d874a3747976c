package render

import "cmp"

// Limits bound what one build may cost, whatever the repository holds. A field that is zero means its
// default. The measured reasons: 309 bytes of YAML aliases cost kustomize 1.1 GiB, and its build time is
// quadratic in objects (1000 objects 2 s, 2000 objects 8 to 10 s).
type Limits struct {
	// Files is the number of files and directories looked at; default 10,000.
	Files int
	// Depth is how many directories deep a plain directory is walked; default 32.
	Depth int
	// FileBytes is the size of one file; default 4 MiB.
	FileBytes int64
	// TotalBytes is the size of all files read; default 32 MiB.
	TotalBytes int64
	// Nodes is the number of YAML nodes of one file, aliases counted as often as they are used; default
	// 200,000.
	Nodes int
	// Aliases is the number of YAML aliases of one file as it is written; default 1,000.
	Aliases int
	// Nesting is how deep the values of one YAML document nest; default 100.
	Nesting int
	// Documents is the number of YAML documents of one file, empty ones included; default 1,000.
	Documents int
	// Objects is the number of objects of one build, the items of lists and, of a kustomization, a base
	// once for each time that it is used; default 1,000.
	Objects int
	// Kustomizations is the number of kustomization files of one build, each counted as often as it is
	// used; default 100.
	Kustomizations int
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Files:          cmp.Or(l.Files, 10_000),
		Depth:          cmp.Or(l.Depth, 32),
		FileBytes:      cmp.Or(l.FileBytes, 4<<20),
		TotalBytes:     cmp.Or(l.TotalBytes, 32<<20),
		Nodes:          cmp.Or(l.Nodes, 200_000),
		Aliases:        cmp.Or(l.Aliases, 1_000),
		Nesting:        cmp.Or(l.Nesting, 100),
		Documents:      cmp.Or(l.Documents, 1_000),
		Objects:        cmp.Or(l.Objects, 1_000),
		Kustomizations: cmp.Or(l.Kustomizations, 100),
	}
}
