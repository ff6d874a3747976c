package apply

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/diff"
)

// stage is a step of the order in which objects are applied: each needs nothing but what is in the stages before it.
type stage int

const (
	// definitions are what other objects are named in or named after. The next stage waits until the API server serves
	// the CustomResourceDefinitions.
	definitions stage = iota
	// access is who may do what.
	access
	// configuration is what pods read and are measured by.
	configuration
	// others are workloads, services, custom resources and whatever has no place of its own.
	others
	// admission is what can refuse others, and so comes when its backend is there.
	admission
	// agents are the DaemonSets. Their rollouts apply them, last of all.
	agents
)

// stages are all of them, in the order of applying.
func stages() []stage {
	return []stage{definitions, access, configuration, others, admission, agents}
}

// stagesOfPrune are the stages in the order of deleting: the reverse, but admission goes before the agents that may be
// its backend.
func stagesOfPrune() []stage {
	return []stage{admission, agents, others, configuration, access, definitions}
}

func stageOf(gk schema.GroupKind) stage {
	switch gk.Group {
	case "apiextensions.k8s.io", "scheduling.k8s.io", "node.k8s.io", "storage.k8s.io":
		return definitions
	case "rbac.authorization.k8s.io":
		return access
	case "admissionregistration.k8s.io", "apiregistration.k8s.io":
		return admission
	}
	switch gk {
	case schema.GroupKind{Kind: "Namespace"}:
		return definitions
	case schema.GroupKind{Kind: "ServiceAccount"}:
		return access
	case schema.GroupKind{Kind: "ConfigMap"}, schema.GroupKind{Kind: "Secret"},
		schema.GroupKind{Kind: "LimitRange"}, schema.GroupKind{Kind: "ResourceQuota"}:
		return configuration
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}:
		return agents
	default:
		return others
	}
}

// inStage returns the changes of one stage, in their order.
func inStage(changes []diff.Change, s stage) []diff.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c diff.Change) bool { return stageOf(c.GroupKind()) != s })
}
