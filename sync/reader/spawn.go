package reader

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// killed is how long the pipes of a child that was killed may stay open.
const killed = 2 * time.Second

// spawn runs one child from its start to its end.
func (r *Reader) spawn(ctx context.Context, q Request) (Answer, error) {
	order := r.order(q)
	var request bytes.Buffer
	if err := gob.NewEncoder(&request).Encode(order); err != nil {
		return Answer{}, errorf(NotStarted, Fetching, "encode request: %v", err)
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return Answer{}, errorf(NotStarted, Fetching, "make cache directory: %v", err)
	}
	within, cancel := context.WithTimeout(ctx, order.Limits.Timeout)
	defer cancel()
	// The kernel kills the child when the thread that started it is gone (prctl(2), PR_SET_PDEATHSIG), so that thread
	// has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := r.child(within, &request)
	out, err := c.converse(order.Limits)
	switch {
	case ctx.Err() != nil && !out.whole():
		return Answer{}, ctx.Err()
	case err != nil:
		return out.broken(), c.end(out, err, order.Limits, within.Err() != nil)
	}
	return c.answer(out, q)
}

// child is one process.
type child struct {
	*exec.Cmd
	stderr head
}

func (r *Reader) child(ctx context.Context, request io.Reader) *child {
	command := r.Command
	if len(command) == 0 {
		command = []string{self(), "child"}
	}
	c := &child{Cmd: exec.CommandContext(ctx, command[0], command[1:]...)} //nolint:gosec // it is this program
	c.Env, c.Dir = r.environ(), r.Dir
	c.Stdin, c.Stderr = request, &c.stderr
	c.SysProcAttr = attributes()
	c.Cancel = func() error { return killGroup(c.Process) }
	c.WaitDelay = killed
	return c
}

// converse starts the child, takes its answer, and ends it: there is nothing more to come.
func (c *child) converse(l Limits) (heard, error) {
	stdout, err := c.StdoutPipe()
	if err != nil {
		return heard{}, errorf(NotStarted, Fetching, "open pipe: %v", err)
	}
	if err := c.Start(); err != nil {
		return heard{}, errorf(NotStarted, Fetching, "start a process to read Git in: %v: look at the limits of processes of the container", err)
	}
	out, err := listen(stdout, l)
	if !ended(err) {
		_ = killGroup(c.Process)
	}
	_ = c.Wait() // how it ended is in its state
	return out, err
}

// ended is whether a child closed its pipe.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// answer is what the child said, as values.
func (c *child) answer(h heard, q Request) (Answer, error) {
	out := Answer{Commit: h.commit(), Spent: h.answer.Spent}
	if h.answer.Error != nil {
		if err := h.answer.Error.error(); err != nil {
			return out, err
		}
	}
	var err error
	switch a := h.answer; {
	case out.Commit == nil, a.Error != nil, a.Unchanged == (a.Declared != nil), a.Unchanged && q.Known == nil:
		err = errors.New("an answer with half of its parts")
	case a.Unchanged:
		out.Unchanged, out.Basis = true, q.Known
	default:
		out.Declared, err = a.Declared.declared()
		out.Basis = &Basis{options: q.Options, reads: a.Reads}
	}
	if err != nil {
		return h.broken(), garbled(h.doing(), err)
	}
	return out, nil
}

func (h heard) whole() bool { return h.answer != nil }

// head keeps the beginning of what is written to it, where Go says why it ends a process.
type head struct {
	kept []byte
}

func (h *head) Write(p []byte) (int, error) {
	const most = 64 << 10
	if room := most - len(h.kept); room > 0 {
		h.kept = append(h.kept, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
