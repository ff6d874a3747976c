package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Remake makes those DaemonSets of an owner again that somebody deleted, each
// with its proven version and around it as it was last declared. It is for a pass
// that cannot declare anything, since the newest commit is refused or cannot be
// read: what was declared last keeps running, and all that is known of it is in
// the cluster. What the inventory does not list was pruned, and stays so.
func (r *Rollouts) Remake(ctx context.Context, owner string, as account.Account, inventory *v1alpha1.Inventory) error {
	if inventory == nil {
		return nil
	}
	list, err := r.Kinds.NodeRollouts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelOwner + "=" + owner})
	if err != nil {
		return fmt.Errorf("list noderollouts of %s: %w", owner, err)
	}
	var errs []error
	for i := range list.Items {
		n := &list.Items[i]
		id := diff.ID{Namespace: n.Namespace, Name: n.Name, Group: appsv1.GroupName, Kind: "DaemonSet"}
		listed := slices.ContainsFunc(inventory.Entries, func(e v1alpha1.InventoryEntry) bool { return e.ID == id.Entry() })
		if listed && n.DeletionTimestamp == nil && n.Status.Phase != "" {
			errs = append(errs, r.remake(ctx, owner, as, n))
		}
	}
	return errors.Join(errs...)
}

func (r *Rollouts) remake(ctx context.Context, owner string, as account.Account, n *v1alpha1.NodeRollout) error {
	key := types.NamespacedName{Namespace: n.Namespace, Name: n.Name}
	_, err := r.daemonSets(as, key.Namespace).get(ctx, key.Name)
	switch {
	case err == nil:
		return nil
	case !apierrors.IsNotFound(err):
		return failed("get", "DaemonSet "+key.String(), err)
	}
	want, err := (store{r.Kube, key}).declared(ctx)
	if err != nil || want == nil || want.Owner != owner || want.Around == nil || rollout.Removes(want.Digest) {
		return err
	}
	around := &unstructured.Unstructured{Object: want.Around}
	d := Declaration{Commit: want.Commit, Policy: want.Policy, Owner: want.Owner, As: as, DaemonSet: render.DaemonSet{
		Object: render.Object{Unstructured: around, Source: "as last declared"}, Digest: want.Digest,
	}}
	if _, err := r.createDaemonSet(ctx, d, n, want); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil // somebody was faster
}

// around is the DaemonSet as Git declares it but for its template.
func (d Declaration) around() map[string]any {
	out := d.DaemonSet.DeepCopy()
	unstructured.RemoveNestedField(out.Object, "spec", "template")
	return out.Object
}
