// Package product runs rollcall for a test: its real binary as a process of its
// own, against a cluster, with the CRDs of the chart.
package product

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Options say how to run the controller.
type Options struct {
	// Kubeconfig is the identity that it runs as.
	Kubeconfig string
	// Dir is for its log and its cache; its log stays when it ends.
	Dir string
	// Name tells several processes apart; empty is rollcall.
	Name string
	// Args are added to the command line.
	Args []string
}

// Controller is a running `rollcall controller`.
type Controller struct {
	// Address serves /metrics, /healthz and /readyz.
	Address string
	// Page serves /hook.
	Page string
	// Log is the file of its standard error.
	Log string

	process *exec.Cmd
	done    chan struct{}
}

// Start starts the controller and returns when it is ready.
func Start(ctx context.Context, o Options) (*Controller, error) {
	binary, err := Binary("rollcall")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	page, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "rollcall"
	}
	c := &Controller{Address: address, Page: page, Log: filepath.Join(o.Dir, o.Name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of rollcall: %w", err)
	}
	defer log.Close()
	args := append([]string{
		"controller", "--kubeconfig", o.Kubeconfig, "--metrics-bind-address", address, "--page-bind-address", page,
		"--cache-dir", filepath.Join(o.Dir, o.Name+"-cache"), "--log-level", "debug", "--lease-namespace", "rollcall-system",
	}, o.Args...)
	c.process = exec.CommandContext(ctx, binary, args...)
	c.process.Stderr = log
	c.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.process.Start(); err != nil {
		return nil, fmt.Errorf("start rollcall: %w", err)
	}
	go func() {
		_ = c.process.Wait() // how it ended is for the test to judge by what it did
		close(c.done)
	}()
	if err := c.waitReady(ctx); err != nil {
		return nil, errors.Join(err, c.Kill())
	}
	return c, nil
}

func (c *Controller) waitReady(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		select {
		case <-c.done:
			return false, fmt.Errorf("rollcall ended: see %s", c.Log)
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Address+"/readyz", nil)
		if err != nil {
			return false, err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // it does not listen yet
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK, nil
	})
	if err != nil {
		return fmt.Errorf("wait for rollcall: %w", err)
	}
	return nil
}

// Kill ends the controller as a power cut would.
func (c *Controller) Kill() error {
	return c.end(syscall.SIGKILL)
}

// Stop ends the controller as Kubernetes does, and waits for it.
func (c *Controller) Stop() error {
	return c.end(syscall.SIGTERM)
}

// Freeze stops the process where it is until Thaw: a leader that hangs.
func (c *Controller) Freeze() error {
	return c.process.Process.Signal(syscall.SIGSTOP)
}

// Thaw lets a frozen process go on.
func (c *Controller) Thaw() error {
	return c.process.Process.Signal(syscall.SIGCONT)
}

func (c *Controller) end(s os.Signal) error {
	if err := c.process.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal rollcall: %w", err)
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("rollcall did not end within 20s")
	}
}

// Root is the repository's top folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "charts", "rollcall")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("find repository: no folder above has charts/rollcall")
}

// Binary is the path of one of the binaries that `make build` makes. The
// environment variable ROLLCALL_BIN names another folder than bin.
func Binary(name string) (string, error) {
	dir := os.Getenv("ROLLCALL_BIN")
	if dir == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing: run make build", strings.TrimPrefix(path, dir+"/"))
	}
	return path, nil
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", fmt.Errorf("free the port: %w", err)
	}
	return address, nil
}
