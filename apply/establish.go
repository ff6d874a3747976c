package apply

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rollcall-dev/rollcall/diff"
)

const (
	// establishPoll is how often to look whether a kind is served.
	establishPoll = 200 * time.Millisecond
	// schemaTimeout is how long the API server may take to follow a changed CustomResourceDefinition.
	schemaTimeout = 5 * time.Second
)

func (a *Applier) establishTimeout() time.Duration {
	if a.EstablishTimeout == 0 {
		return establishTimeout
	}
	return a.EstablishTimeout
}

// awaitDefinition waits until the API server serves a CustomResourceDefinition that was just applied.
func (a *Applier) awaitDefinition(ctx context.Context, t target) *diff.Problem {
	said := "it has no condition yet"
	err := wait.PollUntilContextTimeout(ctx, establishPoll, a.establishTimeout(), true, func(ctx context.Context) (bool, error) {
		live, err := a.get(ctx, t)
		if err != nil || live == nil {
			return false, err
		}
		established, message := establishment(live)
		if message != "" {
			said = message
		}
		return established, nil
	})
	switch {
	case err == nil:
		a.forgetKinds()
		return nil
	case wait.Interrupted(err):
		return &diff.Problem{Reason: ReasonUnavailable, Message: fmt.Sprintf("the API server does not serve it after %s: %s", a.establishTimeout(), said)}
	default:
		return a.problem("get", t, err)
	}
}

// establishment reports whether a CustomResourceDefinition is served, or what its conditions say against that.
func establishment(definition *unstructured.Unstructured) (established bool, message string) {
	conditions, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		switch {
		case condition["type"] == "Established" && condition["status"] == "True":
			established = true
		case condition["type"] == "NamesAccepted" && condition["status"] == "False":
			message, _ = condition["message"].(string)
		}
	}
	return established, message
}

// awaitKind finds the kind of an object. One that the plan knows to come with this set may be listed a little after its
// CustomResourceDefinition is established.
func (a *Applier) awaitKind(ctx context.Context, c diff.Change, o diff.Object) (mapping *meta.RESTMapping, err error) {
	gvk := o.Declared.GroupVersionKind()
	if c.Reason != diff.ReasonPending {
		return a.kindOf(gvk)
	}
	waitErr := wait.PollUntilContextTimeout(ctx, establishPoll, a.establishTimeout(), true, func(context.Context) (bool, error) {
		mapping, err = a.kindOf(gvk)
		if meta.IsNoMatchError(err) {
			a.forgetKinds()
			return false, nil
		}
		return true, err
	})
	if err == nil {
		err = waitErr
	}
	return mapping, err
}
