package apply

import (
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/diff"
)

// Spare returns what a plan follows from together with what is needed still, as
// long as the plan deletes anything: first what versions refer to, then, which is
// a question about every pod, what the pods do. It writes nothing, so that a pass
// and who foretells one judge alike.
func (r *Rollouts) Spare(ctx context.Context, set Set, in diff.Input) (diff.Input, error) {
	if !deletes(in) {
		return in, nil
	}
	used, err := r.InUse(ctx, set.Owner)
	if err != nil {
		return in, err
	}
	in.InUse = used
	if !deletes(in) {
		return in, nil
	}
	pods, err := r.Pods(ctx, set)
	if err != nil {
		return in, err
	}
	in.Behind, in.InUse = pods.Behind, slices.Concat(used, pods.Read)
	return in, nil
}

func deletes(in diff.Input) bool {
	return len(diff.Calculate(in).Of(diff.Delete)) > 0
}
