package git_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// counter counts the requests that reach a server: lists of refs, and packs.
type counter struct {
	refs, packs atomic.Int32
}

// count has a counter stand before git.
func (s *server) count() *counter {
	c, backend := &counter{}, s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			c.packs.Add(1)
		} else {
			c.refs.Add(1)
		}
		backend.ServeHTTP(w, r)
	})
	return c
}

func (c *counter) want(t *testing.T, when string, refs, packs int32) {
	t.Helper()
	if gotRefs, gotPacks := c.refs.Load(), c.packs.Load(); gotRefs != refs || gotPacks != packs {
		t.Errorf("%s: %d lists of refs and %d packs were asked for, want %d and %d", when, gotRefs, gotPacks, refs, packs)
	}
}

func TestOneAnswerServesAllThatAskTheSame(t *testing.T) {
	s := newServer(t)
	first := s.push("one", map[string]string{"a": "1"})
	seen := s.count()
	client := &git.Client{}
	begun := time.Now()
	poll := func(source git.Source, after time.Time) git.Tip {
		t.Helper()
		tip, err := client.Poll(t.Context(), source, after)
		if err != nil {
			t.Fatal(err)
		}
		return tip
	}
	for range 200 {
		if tip := poll(s.source(), begun); tip.Commit != first || !tip.Asked.After(begun) {
			t.Fatalf("it leads to %+v", tip)
		}
	}
	seen.want(t, "200 polls", 1, 0)

	second := s.push("two", map[string]string{"a": "2"})
	asked := time.Now()
	if tip := poll(s.source(), begun); tip.Commit != first {
		t.Errorf("who takes an answer from before has %s, want %s", tip.Commit, first)
	}
	if tip := poll(s.source(), asked); tip.Commit != second {
		t.Errorf("who asked after the push has %s, want %s", tip.Commit, second)
	}
	if tip := poll(s.source(), begun); tip.Commit != second {
		t.Errorf("the next one has %s, want %s", tip.Commit, second)
	}
	seen.want(t, "with one who wants a newer answer", 2, 0)
	other := s.source()
	other.Ref, other.Semver = "", "*"
	if _, err := client.Poll(t.Context(), other, begun); !errors.Is(err, git.RefNotFound) {
		t.Errorf("another ref: %v", err)
	}
	if _, err := client.Poll(t.Context(), other, begun); !errors.Is(err, git.RefNotFound) {
		t.Errorf("another ref again: %v", err)
	}
	seen.want(t, "a failure is an answer too", 3, 0)
}

// TestAnAnswerOnItsWay shows that what was asked before a push is not told to somebody who asks after it.
func TestAnAnswerOnItsWay(t *testing.T) {
	s := newServer(t)
	s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	var requests atomic.Int32
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		arrived <- struct{}{}
		<-release
		backend.ServeHTTP(w, r)
	})
	client, begun := &git.Client{}, time.Now()
	var wait sync.WaitGroup
	poll := func(ctx context.Context, after time.Time) {
		wait.Go(func() {
			if _, err := client.Poll(ctx, s.source(), after); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	poll(t.Context(), begun)
	<-arrived
	poll(t.Context(), begun)
	poll(t.Context(), begun)
	poll(t.Context(), time.Now())
	<-arrived
	close(release)
	wait.Wait()
	if got := requests.Load(); got != 2 {
		t.Errorf("%d requests for four callers, one of them after the first had gone out: want 2", got)
	}

	// Who asked goes away; who waits for the same answer asks again.
	release = make(chan struct{})
	begun = time.Now()
	gone, leave := context.WithCancel(t.Context())
	poll(gone, begun)
	<-arrived
	poll(t.Context(), begun)
	leave()
	<-arrived
	close(release)
	wait.Wait()
}

func TestNobodyUsesTheCredentialsOfAnother(t *testing.T) {
	s := newServer(t)
	commit := s.push("one", map[string]string{"a": "1"})
	backend := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "p" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
	client, begun := &git.Client{Dir: t.TempDir()}, time.Now()
	read := func(auth git.Auth) error {
		source := s.source()
		source.Auth = auth
		tip, err := client.Poll(t.Context(), source, begun)
		if err != nil {
			return err
		}
		_, err = client.FetchTip(t.Context(), source, tip)
		return err
	}
	if err := read(git.Auth{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	for _, auth := range []git.Auth{{}, {Username: "u", Password: "x"}, {Username: "u"}, {BearerToken: "p"}} {
		wantError(t, read(auth), git.AuthenticationFailed)
	}
	if left := clones(t, client.Dir); len(left) != 1 || !strings.HasSuffix(left[0], commit) {
		t.Errorf("clones: %v", left)
	}
}

func TestAServerThatWantsToBeLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header map[string]string
		waits  time.Duration
		reason git.Reason
	}{
		"429 with seconds":        {429, map[string]string{"Retry-After": "120"}, 2 * time.Minute, git.Unreachable},
		"503 with seconds":        {503, map[string]string{"Retry-After": " 120 "}, 2 * time.Minute, git.Unreachable},
		"403 of a limit":          {403, map[string]string{"Retry-After": "60"}, time.Minute, git.AuthenticationFailed},
		"a date by its own clock": {429, map[string]string{"Date": "Fri, 27 Nov 2020 10:00:00 GMT", "Retry-After": "Fri, 27 Nov 2020 10:10:00 GMT"}, 10 * time.Minute, git.Unreachable},
		"a year":                  {503, map[string]string{"Retry-After": "31536000"}, time.Hour, git.Unreachable},
		"more than a number":      {503, map[string]string{"Retry-After": "99999999999999999999"}, 0, git.Unreachable},
		"a date that is over":     {503, map[string]string{"Retry-After": "Fri, 27 Nov 2020 10:10:00 GMT"}, 0, git.Unreachable},
		"no time at all":          {429, map[string]string{"Retry-After": "0"}, 0, git.Unreachable},
		"less than none":          {429, map[string]string{"Retry-After": "-5"}, 0, git.Unreachable},
		"no word":                 {503, nil, 0, git.Unreachable},
		"a word":                  {503, map[string]string{"Retry-After": "soon"}, 0, git.Unreachable},
		"404 is no limit":         {404, map[string]string{"Retry-After": "120"}, 0, git.RepositoryNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			s := newServer(t)
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				for key, value := range c.header {
					w.Header().Set(key, value)
				}
				w.WriteHeader(c.status)
			})
			client, begun := &git.Client{Dir: t.TempDir()}, time.Now()
			tip, err := client.Poll(t.Context(), s.source(), begun)
			wantError(t, err, c.reason)
			e, _ := errors.AsType[*git.Error](err)
			if c.waits == 0 {
				if !e.RetryAt.IsZero() || strings.Contains(err.Error(), "no sooner") {
					t.Fatalf("it is to be asked at %s: %v", e.RetryAt, err)
				}
				return
			}
			if least := begun.Add(c.waits); e.RetryAt.Before(least) || e.RetryAt.After(time.Now().Add(c.waits)) || tip.Asked.IsZero() {
				t.Errorf("it is to be asked at %s, want %s after %s", e.RetryAt, c.waits, begun)
			}
			at := e.RetryAt.UTC().Format("15:04:05 UTC")
			if !strings.Contains(err.Error(), "no sooner than "+at) {
				t.Errorf("%q does not say when: %s", err, at)
			}
			again := s.source() // another ref of another repository of the same server, asked by the same
			again.Ref, again.URL = "refs/heads/other", strings.Replace(s.URL, "repo.git", "other.git", 1)
			_, err = client.Poll(t.Context(), again, time.Now())
			wantError(t, err, git.Unreachable, "no sooner than "+at)
			if got := requests.Load(); got != 1 {
				t.Errorf("%d requests, want 1", got)
			}
			again.Auth.Password = "another"
			if _, err = client.Poll(t.Context(), again, time.Now()); requests.Load() != 2 {
				t.Errorf("other credentials are not tried: %v", err)
			}
		})
	}
}
