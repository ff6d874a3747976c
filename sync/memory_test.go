package sync

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

var errGit = errors.New("git is gone")

// wantWithin fails when a delay is not in [least, least + 10%].
func wantWithin(t *testing.T, what string, got, least time.Duration) {
	t.Helper()
	if got < least || got > least+least/10 {
		t.Errorf("%s in %s, want %s and up to 10%% more", what, got, least)
	}
}

// polled is a poll whose question went out and was answered at one time.
func polled(m *memory, q question, err error, r rhythm, now time.Time) {
	m.asking.answered = now
	m.polled(q, err, r, now)
}

func TestGitIsAskedOnceAnInterval(t *testing.T) {
	t.Parallel()
	m, q := &memory{}, question{generation: 1}
	if m.answers(q, now) {
		t.Error("a process that knows nothing does not poll")
	}
	polled(m, q, nil, rhythm{every: time.Minute}, now)
	wantWithin(t, "the next pass is", m.ended(false, now), time.Minute)

	later := now.Add(59 * time.Second)
	if !m.answers(q, later) {
		t.Error("it polls before the interval is over")
	}
	if got := m.ended(false, later); got > 7*time.Second {
		t.Errorf("after a pass that an event asked for the next one is in %s, want it when the poll is due", got)
	}
	if m.answers(q, now.Add(67*time.Second)) {
		t.Error("it does not poll when the interval is over")
	}
}

func TestSignersAreReadAgainSoon(t *testing.T) {
	t.Parallel()
	m, at := &memory{}, now
	for range 20 { // failures, each after the delay of the one before
		polled(m, question{}, &git.Error{Reason: git.UnverifiedCommit}, rhythm{every: 24 * time.Hour}, at)
		if wait := m.pollAt.Sub(at); wait > unverifiedRetry+unverifiedRetry/10 {
			t.Fatalf("after %d failures the commit is looked at again in %s", m.failures, wait)
		}
		at = m.retryAt
	}
	polled(m, question{}, errGit, rhythm{every: 24 * time.Hour}, at)
	if wait := m.pollAt.Sub(at); wait < lastRetry/2 {
		t.Errorf("what nothing but Git can end is looked at again in %s", wait)
	}
}

func TestAPersonIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]question{
		"by the annotation":       {generation: 1, reconcileAt: "2"},
		"by a change of the spec": {generation: 2, reconcileAt: "1"},
	} {
		for _, err := range []error{nil, errGit} {
			m := &memory{}
			polled(m, question{generation: 1, reconcileAt: "1"}, err, rhythm{every: time.Hour}, now)
			if m.answers(asked, now.Add(time.Second)) {
				t.Errorf("asked %s after a poll that ended with %v, it does not poll", name, err)
			}
			polled(m, asked, err, rhythm{every: time.Hour}, now.Add(time.Second))
			if !m.answers(asked, now.Add(2*time.Second)) {
				t.Errorf("asked %s once, it polls twice", name)
			}
		}
	}
}

func TestAFailedPollIsTriedAgainSooner(t *testing.T) {
	t.Parallel()
	m, at := &memory{}, now
	for _, seconds := range []int{5, 10, 20, 40, 80, 160, 320, 600, 600, 600} {
		delay := time.Duration(seconds) * time.Second
		polled(m, question{}, errGit, rhythm{every: 24 * time.Hour}, at)
		next := m.ended(true, at)
		wantWithin(t, "the next try is", next, delay)
		if m.answers(question{}, at.Add(next)) {
			t.Fatalf("the try after %s does not poll", next)
		}
		at = at.Add(next)
	}
	polled(m, question{}, nil, rhythm{every: 24 * time.Hour}, at)
	wantWithin(t, "after a success the next pass is", m.ended(false, at), 24*time.Hour)
	polled(m, question{}, errGit, rhythm{every: 24 * time.Hour}, at)
	wantWithin(t, "after a success the first try is", m.ended(true, at), 5*time.Second)
}

func TestAFailedPollIsTriedAgainNoLaterThanTheInterval(t *testing.T) {
	t.Parallel()
	m, at := &memory{}, now
	for range 20 {
		polled(m, question{}, errGit, rhythm{every: 30 * time.Second}, at)
		next := m.ended(true, at)
		if next > 33*time.Second {
			t.Fatalf("the next try is in %s, the interval is 30s", next)
		}
		at = at.Add(next)
	}
}

// TestEventsDoNotPollAFailingServer shows that passes between two tries neither
// ask Git nor grow the delay.
func TestEventsDoNotPollAFailingServer(t *testing.T) {
	t.Parallel()
	m := &memory{}
	polled(m, question{}, errGit, rhythm{every: time.Hour}, now)
	first := m.ended(true, now)
	for i := range 40 {
		at := now.Add(time.Duration(i) * 100 * time.Millisecond)
		if !m.answers(question{}, at) || m.failure == nil {
			t.Fatalf("after %s it polls, or forgets why it failed", at.Sub(now))
		}
		if got := at.Add(m.ended(true, at)).Sub(now); got != first {
			t.Fatalf("an event moved the next try from %s to %s", first, got)
		}
	}
	if m.failures != 1 {
		t.Errorf("%d failures are counted, want 1", m.failures)
	}
}

// TestAFailedApplyIsTriedAgainWithoutGit shows that what fails in the cluster is
// tried again soon, and that Git is asked when it is due.
func TestAFailedApplyIsTriedAgainWithoutGit(t *testing.T) {
	t.Parallel()
	m := &memory{}
	polled(m, question{}, nil, rhythm{every: time.Minute}, now)
	at, polls := now, 0
	for range 6 {
		next := m.ended(true, at)
		if next > time.Minute+6*time.Second {
			t.Fatalf("the next try is in %s", next)
		}
		if at = at.Add(next); !m.answers(question{}, at) {
			polled(m, question{}, nil, rhythm{every: time.Minute}, at)
			polls++
		}
	}
	if minutes := int(at.Sub(now) / time.Minute); polls > minutes {
		t.Errorf("%d polls in %d minutes", polls, minutes)
	}
	m.ended(false, at)
	wantWithin(t, "after a success the first try is", m.ended(true, at), 5*time.Second)
}

func TestLastGood(t *testing.T) {
	t.Parallel()
	gs := func(change func(*v1alpha1.GitSync)) *v1alpha1.GitSync {
		out := &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: "agents"}, Spec: v1alpha1.GitSyncSpec{
			Source: v1alpha1.GitSource{URL: "https://a", Ref: v1alpha1.GitRef{Branch: "main"}, Path: "x"},
		}}
		change(out)
		return out
	}
	declared := &render.Declared{}
	m := &memory{declared: declared, from: placeOf(gs(func(*v1alpha1.GitSync) {})).at("c1")}
	for name, c := range map[string]struct {
		change func(*v1alpha1.GitSync)
		want   *render.Declared
	}{
		"the same place":        {func(*v1alpha1.GitSync) {}, declared},
		"another policy":        {func(gs *v1alpha1.GitSync) { gs.Spec.Policy = "slow" }, declared},
		"another repository":    {func(gs *v1alpha1.GitSync) { gs.Spec.Source.URL = "https://b" }, nil},
		"another branch":        {func(gs *v1alpha1.GitSync) { gs.Spec.Source.Ref.Branch = "prod" }, nil},
		"a tag of the name":     {func(gs *v1alpha1.GitSync) { gs.Spec.Source.Ref = v1alpha1.GitRef{Tag: "main"} }, nil},
		"the same ref, written": {func(gs *v1alpha1.GitSync) { gs.Spec.Source.Ref = v1alpha1.GitRef{Name: "refs/heads/main"} }, declared},
		"another path":          {func(gs *v1alpha1.GitSync) { gs.Spec.Source.Path = "" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := m.lastGood(placeOf(gs(c.change))); got != c.want {
				t.Errorf("keeps running %v, want %v", got, c.want)
			}
		})
	}
	if (&memory{}).lastGood(rendered{}) != nil {
		t.Error("a process that knows nothing has a last good commit")
	}
}

func TestSetPathsMeanTheRoot(t *testing.T) {
	t.Parallel()
	if got := path(&v1alpha1.GitSync{}); got != "." {
		t.Errorf("no path is %q, want the root", got)
	}
	if got, err := rhythmOf(&v1alpha1.GitSync{}, now); err != nil || got.every != time.Minute {
		t.Errorf("no interval is %s, %v, want a minute", got.every, err)
	}
}

func TestRacesInARowBecomeAFailure(t *testing.T) {
	t.Parallel()
	m := &memory{}
	for i := range maxRaces {
		if !m.lostRace(true) {
			t.Fatalf("race %d is a failure, want %d without a word", i+1, maxRaces)
		}
	}
	for range 3 {
		if m.lostRace(true) {
			t.Fatal("it is made again without a word though that has happened too often, want it to stay a failure")
		}
	}
	if m.lostRace(false) {
		t.Fatal("a pass that came through is made again")
	}
	if !m.lostRace(true) {
		t.Error("after a pass that came through the first race is a failure")
	}
}

func TestAConflictCountsOnceHoweverManyPassesMeetIt(t *testing.T) {
	t.Parallel()
	m := &memory{}
	for i, c := range []struct {
		objects []string
		want    int
	}{
		{nil, 0}, {[]string{"a", "b"}, 2}, {[]string{"a", "b"}, 0}, {[]string{"b", "c"}, 1}, {nil, 0}, {[]string{"a"}, 1},
	} {
		if got := m.beganConflicts(c.objects); got != c.want {
			t.Errorf("pass %d: %d conflicts began with %v, want %d", i, got, c.objects, c.want)
		}
	}
}

// Variables are of no place: a commit that touches nothing of the path costs no render with them either.
func TestWhatIsKnownOfAPlace(t *testing.T) {
	t.Parallel()
	place := rendered{url: "https://git.example.com/a.git", path: "prod"}
	m := &memory{from: rendered{url: place.url, path: place.path, commit: "1", inputs: "sha256"}, declared: &render.Declared{}, basis: &reader.Basis{}}
	next := m.from.at("2")
	if m.known(next) != m.basis {
		t.Error("with variables nothing is known of the commit before")
	}
	next.path = "other"
	if m.known(next) != nil {
		t.Error("of another path something is known")
	}
}
