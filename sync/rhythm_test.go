package sync

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func scheduled(schedule string) *v1alpha1.GitSync {
	return &v1alpha1.GitSync{Spec: v1alpha1.GitSyncSpec{Source: v1alpha1.GitSource{Schedule: schedule}}}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 28, 23, 30, 0, 0, time.UTC) // the night before summer time begins in Berlin
	for schedule, want := range map[string]time.Time{
		"0 * * * *":                       time.Date(2026, time.March, 29, 0, 0, 0, 0, time.UTC),
		" 0  7 * * * ":                    time.Date(2026, time.March, 29, 7, 0, 0, 0, time.UTC),
		"CRON_TZ=Europe/Berlin 0 7 * * *": time.Date(2026, time.March, 29, 5, 0, 0, 0, time.UTC),
		"CRON_TZ=UTC @daily":              time.Date(2026, time.March, 29, 0, 0, 0, 0, time.UTC),
		"@hourly":                         time.Date(2026, time.March, 29, 0, 0, 0, 0, time.UTC),
		"0 7 * * MON-FRI":                 time.Date(2026, time.March, 30, 7, 0, 0, 0, time.UTC),
		"0 0 29 2 *":                      time.Date(2028, time.February, 29, 0, 0, 0, 0, time.UTC),
	} {
		r, err := rhythmOf(scheduled(schedule), at)
		if err != nil {
			t.Errorf("%q: %v", schedule, err)
			continue
		}
		if due, asked := r.next(at); !due.Equal(want) || asked.Before(due) || asked.Sub(due) > spread {
			t.Errorf("%q is due at %s and asked at %s, want %s and up to %s later", schedule, due, asked, want, spread)
		}
	}
}

func TestSchedulesThatAreRefused(t *testing.T) {
	t.Parallel()
	for schedule, says := range map[string]string{
		"0 25 * * *":                     "is no schedule",
		"hourly":                         "is no schedule",
		"* * * *":                        "is no schedule",
		"0 0 30 2 *":                     "never comes",
		"CRON_TZ=Mars/Base 0 * * * *":    "no time zone",
		"CRON_TZ=Local 0 * * * *":        "no time zone",
		"CRON_TZ=":                       "no time zone",
		"CRON_TZ=UTC":                    "is no schedule",
		"CRON_TZ=UTC TZ=UTC":             "is no schedule",
		"TZ=UTC":                         "is no schedule",
		"TZ=UTC 0 * * * *":               "is no schedule",
		"@every 1s":                      "is no schedule",
		"CRON_TZ=UTC CRON_TZ=UTC":        "is no schedule",
		"CRON_TZ=../../etc/passwd * * *": "no time zone",
	} {
		r, err := rhythmOf(scheduled(schedule), now)
		failure := newFailure(err)
		if err == nil || failure.Reason != ReasonScheduleInvalid || !strings.Contains(failure.Message, says) || !strings.Contains(failure.Message, `such as "0 * * * *"`) {
			t.Errorf("%q: %v, want that it %s, and an example", schedule, err, says)
		}
		if due, _ := r.next(now); due.Sub(now) < time.Hour {
			t.Errorf("%q is tried again at %s", schedule, due)
		}
	}
}

// TestManyOfOneScheduleAreSpread shows that two hundred GitSyncs neither ask in one
// second nor later than is said.
func TestManyOfOneScheduleAreSpread(t *testing.T) {
	t.Parallel()
	for schedule, most := range map[string]time.Duration{"0 * * * *": time.Minute, "* * * * *": 6 * time.Second, "*/5 * * * *": 30 * time.Second} {
		r, err := rhythmOf(scheduled(schedule), now)
		if err != nil {
			t.Fatal(err)
		}
		seconds := map[time.Time]int{}
		for range 200 {
			due, at := r.next(now)
			if late := at.Sub(due); late < 0 || late > most {
				t.Fatalf("%q is %s late, want up to %s", schedule, late, most)
			}
			seconds[at.Truncate(time.Second)]++
		}
		for second, asked := range seconds {
			if asked > 100 {
				t.Errorf("%q: %d of 200 ask at %s", schedule, asked, second)
			}
		}
	}
}

// TestAnyScheduleIsReadOrRefused draws texts: none may panic, as some do that
// robfig/cron is given, and what is read comes after now.
func TestAnyScheduleIsReadOrRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(CRON_TZ=|TZ=)?[A-Za-z/]{0,6} ?[@0-9*/,=A-Z -]{0,20}`).Draw(t, "schedule")
		r, err := rhythmOf(scheduled(text), now)
		if due, at := r.next(now); !due.After(now) || at.Before(due) {
			t.Fatalf("%q (%v) is due at %s, at %s", text, err, due, at)
		}
	})
}

// TestWhichAnswersWillDo has a GitSync take what others asked, but nothing from before
// somebody wanted to know.
func TestWhichAnswersWillDo(t *testing.T) {
	t.Parallel()
	minute := rhythm{every: time.Minute}
	hourly, err := rhythmOf(scheduled("0 * * * *"), now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		rhythm rhythm
		have   func(*asking)
		want   time.Time
	}{
		"a new process takes one that is no older than the interval": {minute, func(*asking) {}, now.Add(-time.Minute)},
		"one that it had is none":                                    {minute, func(a *asking) { a.answered = now.Add(-time.Second) }, now.Add(-time.Second)},
		"one from before somebody asked is none":                     {minute, func(a *asking) { a.want(now.Add(-2 * time.Second)) }, now.Add(-2 * time.Second)},
		"by schedule, one from before it was due is none":            {hourly, func(a *asking) { a.due, a.answered = now.Add(-time.Second), now.Add(-time.Hour) }, now.Add(-time.Second)},
		"by schedule, a retry takes one since the last one":          {hourly, func(a *asking) { a.due, a.answered = now.Add(time.Hour), now.Add(-time.Minute) }, now.Add(-time.Minute)},
	} {
		a := &asking{}
		c.have(a)
		if got := a.after(c.rhythm, now); !got.Equal(c.want) {
			t.Errorf("%s: it must be after %s, want %s", name, got, c.want)
		}
	}
}

// TestManyPollAsOne plays two hundred GitSyncs of one repository for an hour and counts
// what the server is asked: nearly what one of them alone would ask.
func TestManyPollAsOne(t *testing.T) {
	t.Parallel()
	const interval, syncs = time.Minute, 200
	r := rhythm{every: interval}
	var all []*memory
	for i := range syncs { // they come one by one
		m := &memory{pollAt: now.Add(time.Duration(i) * time.Second)}
		m.asking.want(m.pollAt)
		all = append(all, m)
	}
	var last time.Time
	asked := 0
	begun := now.Add(10 * time.Minute)
	for at := now; at.Before(begun.Add(time.Hour)); at = at.Add(100 * time.Millisecond) {
		for _, m := range all {
			if at.Before(m.pollAt) {
				continue
			}
			if !last.After(m.asking.after(r, at)) {
				last = at
				if at.After(begun) {
					asked++
				}
			}
			if stale := at.Sub(last); stale > interval {
				t.Fatalf("an answer is %s old", stale)
			}
			m.asking.answered = last
			m.polled(question{}, nil, r, at)
		}
	}
	if asked < 50 || asked > 61 {
		t.Errorf("%d questions an hour for %d GitSyncs, want about 60", asked, syncs)
	}
}

func TestABurstOfHintsIsOnePoll(t *testing.T) {
	t.Parallel()
	m := &memory{}
	m.asking.answered = now
	if at := m.asking.pending(); !at.IsZero() {
		t.Errorf("without a hint it asks at %s", at)
	}
	for i := range 100 {
		m.asking.want(now.Add(time.Duration(i+1) * time.Millisecond))
	}
	if at := m.asking.pending(); !at.Equal(now.Add(hintGap)) {
		t.Errorf("after a hundred hints it asks at %s, want %s after the last poll", at.Sub(now), hintGap)
	}
	m.asking.answered = now.Add(hintGap)
	if at := m.asking.pending(); !at.IsZero() {
		t.Errorf("after the poll it asks again at %s", at)
	}
}

func TestAServerIsNotAskedBeforeItWants(t *testing.T) {
	t.Parallel()
	m := &memory{}
	wants := now.Add(30 * time.Minute)
	polled(m, question{}, retryAt(wants), rhythm{every: time.Minute}, now)
	if m.pollAt.Before(wants) || m.pollAt.After(wants.Add(time.Second)) {
		t.Errorf("it polls at %s, want at %s", m.pollAt, wants)
	}
	polled(m, question{}, retryAt(now.Add(time.Second)), rhythm{every: time.Minute}, now)
	if m.pollAt.Before(now.Add(5 * time.Second)) {
		t.Errorf("it polls at %s, sooner than after any failure", m.pollAt)
	}
}

func TestIntervals(t *testing.T) {
	t.Parallel()
	gs := scheduled("")
	gs.Spec.Source.Interval = metav1.Duration{Duration: time.Hour}
	r, err := rhythmOf(gs, now)
	if err != nil || r.every != time.Hour {
		t.Errorf("got %s, %v", r.every, err)
	}
	due, at := r.next(now)
	if !due.Equal(now.Add(time.Hour)) || at.Before(due) || at.After(due.Add(6*time.Minute)) {
		t.Errorf("it is due at %s and asked at %s", due, at)
	}
}

func retryAt(at time.Time) error {
	return &git.Error{Reason: git.Unreachable, RetryAt: at}
}
