package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// simulateFlags configure simulate.
type simulateFlags struct {
	kube         *kubeFlags
	output       outputFlag
	policy       string
	nodes, zones int
	fleet        string
	tolerateAll  bool
	faults       []string
	churn, evict int
	readyAfter   time.Duration
	seed         uint64
	start        string
	limit        daysFlag
	maxDecisions int
	svg          string
}

func newSimulate(k *kubeFlags) *cobra.Command {
	f := &simulateFlags{kube: k}
	cmd := &cobra.Command{
		Use:   "simulate [POLICY]",
		Short: "Play a rollout by a policy on a fleet that is not there, with faults",
		Long: `simulate plays the rollout of a new version by a policy, on a synthetic fleet or on
an exported one, with the code that decides in the controller. It says how long it
takes, how many nodes a fault hurts, and how many are without their agent at once.
It writes nothing, and asks a cluster for nothing but the policy of --policy.

POLICY is a file with a RolloutPolicy, or - for standard input. Without it, and
without --policy, it is the built-in policy.

Faults are what the new version does on some nodes, chosen by --seed. There are
` + strings.Join(sim.Faults(), ", ") + `. bad crashes at once, stuck is never
Ready, flaky fails 5 s after it was Ready and late 45 s, slow needs 10 s more, and
killer takes its node with it 20 s after. 100%:flaky is a version that is bad
everywhere.

What the API server, the scheduler and the kubelets take is not simulated, but for
--ready-after. Waves that wait for an approval have it.`,
		Example: `  rollcall simulate policy.yaml --nodes 1000 --fault 2%:flaky --seed 7
  kubectl get nodes -o json | rollcall simulate --fleet - --svg rollout.svg
  rollcall simulate --policy cautious --nodes 500 --fault 100%:killer -o json`,
		Args: atMostOne("POLICY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args, streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()})
		},
	}
	k.register(cmd)
	f.output.register(cmd)
	f.register(cmd)
	return cmd
}

func (f *simulateFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "RolloutPolicy of the cluster, by name")
	flags.IntVar(&f.nodes, "nodes", 100, fmt.Sprintf("nodes of a synthetic fleet, 1 to %d", maxSimulated))
	flags.IntVar(&f.zones, "zones", 3, "zones that they are spread over")
	flags.StringVar(&f.fleet, "fleet", "", "file with exported nodes instead, or -: kubectl get nodes -o json")
	flags.BoolVar(&f.tolerateAll, "tolerate-all", false, "no taint of an exported node keeps the agent out")
	flags.StringArrayVar(&f.faults, "fault", nil, "share or count of nodes, and what the new version does there, such as 2%:flaky or 3:bad; may be given again")
	flags.IntVar(&f.churn, "churn", 0, "nodes an hour that leave and are replaced by new ones, at most 60")
	flags.IntVar(&f.evict, "evict", 0, "pods of the agent an hour that somebody evicts, at most 3600")
	flags.DurationVar(&f.readyAfter, "ready-after", 5*time.Second, "how long a healthy agent takes to become Ready, 1s to 1h")
	flags.Uint64Var(&f.seed, "seed", 1, "chooses the nodes with faults, and what churns; the same seed has the same outcome, with windows or freezes from the same --start")
	flags.StringVar(&f.start, "start", "", "when it begins, for windows and freezes: RFC 3339, such as 2026-03-02T09:00:00Z; default now")
	f.limit.Duration = 30 * 24 * time.Hour
	flags.Var(&f.limit, "limit", "until when it is simulated, such as 36h or 30d")
	flags.IntVar(&f.maxDecisions, "max-decisions", 0, "after how many decisions it is ended; 0 for about a minute's worth")
	flags.StringVar(&f.svg, "svg", "", "file to draw the plot into")
	cmd.MarkFlagsMutuallyExclusive("nodes", "fleet")
	cmd.MarkFlagsMutuallyExclusive("zones", "fleet")
}

// daysFlag is a duration that may have days.
type daysFlag struct{ time.Duration }

// String is the duration with its days.
func (d *daysFlag) String() string { return human(d.Duration) }

// Type is shown in the help.
func (d *daysFlag) Type() string { return "duration" }

// Set reads 30d, 1d12h or 36h.
func (d *daysFlag) Set(text string) error {
	wrong := errors.New("write a duration of 1s or more, such as 36h or 30d")
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.Atoi(days)
	if err != nil || n < 0 || n > 3650 {
		return wrong
	}
	d.Duration = time.Duration(n) * 24 * time.Hour
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return wrong
		}
		d.Duration += more
	}
	if d.Duration < time.Second {
		return wrong
	}
	return nil
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// perPulse is about how many decisions it takes to replace nodes once, at least.
const perPulse = 5

func (f *simulateFlags) run(ctx context.Context, args []string, std streams) error {
	if err := f.check(args); err != nil {
		return err
	}
	s, out, err := f.setting(ctx, args, std.in)
	if err != nil {
		return err
	}
	if e := s.expected(); e.Pulses*perPulse > s.maxDecisions {
		fmt.Fprintf(std.err, "rollcall: only the beginning is simulated: %s\n", e.hint())
	}
	made, err := simulate(ctx, s)
	if err != nil {
		return err
	}
	made.Seed, made.Faults, made.LeftOut = f.seed, out.Faults, out.LeftOut
	if f.svg != "" {
		if err := os.WriteFile(f.svg, []byte(made.svg()), 0o644); err != nil { //nolint:gosec // a picture for everybody
			return fmt.Errorf("write %w", withoutVerb(err))
		}
	}
	t := newTerminal(std.out)
	return f.output.print(t, made.forPrograms(), func() string { return made.render(t.style()) })
}

// check refuses flags that mean nothing before anything is read.
func (f *simulateFlags) check(args []string) error {
	switch {
	case len(args) > 0 && f.policy != "":
		return fmt.Errorf("name one policy: the file %s or --policy %s", args[0], f.policy)
	case len(args) > 0 && args[0] == "-" && f.fleet == "-":
		return errors.New("standard input is read once: write the policy or the fleet into a file")
	default:
		return f.checkNumbers()
	}
}

func (f *simulateFlags) checkNumbers() error {
	switch {
	case f.nodes < 1 || f.nodes > maxSimulated:
		return fmt.Errorf("--nodes %d: there must be 1 to %d", f.nodes, maxSimulated)
	case f.zones < 1:
		return fmt.Errorf("--zones %d: there must be 1 or more", f.zones)
	case f.maxDecisions < 0:
		return fmt.Errorf("--max-decisions %d: it must be 0 or more", f.maxDecisions)
	case f.readyAfter < time.Second || f.readyAfter > time.Hour:
		return fmt.Errorf("--ready-after %s: it must be between 1s and 1h", f.readyAfter)
	default:
		return f.checkUnrest()
	}
}

func (f *simulateFlags) checkUnrest() error {
	switch {
	case f.churn < 0 || f.churn > 60:
		return fmt.Errorf("--churn %d: it must be between 0 and 60 nodes an hour", f.churn)
	case f.evict < 0 || f.evict > 3600:
		return fmt.Errorf("--evict %d: it must be between 0 and 3600 pods an hour", f.evict)
	default:
		return nil
	}
}

// setting reads what the flags name; what it returns beside that is for the report.
func (f *simulateFlags) setting(ctx context.Context, args []string, stdin io.Reader) (s setting, about simulation, err error) {
	s = setting{readyAfter: f.readyAfter, start: time.Now().UTC().Truncate(time.Second), limit: f.limit.Duration, maxDecisions: f.maxDecisions}
	if f.start != "" {
		if s.start, err = time.Parse(time.RFC3339, f.start); err != nil {
			return s, about, fmt.Errorf("--start %q: write a time as in RFC 3339, such as 2026-03-02T09:00:00Z", f.start)
		}
	}
	name, spec, err := f.findPolicy(ctx, args, stdin)
	if err != nil {
		return s, about, err
	}
	if s.policy, err = apply.ReadPolicy(name, spec); err != nil {
		return s, about, fmt.Errorf("RolloutPolicy %q: %w", name, err)
	}
	s.policy.Grace = usualGrace
	if about.LeftOut, err = f.findFleet(&s, spec.GroupBy, stdin); err != nil {
		return s, about, err
	}
	chance := rand.New(rand.NewPCG(f.seed, 0)) //nolint:gosec // it has to be the same again
	var shares []faultShare
	for _, text := range f.faults {
		share, err := parseFault(text)
		if err != nil {
			return s, about, err
		}
		shares, about.Faults = append(shares, share), append(about.Faults, share.String())
	}
	if s.faults, err = dealFaults(shares, s.fleet, chance); err != nil {
		return s, about, err
	}
	s.unrest = newUnrest(f.churn, f.evict, s.fleet, chance)
	if s.maxDecisions == 0 {
		s.maxDecisions = min(max(affordable/len(s.fleet), 300), 100_000)
	}
	return s, about, nil
}

// usualGrace is the termination grace period of pods that name none.
const usualGrace = 30 * time.Second

// affordable is about how many nodes all decisions of a minute look at.
const affordable = 40_000_000

// findFleet makes or reads the nodes, and counts those that are left out.
func (f *simulateFlags) findFleet(s *setting, groupBy []string, stdin io.Reader) (leftOut int, err error) {
	if f.fleet == "" {
		s.fleet = synthetic(f.nodes, f.zones, groupBy)
		return 0, nil
	}
	raw, err := readInput(f.fleet, stdin)
	if err != nil {
		return 0, err
	}
	read, err := readFleet(inputName(f.fleet), raw, groupBy, f.tolerateAll)
	s.fleet = read.fleet
	return read.leftOut, err
}

// inputName is how errors call a file.
func inputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

// findPolicy reads the policy from a file or the cluster, or takes the built-in one.
func (f *simulateFlags) findPolicy(ctx context.Context, args []string, stdin io.Reader) (string, v1alpha1.RolloutPolicySpec, error) {
	var none v1alpha1.RolloutPolicySpec
	switch {
	case len(args) > 0:
		raw, err := readInput(args[0], stdin)
		if err != nil {
			return "", none, err
		}
		p, err := readPolicyFile(inputName(args[0]), raw)
		if err != nil {
			return "", none, err
		}
		return p.Name, p.Spec, nil
	case f.policy != "":
		c, _, err := f.kube.kinds()
		if err != nil {
			return "", none, err
		}
		p, err := c.RolloutPolicies().Get(ctx, f.policy, metav1.GetOptions{})
		if err != nil {
			return "", none, fmt.Errorf("get rolloutpolicy %s: %w", f.policy, err)
		}
		return p.Name, p.Spec, nil
	default:
		return apply.BuiltInPolicyName, apply.BuiltInPolicy(), nil
	}
}
