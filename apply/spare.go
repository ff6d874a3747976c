package apply

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/diff"
)

// Spare returns what a plan follows from together with what is needed still, as
// long as the plan deletes anything: first what versions refer to, then, which are
// questions about every pod, what the pods do. It writes nothing, so that a pass
// and who foretells one judge alike.
func (r *Rollouts) Spare(ctx context.Context, set Set, in diff.Input) (diff.Input, error) {
	used, err := r.InUse(ctx, in)
	if err != nil {
		return in, err
	}
	if in.InUse = used; !deletes(in) {
		return in, nil
	}
	if in.Behind, err = r.Behind(ctx, set); err != nil || !deletes(in) {
		return in, err
	}
	read, err := r.read(ctx, doomed(in))
	in.InUse = slices.Concat(used, read)
	return in, err
}

func deletes(in diff.Input) bool {
	return len(diff.Calculate(in).Of(diff.Delete)) > 0
}

// doomed is what pods may refer to of what the plan deletes.
func doomed(in diff.Input) []diff.Reference {
	var out []diff.Reference
	for _, c := range diff.Calculate(in).Of(diff.Delete) {
		if reference, ok := diff.ReferenceTo(c.ID); ok {
			out = append(out, reference)
		}
	}
	return out
}

// within are the namespaces whose pods can refer to something of that: all of
// them, which is NamespaceAll, to what has no namespace itself.
func within(references []diff.Reference) []string {
	var out []string
	for _, reference := range references {
		if reference.Namespace == metav1.NamespaceAll {
			return []string{metav1.NamespaceAll}
		}
		out = append(out, reference.Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
