package render

// Declared is everything that a path of a commit declares. It is never partial: a build that cannot read or
// accept one object returns an error and no Declared.
type Declared struct {
	// Objects are all objects but the DaemonSets, with the pinned copies of ConfigMaps and Secrets among
	// them. They are sorted by the order in which kinds are applied, then namespace, then name.
	Objects []Object
	// DaemonSets are sorted by namespace, then name.
	DaemonSets []DaemonSet
	// Findings are what is doubtful in it and stops nothing, sorted by object.
	Findings []Finding
}

// Empty reports whether the path declares nothing at all. That is no error here: whether a cluster may be
// emptied is for the prune guard to say.
func (d *Declared) Empty() bool {
	return len(d.Objects) == 0 && len(d.DaemonSets) == 0
}
