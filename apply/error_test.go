package apply

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What is forbidden of a DaemonSet names what lets it through.
func TestForbiddenDaemonSetNamesTheWayOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ said, want string }{
		"a right that is missing":   {`User "system:serviceaccount:a:b" cannot patch resource "daemonsets"`, "grant it to the ServiceAccount"},
		"a quota that is used up":   {"exceeded quota: q, requested: count/daemonsets.apps=1", "raise the ResourceQuota"},
		"a webhook that refuses it": {`admission webhook "policy.example.com" denied the request: no`, "no right helps: change the object in Git, or that rule"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := classify("dry-run", "DaemonSet a/agent", apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "daemonsets"}, "agent", errors.New(c.said)))
			if e.Reason != ReasonForbidden || !strings.Contains(e.Message, c.want) || !strings.Contains(e.Message, c.said) {
				t.Errorf("%s: %s, want %q", e.Reason, e.Message, c.want)
			}
		})
	}
}
