package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestNewFailure(t *testing.T) {
	t.Parallel()
	fromGit := &git.Error{Reason: git.Unreachable, URL: "https://git.example.com/a.git", Ref: "refs/heads/main", Message: "no"}
	fromRender := &render.Error{Reason: render.InvalidYAML, File: "a.yaml", Line: 3, Message: "no"}
	fromApply := &apply.Error{Reason: apply.ReasonForbidden, Object: "Service a/b (b.yaml)", Message: "no"}
	type said struct{ Reason, Message string }
	for name, c := range map[string]struct {
		err  error
		want said
	}{
		"of git":                   {fromGit, said{"GitUnreachable", "https://git.example.com/a.git refs/heads/main: no"}},
		"of git, wrapped":          {fmt.Errorf("fetch: %w", fromGit), said{"GitUnreachable", "fetch: https://git.example.com/a.git refs/heads/main: no"}},
		"of render":                {fromRender, said{"InvalidYAML", "a.yaml:3: no"}},
		"of render, several":       {render.Errors{fromRender, {Reason: render.DuplicateObject, File: "b.yaml", Message: "twice"}}, said{"InvalidYAML", "2 errors (1 DuplicateObject, 1 InvalidYAML): a.yaml:3: no; b.yaml: twice"}},
		"of apply":                 {fromApply, said{"Forbidden", "Service a/b (b.yaml): Forbidden: no"}},
		"of apply, several":        {errors.Join(fromApply, &apply.Error{Reason: apply.ReasonConflict, Object: "x", Message: "y"}), said{"Forbidden", "2 objects are refused (1 Conflict, 1 Forbidden): Service a/b (b.yaml): Forbidden: no; x: Conflict: y"}},
		"of git and then of apply": {errors.Join(fromGit, fromApply), said{"GitUnreachable", "2 errors (1 Forbidden, 1 GitUnreachable): https://git.example.com/a.git refs/heads/main: no; Service a/b (b.yaml): Forbidden: no"}},
		"with a reason of its own": {fmt.Errorf("read: %w", &Failure{Reason: ReasonSecretNotFound, Message: "no Secret"}), said{"SecretNotFound", "no Secret"}},
		"with a reason of its own, and then of apply": {errors.Join(&Failure{Reason: ReasonSecretNotFound, Message: "no Secret"}, fromApply), said{"SecretNotFound", "2 errors (1 Forbidden, 1 SecretNotFound): no Secret; Service a/b (b.yaml): Forbidden: no"}},
		"of a deadline":             {fmt.Errorf("get: %w", context.DeadlineExceeded), said{"Unavailable", "get: context deadline exceeded"}},
		"of something else":         {errors.New("boom"), said{"Failed", "boom"}},
		"of git because of a limit": {&git.Error{Reason: git.LimitExceeded, Message: "big"}, said{"LimitExceeded", "big"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newFailure(c.err)
			if d := cmp.Diff(c.want, said{got.Reason, got.Message}); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestAllErrorsAreCounted shows that of very many errors all are counted, and as many spelled out as anybody reads.
func TestAllErrorsAreCounted(t *testing.T) {
	t.Parallel()
	var errs []error
	for i := range 500 {
		errs = append(errs, &apply.Error{Reason: apply.ReasonInvalid, Object: fmt.Sprintf("Service a/s%d", i), Message: strings.Repeat("ä", 600)})
	}
	errs = append(errs, &apply.Error{Reason: apply.ReasonConflict, Object: "ConfigMap a/c", Message: "held"})
	got := newFailure(errors.Join(errs[:400]...)).Message
	if !strings.HasPrefix(got, "400 objects are refused (400 Invalid): Service a/s0: Invalid: ää") || !strings.HasSuffix(got, "; and 392 more: rollcall plan lists all") || !strings.Contains(got, "Service a/s7: ") {
		t.Errorf("the message is %q", got)
	}
	if len(got) > maxMessage+300 {
		t.Errorf("the message has %d bytes", len(got))
	}
	if got := newFailure(errors.Join(errors.Join(errs[:1]...), errors.Join(errs[499:]...))).Message; !strings.HasPrefix(got, "3 objects are refused (1 Conflict, 2 Invalid): ") || !strings.HasSuffix(got, "ConfigMap a/c: Conflict: held") {
		t.Errorf("the message is %q", got)
	}
}

func TestOnlyALostRaceIsMadeAgainWithoutAWord(t *testing.T) {
	t.Parallel()
	raced := apierrors.NewConflict(schema.GroupResource{Resource: "gitsyncs"}, "fleet", errors.New("it was modified"))
	held := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Field: ".data.key"}}, "conflict with \"vault\"")
	// What Declare says when it has tried often enough, and what a plan says of a field.
	gaveUp := &apply.Error{Reason: apply.ReasonUnavailable, Object: "DaemonSet a/b", Message: "somebody else keeps writing it", Err: raced}
	blocked := &apply.Error{Reason: apply.ReasonConflict, Object: "ConfigMap a/c", Message: "data.key is managed by vault"}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                               {nil, false},
		"a conflict":                            {raced, true},
		"a conflict, wrapped":                   {fmt.Errorf("write inventory: %w", raced), true},
		"a declaration that gave up":            {gaveUp, true},
		"a failure of such":                     {newFailure(errors.Join(gaveUp)), true},
		"two conflicts":                         {errors.Join(gaveUp, fmt.Errorf("write: %w", raced)), true},
		"something else":                        {errors.New("boom"), false},
		"a conflict first, then something else": {errors.Join(raced, errors.New("boom")), false},
		"something else first":                  {errors.Join(errors.New("boom"), raced), false},
		"something else, joined further down":   {newFailure(errors.Join(gaveUp, fmt.Errorf("apply: %w", errors.Join(raced, blocked)))), false},
		"a conflict of fields":                  {held, false},
		"an object in conflict":                 {blocked, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := overtaken(c.err); got != c.want {
				t.Errorf("overtaken says %t of %v", got, c.err)
			}
		})
	}
	all := newFailure(errors.Join(gaveUp, blocked, &apply.Error{Reason: apply.ReasonConflict, Object: "DaemonSet a/d", Err: raced},
		&apply.Error{Reason: apply.ReasonOwnedByAnother, Object: "Secret a/e"}, &apply.Error{Reason: apply.ReasonForbidden, Object: "Service a/f"}))
	if d := cmp.Diff([]string{"ConfigMap a/c", "Secret a/e"}, conflicted(all)); d != "" {
		t.Errorf("in conflict (-want +got):\n%s", d)
	}
}
