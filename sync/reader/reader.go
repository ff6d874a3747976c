package reader

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// Reader reads commits, each in a process of its own. It is safe for concurrent use.
type Reader struct {
	// Dir is where the clones lie, as git.Client has it. Nobody else may write to it.
	Dir string
	// Git, Render and Limits bound what a repository may cost: the fetch, the build, and the process.
	Git    git.Limits
	Render render.Limits
	Limits Limits
	// Command starts the child; by default it is this very program with the argument "child".
	Command []string

	once  sync.Once
	turns turns
}

// Request says what to read, and for whom.
type Request struct {
	// For is whose turn it is, such as the name of a GitSync.
	For string
	// Source is where the repository is. Its credentials travel by a pipe alone.
	Source git.Source
	// Commit is the one that is expected, as git.Client.Fetch takes it. With Exact it is read itself, though no ref
	// names it any more.
	Commit string
	Exact  bool
	// Keep is a commit whose clone stays beside the newest one; empty for none.
	Keep    string
	Options render.Options
	// Known is what an earlier answer of the same source rested on. When the commit has the same where that one
	// looked, nothing is rendered.
	Known *Basis
}

// Basis is what an answer rests on: the options, and what was looked up in the commit. kustomize is of one version in
// one process, so it is no part of it.
type Basis struct {
	options render.Options
	reads   git.Reads
}

// Answer is what a commit declares.
type Answer struct {
	// Commit is the commit that was read; nil when none could be fetched. It is set beside an error too.
	Commit *git.Commit
	// Unchanged is whether the commit declares what Request.Known came with; Declared is nil then.
	Unchanged bool
	Declared  *render.Declared
	// Basis is what to hand in as Known the next time; nil with an error.
	Basis *Basis
	Spent Spent
}

// Spent is what an answer cost.
type Spent struct {
	// Fetch and Render are zero for what was not done.
	Fetch, Render time.Duration
	// Memory is the most that the child had resident, in bytes, as it says.
	Memory int64
}

// Read reads one commit. It waits for its turn. The error is that of git or render, as the child met it, or an *Error
// that says what became of the child, or that of ctx.
func (r *Reader) Read(ctx context.Context, q Request) (Answer, error) {
	r.once.Do(func() {
		keepFiles()
		r.turns.most = r.Limits.orDefaults().Children
	})
	q.Options.Limits = r.Render
	done, err := r.turns.take(ctx, q.For, (&git.Client{Dir: r.Dir}).Home(q.Source))
	if err != nil {
		return Answer{}, err
	}
	began := time.Now()
	out, err := r.spawn(ctx, q)
	done(r.hog(err, time.Since(began)))
	return out, err
}

// hog is whether a child took more than its share.
func (r *Reader) hog(err error, took time.Duration) bool {
	own, isOwn := err.(*Error) //nolint:errorlint // spawn wraps none
	return isOwn && own.Costly() || took > r.Limits.orDefaults().Timeout/2
}

// Forget drops what is known of whoever asks no more.
func (r *Reader) Forget(who string) {
	r.turns.forget(who)
}

// order is what the child is told.
type order struct {
	Source git.Source
	Commit string
	Exact  bool
	Keep   string
	// Known are the lookups of the answer before; nil where its options were others.
	Known   git.Reads
	Options render.Options
	Dir     string
	Git     git.Limits
	Limits  Limits
	// Environ are the variables that say by which proxy a server is reached. They may hold credentials, so they are not
	// in the environment that others can look at.
	Environ map[string]string
}

func (r *Reader) order(q Request) order {
	limits := r.Limits.orDefaults()
	out := order{
		Source: q.Source, Commit: q.Commit, Exact: q.Exact, Keep: q.Keep, Options: q.Options,
		Dir: r.Dir, Git: r.Git, Limits: limits, Environ: map[string]string{},
	}
	// A server that is too slow is to be said of by who asked it, and not of a process that was killed.
	const ofTimeout = 4
	out.Git.FetchTimeout = limits.Timeout * ofTimeout / (ofTimeout + 1)
	if r.Git.FetchTimeout != 0 {
		out.Git.FetchTimeout = min(out.Git.FetchTimeout, r.Git.FetchTimeout)
	}
	if q.Known != nil && reflect.DeepEqual(q.Known.options, q.Options) {
		out.Known = q.Known.reads
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if value, set := os.LookupEnv(name); set {
			out.Environ[name] = value
		}
	}
	return out
}

// environ is the whole environment of a child: nothing of the parent's but where the certificates are.
func (r *Reader) environ() []string {
	out := []string{"HOME=/nonexistent", "PATH=", "TMPDIR=" + filepath.Clean(r.Dir)}
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, set := os.LookupEnv(name); set {
			out = append(out, name+"="+value)
		}
	}
	return out
}
