package v1alpha1

// Annotations and labels that rollcall reads or writes, and the names it
// writes under.
const (
	// FieldManager is the field manager of every write.
	FieldManager = "rollcall"

	// AnnotationReconcileAt on a GitSync asks for a pass now; any new value does.
	AnnotationReconcileAt = "rollcall.dev/reconcile-at"
	// AnnotationPolicy on a DaemonSet names its RolloutPolicy.
	AnnotationPolicy = "rollcall.dev/policy"
	// AnnotationRollout on a DaemonSet with the value RolloutNative leaves its
	// pods to Kubernetes.
	AnnotationRollout = "rollcall.dev/rollout"
	// RolloutNative is the value of AnnotationRollout that opts out of waves.
	RolloutNative = "native"
	// AnnotationAfter on a DaemonSet names those of the same GitSync, as NAME or
	// NAMESPACE/NAME and separated by commas, that it comes after on each node.
	AnnotationAfter = "rollcall.dev/after"
	// AnnotationMoved on a pod template has the digest of the version that it is of,
	// while it runs on other nodes than that declares.
	AnnotationMoved = "rollcall.dev/moved"
	// AnnotationRemoved on a pod template marks the pods that stand where a removal
	// took an agent. They never start.
	AnnotationRemoved = "rollcall.dev/removed"
	// AnnotationRecreate with the value "true" lets a DaemonSet be made again when
	// Git changes its selector, which cannot be changed otherwise. Its pods stay.
	AnnotationRecreate = "rollcall.dev/recreate"
	// AnnotationPinConfig with the value "false" opts a DaemonSet, a ConfigMap
	// or a Secret out of config pinning.
	AnnotationPinConfig = "rollcall.dev/pin-config"
	// AnnotationSubstitute on an object with the value SubstituteDisabled keeps
	// spec.substitute of its GitSync from it.
	AnnotationSubstitute = "rollcall.dev/substitute"
	// SubstituteDisabled is the value of AnnotationSubstitute that opts out.
	SubstituteDisabled = "disabled"
	// AnnotationLintIgnore on an object names the reasons of warnings that are not
	// to be given about it, separated by commas.
	AnnotationLintIgnore = "rollcall.dev/lint-ignore"
	// AnnotationPrune on a live object says what becomes of it when Git declares
	// it no more, or when its GitSync is deleted with deletionPolicy prune. What
	// Git declared last is on it, unless somebody has changed it since.
	AnnotationPrune = "rollcall.dev/prune"
	// PruneConfirm is the value of AnnotationPrune without which no Namespace and
	// no CustomResourceDefinition is deleted.
	PruneConfirm = "confirm"
	// PruneDisabled is the value of AnnotationPrune that keeps an object for good.
	PruneDisabled = "disabled"
	// LabelPinnedFrom on a pinned copy names the object it was taken from.
	LabelPinnedFrom = "rollcall.dev/pinned-from"
	// LabelOwner on an applied object names its GitSync as NAMESPACE.NAME.
	LabelOwner = "rollcall.dev/gitsync"
	// LabelHold on a node with the value "true" keeps the node out of rollouts.
	LabelHold = "rollcall.dev/hold"
	// FinalizerPrune on a GitSync holds it until what it owns is pruned.
	FinalizerPrune = "rollcall.dev/prune"
	// WaveGate is the scheduling gate that every candidate pod is born with.
	WaveGate = "rollcall.dev/wave"
)
