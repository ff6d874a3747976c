package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// killDelay is the time from SIGTERM to SIGKILL; minicluster needs a fraction of a second.
const killDelay = 10 * time.Second

// process is a running minicluster.
type process struct {
	cancel context.CancelFunc
	// ended is closed when the process is gone; err is its outcome then.
	ended chan struct{}
	err   error
}

// startProcess runs minicluster until ctx ends, and returns when it has said that it is ready.
func startProcess(ctx context.Context, binary string, args []string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, binary, args...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = killDelay
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ready := &readiness{said: make(chan struct{})}
	var complaints bytes.Buffer
	command.Stdout, command.Stderr = ready, &complaints

	p := &process{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		// The kernel sends the signal of Pdeathsig at the end of the thread that started the process, so that this
		// thread must live as long as the process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.err = command.Run()
	}()
	select {
	case <-ready.said:
		return p, nil
	case <-p.ended:
		defer cancel()
		return nil, fmt.Errorf("run %s %s: %w: %s", binary, strings.Join(args, " "), p.err, bytes.TrimSpace(complaints.Bytes()))
	}
}

// stop asks the process to end and waits for that. A process that ended well is no error, however often this is called.
func (p *process) stop() error {
	p.cancel()
	<-p.ended
	if errors.Is(p.err, context.Canceled) || errors.Is(p.err, context.DeadlineExceeded) {
		return nil
	}
	return p.err
}

// lastWords are what a process that failed says of the cause in its log: the beginning of its panic, or the end.
func lastWords(log string) string {
	const enough = 4096
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	if crash := regexp.MustCompile(`(?m)^(panic|fatal error): `).FindIndex(text); crash != nil {
		return string(text[crash[0]:min(len(text), crash[0]+enough)])
	}
	return string(text[max(0, len(text)-enough):])
}

// readiness is the standard output of minicluster. It closes said at the line "ready".
type readiness struct {
	said chan struct{}
	once sync.Once
	text bytes.Buffer
}

func (r *readiness) Write(text []byte) (int, error) {
	r.text.Write(text)
	if bytes.Contains(r.text.Bytes(), []byte("ready\n")) {
		r.once.Do(func() { close(r.said) })
	}
	return len(text), nil
}
