package apply

import "github.com/rollcall-dev/rollcall/health"

// carried are versions by the controller-revision-hash that pods carry. It tells the
// version of a pod when somebody has deleted the ControllerRevision that it was made
// from: the DaemonSet controller makes only that of the live template again, and
// under the hash of that, which may be another one.
type carried map[string]string

// carriedBy is what the pods of the fleet carry for the versions whose templates are
// kept.
func carriedBy(fleet []health.Node, of templates) carried {
	out, last := carried{}, ""
	for i := range fleet {
		for _, a := range fleet[i].Agents {
			if _, kept := of[a.Digest]; kept && a.Revision != "" && a.Revision != last {
				out[a.Revision], last = a.Digest, a.Revision
			}
		}
	}
	return out
}

// complete adds to the versions by hash those of hashes that no revision has. Same is
// what a recorded version is called now.
func (c carried) complete(digests map[string]string, same func(digest string) string) {
	for hash, digest := range c {
		if _, known := digests[hash]; !known {
			digests[hash] = same(digest)
		}
	}
}

// sameAs is what the version is called now whose template has that digest; empty when
// the template is not known.
func (v *view) sameAs(digest string) string {
	t, known := v.book.templates[digest]
	if !known {
		return ""
	}
	return v.digestOf(&t)
}
