package diff

import (
	"fmt"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// alwaysPrunable is how many objects any percentage lets go: a DaemonSet with its ConfigMap and its ServiceAccount, which
// would be more than a quarter of a small inventory.
const alwaysPrunable = 3

// exceeded says by how much the limit of a plan is exceeded; empty when it is not. It counts everything that would go by
// this commit sooner or later, whatever that still waits for: so it is the same before the first object goes and for
// each one after.
func exceeded(in Input, all []listed) string {
	if in.PruneLimit == nil || in.Approved {
		return ""
	}
	going, total := 0, len(declaredIDs(in))
	for _, f := range all {
		if !superseded(in, f.ID) {
			total++
			if goes(in, f.Former) {
				going++
			}
		}
	}
	allowed := allowedBy(*in.PruneLimit, total)
	if going <= allowed {
		return ""
	}
	return fmt.Sprintf("by this commit %d of %d objects would go, and spec.pruneLimit lets %d go (%s): approve the commit if that is meant, or declare them again", going, total, allowed, in.PruneLimit.String())
}

// goes is whether an object is to be deleted, now or later.
func goes(in Input, f Former) bool {
	operation, _, _ := prunes{Input: Input{Owner: in.Owner, Heirs: in.Heirs, Retired: true}}.former(f)
	return operation == Delete
}

// allowedBy is how many of so many objects may go: a percentage is rounded up, and is alwaysPrunable at least.
func allowedBy(limit intstr.IntOrString, total int) int {
	if limit.Type == intstr.Int {
		return limit.IntValue()
	}
	share, err := intstr.GetScaledValueFromIntOrPercent(&limit, total, true)
	if err != nil {
		return 0 // not a percentage: a person has to look
	}
	return max(share, alwaysPrunable)
}

// superseded is whether a ConfigMap or Secret is an older copy of a declared one, by the hash that kustomize and config
// pinning put at the end of a name: nothing is lost by it.
func superseded(in Input, id ID) bool {
	stem := stemOf(id.Name)
	if stem == id.Name || id.Group != "" || (id.Kind != "ConfigMap" && id.Kind != "Secret") {
		return false
	}
	return slices.ContainsFunc(in.Objects, func(o Object) bool {
		other := IDOf(o.Declared)
		name := other.Name
		other.Name = id.Name
		return other == id && (name == stem || stemOf(name) == stem)
	})
}

func stemOf(name string) string {
	return regexp.MustCompile(`-[0-9a-z]{10}$`).ReplaceAllString(name, "")
}
