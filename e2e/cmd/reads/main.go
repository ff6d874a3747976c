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
	"strconv"
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
	// Memory is the most that this process and the largest of its children had resident, in bytes.
	Memory int64
}

// commands are what there is to do, each with so many arguments.
func commands() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{"fetch": fetch, "poll": poll, "render": draw}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) < 3 {
		return errors.New("usage: reads fetch URL DIR PATH ROLLCALL | poll URL COMMIT TIMES | render DIR PATH")
	}
	do, known := commands()[args[0]]
	if !known {
		return fmt.Errorf("there is no command %q", args[0])
	}
	began, before := time.Now(), used()
	if err := do(ctx, args[1:]); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	after := used()
	return json.NewEncoder(stdout).Encode(cost{Wall: time.Since(began), CPU: after.CPU - before.CPU, Memory: after.Memory})
}

// used is what this process and its children have used so far.
func used() cost {
	var out cost
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			continue
		}
		out.CPU += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		out.Memory += u.Maxrss << 10
	}
	return out
}

func source(url string) git.Source {
	return git.Source{URL: url, Ref: "refs/heads/main", InsecureHTTP: true}
}

// fetch reads a commit in a child process of rollcall: URL DIR PATH ROLLCALL.
func fetch(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("fetch takes URL DIR PATH ROLLCALL")
	}
	r := &reader.Reader{Dir: args[1], Command: []string{args[3], "child"}}
	out, err := r.Read(ctx, reader.Request{Source: source(args[0]), Options: render.Options{Path: args[2]}})
	if err == nil && out.Declared.Empty() {
		err = errors.New("nothing is declared")
	}
	return err
}

// poll asks a server so many times whether the branch has still the commit: URL COMMIT TIMES.
func poll(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("poll takes URL COMMIT TIMES")
	}
	times, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	client := &git.Client{}
	for range times {
		got, err := client.Resolve(ctx, source(args[0]))
		if err != nil || got != args[1] {
			return fmt.Errorf("the branch is at %s: %w", got, err)
		}
	}
	return nil
}

// draw makes objects of a path of a directory: DIR PATH.
func draw(_ context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("render takes DIR PATH")
	}
	out, err := render.Build(os.DirFS(args[0]), render.Options{Path: args[1]})
	if err == nil && out.Empty() {
		err = errors.New("nothing is declared")
	}
	return err
}
