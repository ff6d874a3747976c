package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
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
