package git

import (
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// FuzzTags gives any range and any names of tags: nothing panics, and what is chosen is one of the tags, whose name is a
// version in the range.
func FuzzTags(f *testing.F) {
	for _, within := range []string{"1.x", ">=1.2.0-0 <2.0.0", "agents/~1.2 || 3", "*", "", "x/", "1.2 - 1.4", "=>1", "^0.0.0-0+b"} {
		f.Add(within, "v1.2.3", "agents/v1.2.4")
		f.Add(within, "1.2.3+build.1", "v1.2.3-rc.1")
		f.Add(within, "v18446744073709551616.0.0", "1.2.3-\xff")
	}
	f.Fuzz(func(t *testing.T, within, one, two string) {
		refs := packp.NewAdvRefs()
		commit := plumbing.NewHash("0123456701234567012345670123456701234567")
		refs.References = map[string]plumbing.Hash{"refs/tags/" + one: commit, "refs/tags/" + two: commit, "refs/heads/" + one: commit}
		s := &session{source: Source{URL: "https://git.example.com/a.git", Semver: within}, wire: &wire{}, refs: refs}
		tip, err := s.highest()
		if err != nil {
			return
		}
		wanted, err := s.source.versionRange()
		if err != nil {
			t.Fatalf("%q is no range, and leads to %s", within, tip.Ref)
		}
		v, ok := wanted.version(tip.Ref)
		if !ok || !wanted.within.Check(v) || refs.References[tip.Ref].IsZero() {
			t.Fatalf("%q leads to %q", within, tip.Ref)
		}
	})
}
