package watch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// annotationAround keeps, on a trimmed DaemonSet, what Around said of the whole one.
const annotationAround = "around"

// Around tells two states of a DaemonSet apart by all that is not its rollout's: neither its template nor its update
// strategy, nor its status. Two results of it may be compared, and nothing else; it is empty for no DaemonSet.
func Around(ds *appsv1.DaemonSet) string {
	if ds == nil {
		return ""
	}
	rest := ds.Spec
	rest.Template, rest.UpdateStrategy = corev1.PodTemplateSpec{}, appsv1.DaemonSetUpdateStrategy{}
	annotations := maps.Clone(ds.Annotations)
	delete(annotations, appsv1.DeprecatedTemplateGeneration)
	raw, err := json.Marshal([]any{ds.UID, ds.Labels, annotations, ds.Finalizers, ds.OwnerReferences, ds.DeletionTimestamp, rest})
	if err != nil {
		return string(ds.UID) + "@" + ds.ResourceVersion // another one each time: it is looked at again
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Around is what the function of that name says of a DaemonSet as it is now; empty when it is not there or not known.
func (f *Fleet) Around(namespace, name string) string {
	o, found, err := f.daemonSet.GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !found || !f.daemonSet.HasSynced() {
		return ""
	}
	return o.(*appsv1.DaemonSet).Annotations[annotationAround]
}

// NotifyAround calls changed with the owner label of a DaemonSet whenever what Around says of it changes, and when it
// comes or goes; for both labels when that is what changed.
func (f *Fleet) NotifyAround(changed func(owner string)) error {
	tell := func(o any) {
		if ds, is := known(o).(*appsv1.DaemonSet); is && ds.Labels[v1alpha1.LabelOwner] != "" {
			changed(ds.Labels[v1alpha1.LabelOwner])
		}
	}
	_, err := f.daemonSet.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: tell, DeleteFunc: tell,
		UpdateFunc: func(old, new any) {
			before, after := old.(*appsv1.DaemonSet), new.(*appsv1.DaemonSet)
			if before.Annotations[annotationAround] == after.Annotations[annotationAround] {
				return
			}
			tell(after)
			if before.Labels[v1alpha1.LabelOwner] != after.Labels[v1alpha1.LabelOwner] {
				tell(before)
			}
		},
	})
	return err
}
