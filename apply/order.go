package apply

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/diff"
)

// stage is a step of the order in which objects are applied: each needs nothing but what is in the stages before it.
type stage int

const (
	// definitions are what other objects are named in or named after. The next stage waits until the API server serves
	// the CustomResourceDefinitions.
	definitions stage = iota
	// access is who there is, and what may be done.
	access
	// bindings are who may do it. The API server takes none whose role is missing from who may not grant it himself.
	bindings
	// configuration is what pods read and are measured by.
	configuration
	// others are workloads, services, custom resources and whatever has no place of its own.
	others
	// agents are the DaemonSets. Their rollouts apply those that are not left to Kubernetes.
	agents
	// admission is what can refuse others, or their pods, while its backend is not there: it comes last of all.
	admission
)

// stages are all of them, in the order of applying.
func stages() []stage {
	return append(stagesWithAgents(), admission)
}

// stagesWithAgents are those up to the DaemonSets.
func stagesWithAgents() []stage {
	return []stage{definitions, access, bindings, configuration, others, agents}
}

// stagesOfPrune are the stages in the order of deleting: admission goes before the agents that may be its backend.
func stagesOfPrune() []stage {
	out := stages()
	slices.Reverse(out)
	return out
}

func stageOf(gk schema.GroupKind) stage {
	switch gk.Group {
	case "apiextensions.k8s.io", "scheduling.k8s.io", "node.k8s.io", "storage.k8s.io":
		return definitions
	case "admissionregistration.k8s.io", "apiregistration.k8s.io":
		return admission
	}
	switch gk {
	case schema.GroupKind{Group: rbacv1.GroupName, Kind: "ClusterRoleBinding"}, schema.GroupKind{Group: rbacv1.GroupName, Kind: "RoleBinding"}:
		return bindings
	case schema.GroupKind{Kind: "Namespace"}:
		return definitions
	case schema.GroupKind{Kind: "ServiceAccount"}, schema.GroupKind{Group: rbacv1.GroupName, Kind: "ClusterRole"}, schema.GroupKind{Group: rbacv1.GroupName, Kind: "Role"}:
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
