package rollout_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// plan is one story: a fleet, a policy, and what happens when.
type plan struct {
	options sim.Options
	script  []line
	// abandoned stories end with rollcall scaled to zero, the others with all
	// faults over and time passing.
	abandoned bool
}

// line is a command, so many seconds after the line before.
type line struct {
	after   int
	command string
}

// String prints the story as parsePlan reads it: a story that breaks a promise
// can be pasted into a scenario.
func (p plan) String() string {
	var b strings.Builder
	o, h := p.options, p.options.Policy.Health
	fmt.Fprintf(&b, "fleet nodes=%d groups=%d proven=%s readyAfter=%d controllerLag=%d cacheLag=%d tolerateAll=%t rollingUpdate=%t foreign=%t\n",
		o.Nodes, o.Groups, o.Proven, o.ReadyAfter, o.ControllerLag, o.CacheLag, o.TolerateAll, o.RollingUpdate, o.Foreign)
	fmt.Fprintf(&b, "policy maxUnavailable=%s readyFor=%s deadline=%s maxRestarts=%d node=%t failureBudget=%d hold=%t installAll=%t newPodsCandidate=%t surge=%t grace=%s perGroup=%s\n",
		o.Policy.MaxUnavailable.String(), h.ReadyFor, h.Deadline, h.MaxRestarts, h.Node, o.Policy.FailureBudget, o.Policy.HoldOnFailure, o.Policy.InstallAll, o.Policy.NewPodsCandidate, o.Policy.Surge, o.Policy.Grace, o.Policy.MaxUnavailablePerGroup.String())
	if o.Policy.MaxSick != nil {
		fmt.Fprintf(&b, "breaker maxSick=%s\n", o.Policy.MaxSick.String())
	}
	for _, w := range o.Policy.Waves {
		fmt.Fprintf(&b, "wave name=%s upTo=%s soak=%s eachGroup=%t select=%s allowEmpty=%t oneGroupAtATime=%t approval=%t\n", w.Name, w.UpTo.String(), w.Soak, w.EachGroup, w.Select, w.AllowEmpty, w.OneGroupAtATime, w.Approval)
	}
	for _, f := range o.Policy.Calendar.Freezes {
		fmt.Fprintf(&b, "freeze from=%s to=%s\n", f.Start.Sub(begin()), f.End.Sub(begin()))
	}
	for _, l := range p.script {
		fmt.Fprintf(&b, "+%d %s\n", l.after, l.command)
	}
	if p.abandoned {
		b.WriteString("abandoned\n")
	}
	return b.String()
}

// GoString is what rapid prints.
func (p plan) GoString() string { return "\n" + p.String() }

// parsePlan reads what String prints. Lines that are empty or begin with # say
// nothing.
func parsePlan(text string) (plan, error) {
	p := plan{options: sim.Options{Groups: 1, ReadyAfter: 2, Policy: rollout.Policy{MaxUnavailable: intstr.FromInt32(1)}}}
	p.options.Policy.Health.Node = true
	for l := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(l), " ")
		var err error
		switch {
		case word == "", word[0] == '#':
		case word == "abandoned":
			p.abandoned = true
		case word[0] == '+':
			x := line{command: rest}
			_, err = fmt.Sscanf(word, "+%d", &x.after)
			p.script = append(p.script, x)
		default:
			err = p.set(word, strings.Fields(rest))
		}
		if err != nil {
			return plan{}, fmt.Errorf("%q: %w", l, err)
		}
	}
	return p, nil
}

func (p *plan) set(subject string, fields []string) error {
	o, w := &p.options, rollout.Wave{}
	var from, to time.Duration
	var sick intstr.IntOrString
	policy := &o.Policy
	targets := map[string]map[string]any{
		"fleet": {"nodes": &o.Nodes, "groups": &o.Groups, "proven": &o.Proven, "readyAfter": &o.ReadyAfter, "controllerLag": &o.ControllerLag,
			"cacheLag": &o.CacheLag, "tolerateAll": &o.TolerateAll, "rollingUpdate": &o.RollingUpdate, "foreign": &o.Foreign},
		"policy": {"maxUnavailable": &policy.MaxUnavailable, "readyFor": &policy.Health.ReadyFor, "deadline": &policy.Health.Deadline,
			"maxRestarts": &policy.Health.MaxRestarts, "node": &policy.Health.Node, "failureBudget": &policy.FailureBudget,
			"hold": &policy.HoldOnFailure, "installAll": &policy.InstallAll, "newPodsCandidate": &policy.NewPodsCandidate, "surge": &policy.Surge, "grace": &policy.Grace, "perGroup": &policy.MaxUnavailablePerGroup},
		"wave": {"name": &w.Name, "upTo": &w.UpTo, "soak": &w.Soak, "eachGroup": &w.EachGroup, "select": &w.Select, "allowEmpty": &w.AllowEmpty,
			"oneGroupAtATime": &w.OneGroupAtATime, "approval": &w.Approval},
		"breaker": {"maxSick": &sick},
		"freeze":  {"from": &from, "to": &to},
	}[subject]
	for _, f := range fields {
		key, value, _ := strings.Cut(f, "=")
		if err := assign(targets[key], value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	switch subject {
	case "breaker":
		policy.MaxSick = &sick
	case "wave":
		policy.Waves = append(policy.Waves, w)
	case "freeze":
		policy.Calendar.Freezes = append(policy.Calendar.Freezes, rollout.Freeze{Start: begin().Add(from), End: begin().Add(to), Reason: "a story"})
	}
	return nil
}

// begin is the time at which every story begins.
func begin() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }

func assign(target any, value string) (err error) {
	switch t := target.(type) {
	case *string:
		*t = value
	case *intstr.IntOrString:
		*t = intstr.Parse(value)
	case *time.Duration:
		*t, err = time.ParseDuration(value)
	case *int, *int32, *bool:
		if value != "" {
			_, err = fmt.Sscan(value, t)
		}
	default:
		err = fmt.Errorf("unknown setting")
	}
	return err
}
