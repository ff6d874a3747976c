package apply

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestDependency(t *testing.T) {
	key := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "a", Name: name} }
	all := map[types.NamespacedName][]types.NamespacedName{
		key("cni"): nil, key("csi"): {key("cni")}, key("log"): {key("missing")}, key("self"): {key("self")},
		key("one"): {key("two")}, key("two"): {key("one")},
	}
	for name, words := range map[string]string{
		"cni": "", "csi": "",
		"log": "names a/missing, but GitSync g.s has no DaemonSet a/missing", "self": "that is the DaemonSet itself", "one": "comes after itself: a/one after a/two after a/one",
	} {
		block := Dependency("g.s", key(name), all)
		switch {
		case words == "" && block != nil:
			t.Errorf("%s: %v", name, block)
		case words != "" && (block == nil || block.Reason != ReasonDependencyInvalid || !strings.Contains(block.Message, words)):
			t.Errorf("%s: %+v, want %q", name, block, words)
		}
	}
}
