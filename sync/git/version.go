package git

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// versionRange is a range of versions of tags.
type versionRange struct {
	// prefix is what the names of the tags begin with, before the version and a v: empty, or a path that ends in a slash.
	prefix string
	within *semver.Constraints
}

// versionRange reads a range such as ">=1.2.0 <2.0.0", or "agents/1.x" for the tags below agents/.
func (s Source) versionRange() (versionRange, error) {
	prefix, within := "", s.Semver
	if slash := strings.LastIndex(within, "/"); slash >= 0 {
		prefix, within = within[:slash+1], within[slash+1:]
	}
	constraints, err := semver.NewConstraint(within)
	if err != nil || strings.ContainsFunc(prefix, unprintable) || strings.Contains(prefix, "..") {
		return versionRange{}, s.errorf(InvalidSource, "this is not a range of versions: write one such as 1.x, \">=1.2.0 <2.0.0\", or agents/1.x for the tags below agents/")
	}
	return versionRange{prefix, constraints}, nil
}

// version is what the name of a tag says, if it is one of the range's prefix and a whole version, with or without a v:
// v1 and 1.2 are none, since tags of that kind are made to move.
func (r versionRange) version(ref string) (*semver.Version, bool) {
	name, ok := strings.CutPrefix(ref, "refs/tags/"+r.prefix)
	if !ok {
		return nil, false
	}
	v, err := semver.StrictNewVersion(strings.TrimPrefix(name, "v"))
	return v, err == nil
}

// versionTag is a tag whose name is a version.
type versionTag struct {
	ref     string
	version *semver.Version
}

// compareTags orders tags by their version. Of two names for one version the one with a v is the later one, then the
// one that sorts last: which one is followed must not depend on chance.
func compareTags(a, b versionTag) int {
	if c := a.version.Compare(b.version); c != 0 {
		return c
	}
	return strings.Compare(a.ref, b.ref)
}

// highest is the tag with the highest version of the range. Prereleases are in it only if it names one, as >=1.2.0-0.
func (c *session) highest() (Tip, error) {
	wanted, err := c.source.versionRange()
	if err != nil {
		return Tip{}, err
	}
	var tags, within []versionTag
	for ref := range c.refs.References {
		v, ok := wanted.version(ref)
		if !ok {
			continue
		}
		tags = append(tags, versionTag{ref, v})
		if wanted.within.Check(v) {
			within = append(within, versionTag{ref, v})
		}
	}
	if len(within) == 0 {
		return Tip{}, c.outOfRange(wanted, tags)
	}
	best := slices.MaxFunc(within, compareTags)
	tip := c.at(best.ref)
	tip.Note = c.namesakes(best, within)
	return tip, nil
}

// namesakes says which other tags have the same version and lead elsewhere; empty when none does.
func (c *session) namesakes(best versionTag, tags []versionTag) string {
	var others []string
	for _, tag := range tags {
		if tag.ref != best.ref && tag.version.Equal(best.version) && c.at(tag.ref).Commit != c.at(best.ref).Commit {
			others = append(others, shortRef(tag.ref))
		}
	}
	if len(others) == 0 {
		return ""
	}
	slices.Sort(others)
	return fmt.Sprintf("tag %s is followed, and %s has the same version and another commit: delete one of them", shortRef(best.ref), strings.Join(others[:min(len(others), 3)], ", "))
}

// outOfRange says which versions there are.
func (c *session) outOfRange(wanted versionRange, tags []versionTag) *Error {
	if all, _, _, _ := c.listed(); all == 0 {
		return c.missing()
	}
	if len(tags) == 0 {
		return c.source.errorf(RefNotFound, "the repository has no tag whose name is a version, such as %sv1.2.3: push one, or correct the range", wanted.prefix)
	}
	return c.source.errorf(RefNotFound, "none of the %d tags with a version is in the range, the highest is %s (a prerelease is in a range "+
		"that names one, such as >=1.2.0-0): push a tag, or correct the range", len(tags), shortRef(slices.MaxFunc(tags, compareTags).ref))
}

// shortRef is the name of a branch or tag as people write it.
func shortRef(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if short, ok := strings.CutPrefix(ref, prefix); ok {
			return line(short)
		}
	}
	return line(ref)
}
