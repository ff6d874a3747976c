package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// stories draws any story at all.
func stories() *rapid.Generator[plan] {
	return rapid.Custom(func(t *rapid.T) plan {
		p := plan{options: drawOptions(t), abandoned: rapid.IntRange(0, 5).Draw(t, "abandoned") == 5}
		p.tell(t, 0, "commit "+drawDigest(t))
		for range rapid.IntRange(0, 14).Draw(t, "lines") {
			p.tell(t, rapid.IntRange(0, 40).Draw(t, "after"), drawCommand(t, p.options))
		}
		if rapid.IntRange(0, 7).Draw(t, "stragglers") == 7 {
			p.script = append(drawStragglers(t, p.options), p.script...)
		}
		return p
	})
}

// tell adds a line. Most changes of placement are approved after a while, or nothing
// would be seen of them.
func (p *plan) tell(t *rapid.T, after int, command string) {
	p.script = append(p.script, line{after, command})
	if verb, digest, _ := strings.Cut(command, " "); verb == "commit" && (strings.Contains(digest, "/") || strings.Contains(p.options.Proven, "/")) && rapid.IntRange(0, 3).Draw(t, "approved") > 0 {
		p.script = append(p.script, line{rapid.IntRange(0, 20).Draw(t, "approvedAfter"), "approve"})
	}
}

// drawStragglers draws how nodes miss a version that is proven without them, which may
// fail later, and come back.
func drawStragglers(t *rapid.T, o sim.Options) []line {
	leave, back := "hold", "release"
	if rapid.IntRange(0, 2).Draw(t, "away") == 2 {
		leave, back = "down", "up"
	}
	digest := rapid.SampledFrom([]string{"v5:late", "v5:late", "v5:late@a", "v4:flaky", "v2", "v8:bad@b"}).Draw(t, "missed")
	var before, after []line
	for i := range rapid.IntRange(1, o.Nodes).Draw(t, "missing") {
		before = append(before, line{0, fmt.Sprintf("%s n%02d", leave, o.Nodes-i)})
		after = append(after, line{0, fmt.Sprintf("%s n%02d", back, o.Nodes-i)})
	}
	after[0].after = rapid.IntRange(40, 120).Draw(t, "missedFor")
	return slices.Concat(before, []line{{0, "commit " + digest}}, after)
}

func drawOptions(t *rapid.T) sim.Options {
	pick := func(label string, low, high int) int { return rapid.IntRange(low, high).Draw(t, label) }
	o := sim.Options{
		Nodes: pick("nodes", 1, 9), Groups: pick("groups", 1, 3), Proven: "v1", Policy: drawPolicy(t),
		ReadyAfter: pick("readyAfter", 1, 4), ControllerLag: pick("controllerLag", 0, 2), CacheLag: pick("cacheLag", 0, 4),
		TolerateAll: rapid.Bool().Draw(t, "tolerateAll"), RollingUpdate: pick("rollingUpdate", 0, 4) == 4,
	}
	switch pick("install", 0, 7) {
	case 5:
		o.Proven = rapid.SampledFrom([]string{"v1/a", "v1/ab", "v1/b"}).Draw(t, "provenOn")
	case 6, 7:
		o.Proven = ""
	}
	switch pick("newPods", 0, 9) {
	case 8:
		o.Policy.NewPodsCandidate = true
	case 9:
		o.Policy.NewPodsCandidate = true
		o.Foreign = o.Proven != ""
	}
	o.Policy.Surge = o.Policy.Surge && !o.Policy.NewPodsCandidate // which the API server refuses
	return o
}

func drawPolicy(t *rapid.T) rollout.Policy {
	seconds := func(label string, low, high int) time.Duration {
		return time.Duration(rapid.IntRange(low, high).Draw(t, label)) * time.Second
	}
	p := rollout.Policy{
		MaxUnavailable: rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(1), intstr.FromInt32(2), intstr.FromInt32(3), intstr.FromString("34%")}).Draw(t, "maxUnavailable"),
		Health: health.Rule{
			ReadyFor: seconds("readyFor", 0, 12), Deadline: seconds("deadline", 25, 50),
			MaxRestarts: int32(rapid.IntRange(0, 1).Draw(t, "maxRestarts")), Node: rapid.IntRange(0, 3).Draw(t, "node") < 3,
		},
		FailureBudget: max(0, rapid.IntRange(-2, 2).Draw(t, "failureBudget")),
		HoldOnFailure: rapid.IntRange(0, 4).Draw(t, "hold") == 4,
		Surge:         rapid.IntRange(0, 2).Draw(t, "surge") == 2,
		InstallAll:    rapid.IntRange(0, 2).Draw(t, "installAll") == 2,
		Grace:         seconds("grace", 0, 5),
	}
	if rapid.IntRange(0, 3).Draw(t, "perGroup") == 3 {
		p.MaxUnavailablePerGroup = rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(1), intstr.FromInt32(2), intstr.FromString("50%")}).Draw(t, "maxUnavailablePerGroup")
	}
	if rapid.IntRange(0, 2).Draw(t, "breaker") == 2 {
		p.MaxSick = &[]intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("34%")}[rapid.IntRange(0, 1).Draw(t, "maxSick")]
	}
	if rapid.IntRange(0, 3).Draw(t, "freeze") == 3 {
		from := begin().Add(seconds("from", 0, 100))
		p.Calendar.Freezes = []rollout.Freeze{{Start: from, End: from.Add(seconds("for", 1, 200)), Reason: "a story"}}
	}
	ladder := rapid.SampledFrom([][]string{{"1", "100%"}, {"100%"}, {"1", "50%", "100%"}, {"2", "3", "100%"}, {"1", "10%", "60%", "100%"}}).Draw(t, "waves")
	for i, upTo := range ladder {
		w := rollout.Wave{Name: fmt.Sprintf("wave-%d", i+1), UpTo: intstr.Parse(upTo), Soak: seconds("soak", 0, 15), OneGroupAtATime: rapid.IntRange(0, 2).Draw(t, "oneGroupAtATime") == 2,
			Approval: rapid.IntRange(0, 7).Draw(t, "approval") == 7}
		if i < len(ladder)-1 {
			drawChoice(t, &w)
		}
		p.Waves = append(p.Waves, w)
	}
	return p
}

// drawChoice draws which nodes a wave that is not the last one takes.
func drawChoice(t *rapid.T, w *rollout.Wave) {
	w.EachGroup = rapid.IntRange(0, 3).Draw(t, "eachGroup") == 3
	w.Select = rapid.SampledFrom([]string{"", "", "", "", "group=a", "group!=a", "group in (b,c)", "group=z"}).Draw(t, "select")
	w.AllowEmpty = rapid.IntRange(0, 2).Draw(t, "allowEmpty") == 2
}

func drawDigest(t *rapid.T) string {
	return rapid.SampledFrom([]string{"v2", "v3", "v2:bad", "v3:stuck", "v4:flaky", "v5:late", "v6:killer", "v7:slow", "v8:bad@a", "v9:killer@b", "v2/a", "v3/b", "v4/ab:bad@b", "v5/bc:late@b"}).Draw(t, "digest")
}

// drawCommand draws one thing that people, machines or clouds do.
func drawCommand(t *rapid.T, o sim.Options) string {
	node := func() string { return fmt.Sprintf("n%02d", rapid.IntRange(1, o.Nodes+2).Draw(t, "node")) }
	few := func(label string, high int) int { return rapid.IntRange(0, high).Draw(t, label) }
	verb := rapid.SampledFrom([]string{
		"evict", "evict", "evict", "commit", "commit", "revert", "crash", "crash", "stall", "stall", "second", "join", "leave", "announce", "rejoin",
		"down", "up", "cordon", "uncordon", "hold", "release", "exclude", "include", "virtual", "drain", "fail", "unready", "set-image", "rolling-update",
		"lag", "controller", "move", "forbid", "forbid", "allow", "pause", "resume", "retry", "block", "unblock", "lose", "declare", "forget", "policy", "install", "new-pods", "on-delete", "waves", "busy", "busy", "idle", "behind", "behind", "caught-up", "sick", "allow-empty", "approve", "own",
	}).Draw(t, "verb")
	switch verb {
	case "evict", "leave", "announce", "rejoin", "down", "up", "cordon", "uncordon", "hold", "release", "exclude", "include", "fail", "own", "idle", "behind", "caught-up":
		return verb + " " + node()
	case "commit", "retry":
		return verb + " " + drawDigest(t)
	case "crash", "stall":
		return fmt.Sprintf("%s %d %d", verb, few("calls", 9), 1+few("pause", 25))
	case "join", "virtual", "move":
		return verb + " " + node() + " " + string(rune('a'+few("group", o.Groups-1)))
	case "busy":
		return fmt.Sprintf("busy %s %d", node(), few("ticks", 120))
	case "sick":
		return fmt.Sprintf("sick %d", few("sick", 4))
	case "drain", "unready":
		return fmt.Sprintf("%s %s %d", verb, node(), few("ticks", 40))
	case "set-image":
		return "set-image foreign"
	case "lag":
		return fmt.Sprintf("lag %d", few("ticks", 4))
	case "controller":
		return fmt.Sprintf("controller %d", few("ticks", 30))
	case "forbid":
		return "forbid " + rapid.SampledFrom([]string{"delete", "open", "pods", "revisions"}).Draw(t, "what")
	case "approve":
		return rapid.SampledFrom([]string{"approve", "approve", "approve wave-1", "approve wave-2", "approve wave-3"}).Draw(t, "approve")
	case "allow-empty":
		return fmt.Sprintf("allow-empty wave-%d", 1+few("wave", 2))
	case "block":
		return "block Frozen"
	case "install":
		return "install " + rapid.SampledFrom([]string{"all", "waves"}).Draw(t, "how")
	case "new-pods":
		return "new-pods " + rapid.SampledFrom([]string{"candidate", "proven"}).Draw(t, "newPods")
	case "policy", "waves":
		return fmt.Sprintf("%s %d", verb, 1+few("count", 2))
	default:
		return verb
	}
}
