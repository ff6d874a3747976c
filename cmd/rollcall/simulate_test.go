package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/rollout"
)

func TestFaultsAreReadAndDealt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"2%:flaky": 2, "3:bad": 3, "0.1%:late": 1, "100%:killer": 100, "2.6%:slow": 3, "1%:stuck": 1} {
		f, err := parseFault(text)
		if err != nil || f.of(100) != want || f.String() != text {
			t.Errorf("%s is %s on %d nodes of 100, %v; want %d", text, f, f.of(100), err, want)
		}
	}
	for text, want := range map[string]string{
		"flaky": "such as 2%:flaky", "0:bad": "such as", "-1:bad": "such as", "0%:bad": "such as", "101%:bad": "such as", "NaN%:bad": "such as", "x%:bad": "such as", ":bad": "such as",
		"2%:broken": `"broken" is no fault; there are bad, stuck, flaky, late, slow, killer`,
	} {
		if _, err := parseFault(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	fleet := synthetic(10, 2, nil)
	deal := func(seed uint64, texts ...string) (map[string]string, error) {
		var shares []faultShare
		for _, text := range texts {
			f, err := parseFault(text)
			if err != nil {
				t.Fatal(err)
			}
			shares = append(shares, f)
		}
		return dealFaults(shares, fleet, rand.New(rand.NewPCG(seed, 0))) //nolint:gosec // it has to be the same again
	}
	one, err := deal(1, "3:bad", "50%:slow")
	if err != nil || len(one) != 8 {
		t.Errorf("%v %v", one, err)
	}
	if same, _ := deal(1, "3:bad", "50%:slow"); !cmp.Equal(one, same) {
		t.Error("the same seed deals otherwise")
	}
	if other, _ := deal(2, "3:bad", "50%:slow"); cmp.Equal(one, other) {
		t.Error("another seed deals the same")
	}
	if _, err := deal(1, "60%:bad", "5:late"); err == nil || !strings.Contains(err.Error(), "--fault 5:late: that is 5 nodes, and 4 of 10 have no fault yet") {
		t.Error(err)
	}
}

func TestDurationsMayHaveDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "36h": 36 * time.Hour, "90s": 90 * time.Second} {
		var d daysFlag
		if err := d.Set(text); err != nil || d.Duration != want {
			t.Errorf("%s is %s, %v", text, d.Duration, err)
		}
	}
	for _, text := range []string{"", "0", "d", "-1d", "1d-1h", "1w", "500ms", "9999d"} {
		if err := new(daysFlag).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for d, want := range map[time.Duration]string{90 * time.Second: "1m30s", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 416*time.Hour + 5*time.Minute: "17d8h"} {
		if got := human(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}

// settingOf is a policy of two waves on synthetic nodes.
func settingOf(nodes int, faults ...string) setting {
	s := setting{fleet: synthetic(nodes, 3, nil), readyAfter: 5 * time.Second, start: noon(), limit: 24 * time.Hour, maxDecisions: 10_000, faults: map[string]string{}}
	s.policy, _ = apply.ReadPolicy("cautious", apply.BuiltInPolicy())
	s.policy.MaxUnavailable, s.policy.Grace = intstr.FromString("5%"), usualGrace
	chance := rand.New(rand.NewPCG(7, 0)) //nolint:gosec // it has to be the same again
	for _, text := range faults {
		f, _ := parseFault(text)
		s.faults, _ = dealFaults([]faultShare{f}, s.fleet, chance)
	}
	return s
}

func simulated(t *testing.T, s setting) *simulation {
	t.Helper()
	out, err := simulate(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestACommitThatIsBadEverywhereReachesTheCanaryOnly(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"bad", "stuck", "flaky", "late", "killer"} {
		got := simulated(t, settingOf(500, "100%:"+kind))
		if got.Verdict != simRejected || got.Touched != 1 || got.Hurt != 1 || got.MostUnavailable != 1 || got.Waves[0].Nodes != 1 || got.Waves[1].Started != nil {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

func TestASurgeTakesNoAgentAway(t *testing.T) {
	t.Parallel()
	s := settingOf(100)
	s.policy.Surge = true
	if got := simulated(t, s); got.Verdict != simProven || got.Touched != 100 || got.MostUnavailable != 0 {
		t.Errorf("%s, %d touched, %d unavailable at once; want a proof, 100 and 0", got.Verdict, got.Touched, got.MostUnavailable)
	}
}

func TestAGoodCommitTakesAsLongAsThePolicySays(t *testing.T) {
	t.Parallel()
	got := simulated(t, settingOf(500))
	if got.Verdict != simProven || got.Touched != 500 || got.Hurt != 0 || got.MostUnavailable != 25 {
		t.Errorf("%+v", got)
	}
	// 1 canary and 2 + 8 + 10 times 25 nodes, of 15 s each; soaks of 2m, 1m and 30s.
	if want := 21*15*time.Second + 3*time.Minute + 30*time.Second; got.AtLeast.Duration != want || got.Pulses != 21 {
		t.Errorf("at least %s in %d pulses, want %s", got.AtLeast.Duration, got.Pulses, want)
	}
	if got.Duration.Duration < got.AtLeast.Duration || got.Duration.Duration > 2*got.AtLeast.Duration {
		t.Errorf("%s, at least %s", got.Duration.Duration, got.AtLeast.Duration)
	}
	sum := 0
	for _, w := range got.Waves {
		sum += w.Nodes
	}
	if last := got.Series[len(got.Series)-1]; sum != 500 || last.Candidate != 500 || last.Unavailable != 0 {
		t.Errorf("%d nodes in waves, at the end %+v", sum, last)
	}
}

func TestTheCalendarCounts(t *testing.T) {
	t.Parallel()
	s := settingOf(20)
	s.policy.Calendar.Freezes = []rollout.Freeze{{Start: noon(), End: noon().Add(3 * time.Hour), Reason: "holidays"}}
	if got := simulated(t, s); got.Verdict != simProven || got.Waves[0].Started.Duration != 3*time.Hour {
		t.Errorf("%+v", got)
	}
	s.limit = time.Hour
	if got := simulated(t, s); got.Verdict != simUnfinished || got.Duration.Duration != time.Hour || !strings.Contains(got.Message, "stopped by --limit after 1h: frozen until") ||
		!strings.HasPrefix(got.Hint, "a proof takes 8m30s at least, so that something keeps it from ending, such as a closed window") {
		t.Errorf("%s after %s: %s; %s", got.Verdict, got.Duration.Duration, got.Message, got.Hint)
	}
}

func TestASimulationThatIsTooLongSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	s := settingOf(5000)
	s.policy.MaxUnavailable, s.maxDecisions = intstr.FromInt32(1), 50
	got := simulated(t, s)
	if got.Verdict != simUnfinished || !strings.Contains(got.Message, "stopped by --max-decisions 50 after") ||
		!strings.Contains(got.Hint, "takes nodes 5000 times one after the other, for 20h53m30s at least: a larger maxUnavailable, such as 1%") {
		t.Errorf("%s: %s; %s", got.Verdict, got.Message, got.Hint)
	}
}

func TestUnrestIsSurvived(t *testing.T) {
	t.Parallel()
	s := settingOf(60)
	s.unrest = newUnrest(60, 240, s.fleet, rand.New(rand.NewPCG(7, 0))) //nolint:gosec // it has to be the same again
	got := simulated(t, s)
	if got.Verdict != simProven || got.Hurt != 0 || got.MostUnavailable > got.MaxUnavailable {
		t.Errorf("%+v", got)
	}
	s.unrest = newUnrest(60, 240, s.fleet, rand.New(rand.NewPCG(7, 0))) //nolint:gosec // it has to be the same again
	if again := simulated(t, s); !cmp.Equal(got, again) {
		t.Error("the same seed has another outcome")
	}
}

func TestThinSeriesKeepsTheWorst(t *testing.T) {
	t.Parallel()
	s := &simulation{Series: []point{{0, 0, 0, 0}, {10, 1, 5, 0}, {11, 1, 0, 0}, {95, 9, 0, 2}, {100, 10, 0, 3}}}
	s.Simulated.Duration = 100 * time.Second
	want := []point{{0, 1, 5, 0}, {25, 1, 0, 0}, {50, 1, 0, 0}, {75, 10, 0, 3}}
	if diff := cmp.Diff(want, s.thin(4)); diff != "" {
		t.Error(diff)
	}
}

func TestBlocksShowWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, most int
		want        string
	}{{0, 10, " "}, {1, 100_000, "▁"}, {5, 10, "▄"}, {10, 10, "█"}, {11, 10, "█"}, {3, 0, " "}} {
		if got := block(height(c.value, c.most, eighths)); got != c.want {
			t.Errorf("%d of %d is %q, want %q", c.value, c.most, got, c.want)
		}
	}
}

// simulations are of every verdict.
func simulations(t *testing.T) map[string]*simulation {
	t.Helper()
	flaky := simulated(t, settingOf(200, "2%:flaky"))
	flaky.Seed, flaky.Faults = 7, []string{"2%:flaky"}
	slow := settingOf(2000)
	slow.policy.MaxUnavailable, slow.maxDecisions = intstr.FromInt32(1), 300
	held := settingOf(30, "1:flaky")
	held.policy.FailureBudget, held.faults = 30, map[string]string{}
	for _, n := range held.fleet {
		held.faults[n.Name] = "flaky"
	}
	return map[string]*simulation{"proven": simulated(t, settingOf(200)), "rejected": flaky, "unfinished": simulated(t, slow), "held": simulated(t, held)}
}

func TestSimulationForPeople(t *testing.T) {
	t.Parallel()
	for name, s := range simulations(t) {
		for _, width := range []int{80, 120} {
			got := s.render(style{width: width})
			for line := range strings.Lines(got) {
				if n := cells(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("a line takes %d columns of %d: %s", n, width, line)
				}
			}
			if coloured := s.render(style{width: width, colour: true}); withoutSGR(coloured) != got {
				t.Errorf("%s: colours change the text", name)
			}
			golden(t, fmt.Sprintf("simulation-%s-%d.txt", name, width), got)
		}
		_ = s.render(style{width: 40})
	}
}

func TestSimulationAsAPicture(t *testing.T) {
	t.Parallel()
	s := simulations(t)["rejected"]
	s.Policy, s.Waves[0].Name = `a <b> & "c"`, "<canary>"
	got := s.svg()
	d := xml.NewDecoder(bytes.NewReader([]byte(got)))
	d.Strict = true
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, got)
		}
	}
	golden(t, "simulation.svg", got)
}

// A wave that a later one overtook is no wave that the rollout did not come to.
func TestSkippedWaves(t *testing.T) {
	t.Parallel()
	started := &metav1.Duration{Duration: time.Minute}
	wave := func(name string, started *metav1.Duration) waveRun {
		return waveRun{Name: name, Started: started, Duration: started}
	}
	for name, c := range map[string]struct {
		verdict simVerdict
		waves   []waveRun
		want    string
	}{
		"the rollout did not come to it":          {simRejected, []waveRun{wave("canary", started), wave("rest", nil)}, "rest    0      0s    never    -"},
		"a later one began":                       {simRejected, []waveRun{wave("gpu", nil), wave("rest", started)}, "gpu   0      0s    skipped  -"},
		"the last one, and the version is proven": {simProven, []waveRun{wave("canary", started), wave("rest", nil)}, "rest    0      0s    skipped  -"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &page{style: style{width: 80}}
			p.waveTable(&simulation{Verdict: c.verdict, Waves: c.waves})
			if !strings.Contains(p.String(), indent+c.want+"\n") {
				t.Errorf("want the line %q:\n%s", c.want, p.String())
			}
		})
	}
}
