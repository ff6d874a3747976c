package sync

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		"of git":                    {fromGit, said{"GitUnreachable", "https://git.example.com/a.git refs/heads/main: no"}},
		"of git, wrapped":           {fmt.Errorf("fetch: %w", fromGit), said{"GitUnreachable", "fetch: https://git.example.com/a.git refs/heads/main: no"}},
		"of render":                 {fromRender, said{"InvalidYAML", "a.yaml:3: no"}},
		"of render, several":        {render.Errors{fromRender, {Reason: render.DuplicateObject, File: "b.yaml", Message: "twice"}}, said{"InvalidYAML", "a.yaml:3: no; b.yaml: twice"}},
		"of apply":                  {fromApply, said{"Forbidden", "Service a/b (b.yaml): Forbidden: no"}},
		"of apply, several":         {errors.Join(fromApply, &apply.Error{Reason: apply.ReasonConflict, Object: "x", Message: "y"}), said{"Forbidden", "Service a/b (b.yaml): Forbidden: no; x: Conflict: y"}},
		"of git and then of apply":  {errors.Join(fromGit, fromApply), said{"GitUnreachable", "https://git.example.com/a.git refs/heads/main: no; Service a/b (b.yaml): Forbidden: no"}},
		"with a reason of its own":  {fmt.Errorf("read: %w", &Failure{Reason: ReasonSecretNotFound, Message: "no Secret"}), said{"SecretNotFound", "no Secret"}},
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
