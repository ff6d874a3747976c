package render

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kindOrder is the order in which built-in kinds are applied: what others need comes first, what can refuse
// others comes last. Kinds that are not named here, custom resources above all, stand at "*".
func kindOrder() []string {
	return []string{
		"Namespace", "CustomResourceDefinition", "PriorityClass", "RuntimeClass", "StorageClass", "CSIDriver",
		"ResourceQuota", "LimitRange", "ServiceAccount",
		"ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding",
		"ConfigMap", "Secret", "PersistentVolume", "PersistentVolumeClaim", "NetworkPolicy", "Service",
		"*",
		"Deployment", "StatefulSet", "Job", "CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget",
		"Ingress", "APIService",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
		"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	}
}

func rank(gk schema.GroupKind) int {
	order := kindOrder()
	if i := slices.Index(order, gk.Kind); i >= 0 && builtIn(gk.Group) {
		return i
	}
	return slices.Index(order, "*")
}

// builtIn reports whether Kubernetes itself, or rollcall, serves the group. All other groups are extensions
// whose kinds nobody can know without asking the API server.
func builtIn(group string) bool {
	return slices.Contains([]string{
		"", "apps", "autoscaling", "batch", "policy", "rollcall.dev",
		"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io",
		"coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io",
		"networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io",
		"scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
	}, group)
}

// clusterScoped reports whether a kind of a built-in group has no namespace (kubectl api-resources
// --namespaced=false, Kubernetes v1.36).
func clusterScoped(gk schema.GroupKind) bool {
	switch gk.Group {
	case "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io",
		"flowcontrol.apiserver.k8s.io", "node.k8s.io", "scheduling.k8s.io", "storagemigration.k8s.io":
		return true
	}
	return slices.Contains([]string{
		"Namespace", "Node", "PersistentVolume", "ComponentStatus",
		"ClusterRole", "ClusterRoleBinding",
		"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass",
		"ClusterTrustBundle", "IngressClass", "IPAddress", "ServiceCIDR",
		"DeviceClass", "DeviceTaintRule", "ResourceSlice", "ResourcePoolStatusRequest",
		"RolloutPolicy",
	}, gk.Kind)
}

// customScopes returns whether each custom kind declared here is namespaced.
func customScopes(all []declaration) map[schema.GroupKind]bool {
	scopes := map[schema.GroupKind]bool{}
	for _, d := range all {
		if d.object.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
			continue
		}
		group, _, _ := unstructured.NestedString(d.object.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(d.object.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(d.object.Object, "spec", "scope")
		scopes[schema.GroupKind{Group: group, Kind: kind}] = scope == "Namespaced"
	}
	return scopes
}

// inNamespace gives the namespace to each namespaced object that names none.
func inNamespace(all []declaration, namespace string) {
	if namespace == "" {
		return
	}
	custom := customScopes(all)
	for _, d := range all {
		gk := d.object.GroupVersionKind().GroupKind()
		namespaced := custom[gk]
		if builtIn(gk.Group) {
			namespaced = !clusterScoped(gk)
		}
		if namespaced && d.object.GetNamespace() == "" {
			d.object.SetNamespace(namespace)
		}
	}
}
