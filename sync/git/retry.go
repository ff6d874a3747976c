package git

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// longestRetry bounds what a server may ask for by Retry-After.
const longestRetry = time.Hour

// clock is a time of day in a message.
func clock(t time.Time) string {
	return t.UTC().Format("15:04:05 UTC")
}

// retryAfter is when a server wants to be asked again: after the seconds of its Retry-After, or at the date, by its own
// clock if it tells it. Zero when it does not say.
func retryAfter(h http.Header, now time.Time) time.Time {
	said := strings.TrimSpace(h.Get("Retry-After"))
	wait := time.Duration(0)
	if seconds, err := strconv.ParseInt(said, 10, 64); err == nil {
		wait = time.Duration(min(seconds, int64(longestRetry/time.Second))) * time.Second
	} else if at, err := http.ParseTime(said); err == nil {
		theirs := now
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			theirs = date
		}
		wait = min(at.Sub(theirs), longestRetry)
	}
	if wait <= 0 {
		return time.Time{}
	}
	return now.Add(wait)
}

// saidLater notes when the server wants to be asked again, of an answer that is no success.
func (w *wire) saidLater(response *http.Response) {
	if response.StatusCode < http.StatusBadRequest {
		return
	}
	at := retryAfter(response.Header, time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retry = at
}

func (w *wire) retryAt() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.retry
}

// retryAt says when the server wants to be asked again.
func (e *Error) retryAt(at time.Time) *Error {
	e.RetryAt = at
	return e
}

// until adds to an error of a server that limits its clients when to ask it again.
func (e *Error) until(at time.Time) *Error {
	if at.IsZero() || e.Reason != Unreachable && e.Reason != AuthenticationFailed {
		return e
	}
	e.Message += ", no sooner than " + clock(at) + ", as it wants"
	return e.retryAt(at)
}

// server is the source without what is asked for: what a server limits is who asks.
func (s Source) server() Source {
	s.Ref, s.Commit, s.Semver = "", "", ""
	if u, err := url.Parse(s.URL); err == nil {
		s.URL = u.Scheme + "://" + u.Host
	}
	return s
}
