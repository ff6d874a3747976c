package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rollcall-dev/rollcall/apply/kinds"
	"github.com/rollcall-dev/rollcall/diff"
)

// ownerHashLength is the length of the hash in the owner label of a long name, in hex digits.
const ownerHashLength = 10

// Owner is the value of the label v1alpha1.LabelOwner that names a GitSync: NAMESPACE.NAME, cut and with a hash of the
// whole where a label value cannot hold that.
func Owner(gitsync types.NamespacedName) string {
	owner := gitsync.Namespace + "." + gitsync.Name
	if len(owner) <= validation.LabelValueMaxLength {
		return owner
	}
	sum := sha256.Sum256([]byte(owner))
	room := validation.LabelValueMaxLength - ownerHashLength - 1
	return strings.TrimRight(owner[:room], "-.") + "-" + hex.EncodeToString(sum[:])[:ownerHashLength]
}

// Owners returns what lists the owner labels of all GitSyncs that exist. It asks the API server each time: a cache could
// lack a GitSync that has just been made and already owns something.
func Owners(client *kinds.Client) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		all, err := client.GitSyncs(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list gitsyncs: %w", err)
		}
		out := make([]string, 0, len(all.Items))
		for _, gs := range all.Items {
			out = append(out, Owner(types.NamespacedName{Namespace: gs.Namespace, Name: gs.Name}))
		}
		return out, nil
	}
}

// orphan is whether an owner label names a GitSync that does not exist, or one that hands the object over, so that the
// next one may have what it owned: nobody else keeps it as Git says. Without Owners, which is to know nothing of GitSyncs,
// no label is an orphan's.
func (a *Applier) orphan(ctx context.Context, owner string, id diff.ID) (bool, error) {
	if a.HandsOver != nil && a.HandsOver(owner, id) {
		return true, nil
	}
	if a.Owners == nil {
		return false, nil
	}
	exist, err := a.Owners(ctx)
	if err != nil {
		return false, err
	}
	return !slices.Contains(exist, owner), nil
}
