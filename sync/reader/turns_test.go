package reader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns tells which of those who wait may run, by who runs: "name@home", with a ! after the name of a suspect.
func TestTurns(t *testing.T) {
	for sentence, c := range map[string]struct {
		most          int
		asked, begins string
	}{
		"nobody asks":                                     {2, "", ""},
		"as many as there are places":                     {2, "a@1 b@2 c@3", "a b"},
		"without a number there is one place":             {0, "a@1 b@2", "a"},
		"one for each home":                               {3, "a@1 b@1 c@2", "a c"},
		"suspects leave the last place":                   {2, "x!@1 y!@2 z!@3 a@4", "x a"},
		"suspects leave the last of three places":         {3, "x!@1 y!@2 z!@3 a@4", "x y a"},
		"the place that suspects leave stays free":        {2, "x!@1 y!@2", "x"},
		"where there is one place suspects have it too":   {1, "x!@1 a@2", "x"},
		"a suspect comes before whoever asked after it":   {2, "a@1 x!@2 b@3", "a x"},
		"others take the places that suspects might have": {3, "a@1 b@2 c@3 x!@4", "a b c"},
	} {
		t.Run(sentence, func(t *testing.T) {
			all := turns{most: c.most, suspects: map[string]bool{}}
			for _, asked := range strings.Fields(c.asked) {
				who, home, _ := strings.Cut(asked, "@")
				name := strings.TrimSuffix(who, "!")
				if name != who {
					all.suspects[name] = true
				}
				all.waiting = append(all.waiting, &turn{who: name, home: home, granted: make(chan struct{})})
			}
			all.grant()
			var begun []string
			for _, t := range all.running {
				begun = append(begun, t.who)
			}
			if got := strings.Join(begun, " "); got != c.begins {
				t.Errorf("%q begin, want %q", got, c.begins)
			}
		})
	}
}

// TestNobodyStarves plays hostile repositories that always take the whole deadline, and ask again as soon as they were
// stopped, beside good ones that take a second. After the first round, in which nobody knows them, a good one waits for
// other good ones alone.
func TestNobodyStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hostile, good, deadline = 20, 10, 3 * time.Minute
		const patience = hostile * deadline
		all := turns{most: 2}
		ctx, stop := context.WithCancel(t.Context())
		play := func(who string, takes time.Duration, then func(waited time.Duration)) {
			for ctx.Err() == nil {
				asked := time.Now()
				done, err := all.take(ctx, who, who)
				if err != nil {
					return
				}
				then(time.Since(asked))
				time.Sleep(takes)
				done(takes == deadline)
				time.Sleep(time.Second)
			}
		}
		var players sync.WaitGroup
		var mu sync.Mutex
		taken := map[string]int{}
		var longest time.Duration
		for i := range hostile + good {
			who, takes := fmt.Sprintf("good %d", i), time.Second
			if i < hostile {
				who, takes = fmt.Sprintf("hostile %d", i), deadline
			}
			players.Go(func() {
				play(who, takes, func(waited time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					taken[who]++
					if takes < deadline && taken[who] > 1 {
						longest = max(longest, waited)
					}
				})
			})
		}
		time.Sleep(patience)
		mu.Lock()
		first := maps.Clone(taken)
		longest = 0
		mu.Unlock()
		time.Sleep(patience)
		stop()
		players.Wait()
		if longest > good*time.Second {
			t.Errorf("a good repository waited %s", longest)
		}
		if len(first) < hostile+good {
			t.Errorf("had a turn at all: %v", first)
		}
		for who, before := range first {
			if taken[who] == before {
				t.Errorf("%s starves, after %d turns", who, before)
			}
		}
	})
}

// TestWhoLeavesTakesNoTurn gives up while waiting, and while others run.
func TestWhoLeavesTakesNoTurn(t *testing.T) {
	all := turns{most: 1}
	done, err := all.take(t.Context(), "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(gone, "b", "2"); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	done(false)
	if done, err = all.take(t.Context(), "c", "2"); err != nil {
		t.Fatal(err)
	}
	done(true)
	if !all.suspects["c"] || len(all.running)+len(all.waiting) > 0 {
		t.Errorf("left are %+v", &all)
	}
	all.forget("c")
	if len(all.suspects) > 0 {
		t.Errorf("suspects are %v", all.suspects)
	}
}
