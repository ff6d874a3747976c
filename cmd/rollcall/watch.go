package main

import (
	"context"
	"fmt"
	"strings"
	gosync "sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// The pace of status --watch.
const (
	// redraw is how often ages move on, and how soon the cluster is read again
	// at the earliest.
	redraw = time.Second
	// reread is when the cluster is read without a sign of change: a node that
	// dies while the controller is away changes no object of ours.
	reread = 10 * time.Second
	// thrift bounds the share of time that is spent with reading: a fleet that
	// takes a second to list is listed every fifth.
	thrift = 4
)

// watch draws the screen until ctx is done. Only the first read may fail: after
// that the last screen stays, and says so.
func (o *observer) watch(ctx context.Context, t terminal) error {
	first, err := o.screen(ctx)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	var notifiers gosync.WaitGroup
	defer notifiers.Wait()
	notifiers.Go(func() {
		o.notify(ctx, changed, func(ns string) watcher { return o.kinds.NodeRollouts(ns) })
	})
	notifiers.Go(func() {
		o.notify(ctx, changed, func(ns string) watcher { return o.kinds.GitSyncs(ns) })
	})
	f := &frames{terminal: t}
	f.begin()
	defer f.end()
	follow(ctx, changed, first, o.screen, f.draw)
	return nil
}

// watcher watches one kind.
type watcher interface {
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// notify tells of every change until ctx is done. A watch that breaks, or may
// not be made, is made again: meanwhile the screen lives on rereads.
func (o *observer) notify(ctx context.Context, changed chan<- struct{}, kind func(namespace string) watcher) {
	for ctx.Err() == nil {
		w, err := kind(metav1.NamespaceAll).Watch(ctx, metav1.ListOptions{})
		if apierrors.IsForbidden(err) && o.namespace != "" {
			w, err = kind(o.namespace).Watch(ctx, metav1.ListOptions{})
		}
		if err != nil {
			pause(ctx, reread)
			continue
		}
		for range w.ResultChan() {
			select {
			case changed <- struct{}{}:
			default: // one is waiting already
			}
		}
		w.Stop()
		pause(ctx, redraw)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// follow draws, and reads after a change, at most once a second.
func follow(ctx context.Context, changed <-chan struct{}, shown screen, read func(context.Context) (screen, error), draw func(screen)) {
	readAt, next := time.Now(), time.Now()
	dirty := false
	for ctx.Err() == nil {
		shown.now = time.Now()
		draw(shown)
		pause(ctx, redraw)
		if ctx.Err() != nil {
			break
		}
		select {
		case <-changed:
			dirty = true
		default:
		}
		if time.Since(readAt) < reread && (!dirty || time.Now().Before(next)) {
			continue
		}
		began := time.Now()
		if s, err := read(ctx); err == nil {
			shown, dirty = s, false
		} else {
			shown.stale = err.Error()
		}
		readAt = time.Now()
		next = readAt.Add(thrift * readAt.Sub(began))
	}
}

// frames draws screens over one another on a terminal, and one below the other
// elsewhere.
type frames struct {
	terminal
	last string
}

// The escape sequences that a terminal is driven by.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the alternate screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

func (f *frames) begin() {
	if f.interactive() {
		fmt.Fprint(f, enterScreen)
	}
}

// end leaves the last frame on the ordinary screen, to be scrolled back to.
func (f *frames) end() {
	if f.interactive() {
		fmt.Fprint(f, leaveScreen+f.last)
	}
}

func (f *frames) draw(s screen) {
	if !f.interactive() {
		f.append(s)
		return
	}
	frame := s.render(f.style())
	f.last = frame
	_, height := f.size()
	lines := strings.Split(strings.TrimSuffix(frame, "\n"), "\n")
	if height > 1 && len(lines) > height-1 {
		lines = append(lines[:height-2], fmt.Sprintf("… and %d more lines: name one DaemonSet, or make the window taller", len(lines)-height+2))
	}
	fmt.Fprint(f, toTop+strings.Join(lines, eraseLine+"\n")+eraseLine+"\n"+eraseBelow)
}

// append writes the screen below the one before, if more than ages differ.
func (f *frames) append(s screen) {
	ageless := s
	ageless.now = time.Time{}
	if frame := ageless.render(f.style()); frame != f.last {
		fmt.Fprintf(f, "--- %s\n%s", s.now.UTC().Format(time.RFC3339), s.render(f.style()))
		f.last = frame
	}
}
