package reader

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// Serve is the child: it reads one request, bounds itself, and writes one answer. An error is one of the pipes; all
// that is wrong with a repository is in the answer.
func Serve(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var o order
	if err := gob.NewDecoder(stdin).Decode(&o); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if err := confine(o.Limits); err != nil {
		return err
	}
	for name, value := range o.Environ {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	// Git has a transport of its own. Whoever else would fetch something must not.
	http.DefaultTransport = noTransport{}
	out := o.answer(ctx, stdout)
	out.Spent.Memory = mostResident()
	text, err := out.encode(o.Limits)
	if err != nil {
		return err
	}
	return writeFrame(stdout, frameAnswer, text)
}

// answer fetches and renders. The commit is told as soon as it is known.
func (o *order) answer(ctx context.Context, stdout io.Writer) (out answer) {
	began := time.Now()
	snapshot, err := o.fetch(ctx)
	out.Spent.Fetch = time.Since(began)
	if err == nil {
		err = tell(stdout, fetched{Commit: snapshot.Commit, Spent: out.Spent.Fetch})
	}
	if err != nil {
		out.Error = newFailure(err)
		return out
	}
	if snapshot.Gives(o.Known) {
		out.Unchanged = true
		return out
	}
	began = time.Now()
	files := snapshot.Record()
	built, err := render.Build(files, o.Options)
	out.Spent.Render = time.Since(began)
	if err != nil {
		out.Error = newFailure(err)
		return out
	}
	out.Declared, out.Reads = newDeclared(built), files.Reads()
	return out
}

func (o *order) fetch(ctx context.Context) (*git.Snapshot, error) {
	client := &git.Client{Dir: o.Dir, Limits: o.Git}
	if o.Exact {
		return client.Commit(ctx, o.Source, o.Commit)
	}
	client.Keep(o.Source, o.Keep)
	return client.Fetch(ctx, o.Source, o.Commit)
}

func tell(stdout io.Writer, f fetched) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode commit: %w", err)
	}
	return writeFrame(stdout, frameCommit, text)
}

// noTransport refuses every request.
type noTransport struct{}

func (noTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nothing is fetched while a commit is read")
}
