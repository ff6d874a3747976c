package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFollow(t *testing.T) {
	t.Run("a burst of changes is read once a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reads := follow10s(t, func(changed chan<- struct{}) {
				for range 1000 {
					time.Sleep(10 * time.Millisecond)
					select {
					case changed <- struct{}{}:
					default:
					}
				}
			}, 0, nil)
			if reads < 9 || reads > 11 {
				t.Errorf("%d reads in 10 s", reads)
			}
		})
	})
	t.Run("a slow cluster is read less often", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reads := follow10s(t, func(changed chan<- struct{}) {
				for range 1000 {
					time.Sleep(10 * time.Millisecond)
					select {
					case changed <- struct{}{}:
					default:
					}
				}
			}, time.Second, nil)
			if reads > 3 {
				t.Errorf("%d reads in 10 s, of 1 s each", reads)
			}
		})
	})
	t.Run("without a sign of change it is read now and then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if reads := follow10s(t, func(chan<- struct{}) {}, 0, nil); reads > 2 {
				t.Errorf("%d reads in 10 s", reads)
			}
		})
	})
	t.Run("later the last screen stays and says so", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var last screen
			follow10s(t, func(changed chan<- struct{}) { changed <- struct{}{} }, 0, func(s screen) { last = s })
			if last.empty != "first" || last.stale != "refused" {
				t.Errorf("got %+v", last)
			}
		})
	})
}

// follow10s follows for ten seconds and returns how often it read. With a draw
// function every read fails.
func follow10s(t *testing.T, change func(chan<- struct{}), takes time.Duration, draw func(screen)) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
	defer cancel()
	changed := make(chan struct{}, 1)
	go change(changed)
	reads, fails := 0, draw != nil
	read := func(context.Context) (screen, error) {
		time.Sleep(takes)
		reads++
		if fails {
			return screen{}, errors.New("refused")
		}
		return screen{}, nil
	}
	if draw == nil {
		draw = func(screen) {}
	}
	follow(ctx, changed, screen{empty: "first"}, read, draw)
	return reads
}

func TestFramesBelowOneAnother(t *testing.T) {
	var out bytes.Buffer
	f := &frames{terminal: newTerminal(&out)}
	f.begin()
	s := atRestScreen()
	f.draw(s)
	s.now = s.now.Add(time.Minute)
	f.draw(s)
	s.rollouts[0].rollout.Status.Message = "another message"
	f.draw(s)
	f.end()
	got := out.String()
	if strings.Contains(got, "\x1b") {
		t.Error("escape sequences in a file")
	}
	if n := strings.Count(got, "--- 2026-03-02T"); n != 2 {
		t.Errorf("%d frames, want 2: age alone is no news\n%s", n, got)
	}
}
