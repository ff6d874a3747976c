// Command reads does with a repository what the controller does before it applies anything, and says what that took. It is
// what the benchmarks of package e2e compare with Flux' packages, which command peers runs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// cost is what something took, from when the process was up. That of children is in it.
type cost struct {
	Wall, CPU time.Duration
	// Memory is the most that this process and its child had resident, in bytes.
	Memory int64
}

// commands are what there is to do. Each returns the memory of the child that it had, if it had one.
func commands() map[string]func(context.Context, []string) (child int64, err error) {
	return map[string]func(context.Context, []string) (int64, error){"fetch": fetch, "poll": poll, "render": draw, "git": runGit}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) < 3 {
		return errors.New("usage: reads fetch URL DIR PATH ROLLCALL | poll URL COMMIT TIMES | render DIR PATH | git ARGUMENTS")
	}
	do, known := commands()[args[0]]
	if !known {
		return fmt.Errorf("there is no command %q", args[0])
	}
	began, before := time.Now(), used()
	child, err := do(ctx, args[1:])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	out := cost{Wall: time.Since(began), CPU: used() - before, Memory: child}
	if args[0] != "git" {
		out.Memory += resident()
	}
	return json.NewEncoder(stdout).Encode(out)
}

// used is the CPU time of this process and its children so far.
func used() time.Duration {
	var out time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err == nil {
			out += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return out
}

// resident is the most that this process had resident, in bytes. Getrusage counts what its parent had, too.
func resident() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	number, _, _ := strings.Cut(rest, "kB")
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil {
		return 0
	}
	return kilobytes << 10
}

// runGit runs git itself. Its memory is that of the largest of its processes, and no less than what this one has.
func runGit(ctx context.Context, args []string) (int64, error) {
	if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u)
	return u.Maxrss << 10, err
}

func source(url string) git.Source {
	return git.Source{URL: url, Ref: "refs/heads/main", InsecureHTTP: true}
}

// fetch reads a commit in a child process of rollcall: URL DIR PATH ROLLCALL.
func fetch(ctx context.Context, args []string) (int64, error) {
	if len(args) != 4 {
		return 0, errors.New("fetch takes URL DIR PATH ROLLCALL")
	}
	r := &reader.Reader{Dir: args[1], Command: []string{args[3], "child"}}
	out, err := r.Read(ctx, reader.Request{Source: source(args[0]), Options: render.Options{Path: args[2]}})
	if err == nil && out.Declared.Empty() {
		err = errors.New("nothing is declared")
	}
	return out.Spent.Memory, err
}

// poll asks a server so many times whether the branch has still the commit: URL COMMIT TIMES.
func poll(ctx context.Context, args []string) (int64, error) { //nolint:unparam // it has no child
	if len(args) != 3 {
		return 0, errors.New("poll takes URL COMMIT TIMES")
	}
	times, err := strconv.Atoi(args[2])
	if err != nil {
		return 0, err
	}
	client := &git.Client{}
	for range times {
		got, err := client.Ask(ctx, source(args[0]))
		if err != nil || got.Commit != args[1] {
			return 0, fmt.Errorf("the branch is at %s: %w", got.Commit, err)
		}
	}
	return 0, nil
}

// draw makes objects of a path of a directory: DIR PATH.
func draw(_ context.Context, args []string) (int64, error) { //nolint:unparam // it has no child
	if len(args) != 2 {
		return 0, errors.New("render takes DIR PATH")
	}
	out, err := render.Build(os.DirFS(args[0]), render.Options{Path: args[1]})
	if err == nil && out.Empty() {
		err = errors.New("nothing is declared")
	}
	return 0, err
}
