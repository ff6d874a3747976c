// Command peers applies a file of manifests as other tools do, with their own code, and says what that took. It is what
// the benchmarks of package e2e compare rollcall with, in a module of its own, so that what these tools require changes
// nothing of what rollcall and the test cluster are built from.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer applies, or compares, the manifests of a file on the cluster of a kubeconfig.
type peer func(ctx context.Context, kubeconfig, file string) error

func peers() map[string]peer {
	return map[string]peer{"bare": bare, "flux": flux, "kubectl-apply": kubectlApply, "kubectl-diff": kubectlDiff}
}

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// cost is what a peer took, from when its process was up.
type cost struct {
	Wall, CPU time.Duration
	// Memory is the most that the process had resident, in bytes.
	Memory int64
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) < 3 {
		return errors.New("usage: peers bare|flux|kubectl-apply|kubectl-diff KUBECONFIG FILE, or flux-fetch|flux-poll|flux-render ARGUMENTS")
	}
	apply, known := peers()[args[0]]
	read, reads := sources()[args[0]]
	began, before := time.Now(), cpu()
	var err error
	switch {
	case reads:
		err = read(ctx, args[1:])
	case known && len(args) == 3:
		err = apply(ctx, args[1], args[2])
	default:
		err = errors.New("there is no such peer")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.NewEncoder(stdout).Encode(cost{Wall: time.Since(began), CPU: cpu() - before, Memory: resident()})
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

// cpu is the time of this process in user and kernel mode.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
