package apply

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// conflict is a field that another field manager holds with another value.
type conflict struct {
	manager string
	field   string
}

// conflicts returns the field conflicts that an answer of the API server lists, in its order; none when it is no such
// answer.
func conflicts(err error) []conflict {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var out []conflict
	for _, c := range status.Status().Details.Causes {
		if c.Type == metav1.CauseTypeFieldManagerConflict {
			out = append(out, conflict{manager: conflictingManager(c.Message), field: strings.TrimPrefix(c.Field, ".")})
		}
	}
	return out
}

// conflictingManager reads the name of the manager from a message such as `conflict with "helm" using apps/v1`
// (apimachinery, pkg/util/managedfields/internal/conflict.go). What it cannot read is a manager that nobody adopts from.
func conflictingManager(message string) string {
	_, rest, ok := strings.Cut(message, "conflict with ")
	if !ok {
		return message
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return message
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		return message
	}
	return name
}

// overtaken reports whether a write failed because somebody else wrote first.
func overtaken(err error) bool {
	return apierrors.IsConflict(err) && len(conflicts(err)) == 0
}

// adoptable reports whether every conflict is about a field that may be taken over.
func (a *Applier) adoptable(found []conflict) bool {
	return !slices.ContainsFunc(found, func(c conflict) bool { return !a.yields(c) })
}

// yields reports whether a field may be taken over: from a manager of whom that may be done, or the owner label from
// anybody. Whether an object may be had at all was decided by what the label says.
func (a *Applier) yields(c conflict) bool {
	return a.adopts(c.manager) || c.field == "metadata.labels."+v1alpha1.LabelOwner
}

// adopts reports whether the fields of a manager may be taken over. What was written by rollcall's own name in another
// way than by an apply is its own.
func (a *Applier) adopts(manager string) bool {
	return manager == a.fieldManager() || slices.Contains(a.adoptFrom(), manager)
}

// shownConflicts is how many fields a message spells out.
const shownConflicts = 3

// conflictProblem names the fields and the managers that rollcall may not take over from.
func (a *Applier) conflictProblem(found []conflict) *diff.Problem {
	held := slices.DeleteFunc(slices.Clone(found), a.yields)
	var parts []string
	for _, c := range held[:min(len(held), shownConflicts)] {
		parts = append(parts, fmt.Sprintf("%s is managed by %q", c.field, c.manager))
	}
	if more := len(held) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more fields", more))
	}
	return &diff.Problem{Reason: ReasonConflict, Message: strings.Join(parts, ", ") +
		": take the field out of Git, make that manager let go of it, or list it in spec.adoptFrom"}
}
