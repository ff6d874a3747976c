package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// readInput reads a file, or standard input where it is called "-".
func readInput(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		raw, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return raw, nil
	}
	raw, err := os.ReadFile(name) //nolint:gosec // the file that a person names
	if err != nil {
		return nil, fmt.Errorf("read %w", withoutVerb(err))
	}
	return raw, nil
}

// withoutVerb is an error about a file without the name of the system call.
func withoutVerb(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}

// readPolicyFile reads the one RolloutPolicy of a file as the API server would:
// what it does not say has the default, what it must not say is an error.
func readPolicyFile(name string, raw []byte) (*v1alpha1.RolloutPolicy, error) {
	var found *v1alpha1.RolloutPolicy
	var others []string
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		document, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p, kind, err := decodePolicy(document)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case p == nil:
			others = append(others, kind...)
		case found != nil:
			return nil, fmt.Errorf("%s: it has more than one RolloutPolicy, %s and %s: leave one in it", name, found.Name, p.Name)
		default:
			found = p
		}
	}
	if found == nil {
		return nil, noPolicy(name, others)
	}
	var wrong []error
	for _, err := range validatePolicy(found.Spec) {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s: %w", name, listErrors(wrong))
	}
	return found, nil
}

// listErrors is the one error, or all of them, each on its own line as kubectl
// lists them.
func listErrors(all []error) error {
	if len(all) == 1 {
		return all[0]
	}
	var lines strings.Builder
	for _, err := range all {
		fmt.Fprintf(&lines, "\n* %v", err)
	}
	return errors.New(lines.String())
}

func noPolicy(name string, others []string) error {
	has := "it is empty"
	if len(others) > 0 {
		has = "it has " + strings.Join(others, ", ")
	}
	return fmt.Errorf("%s: there is no RolloutPolicy of %s in it: %s", name, v1alpha1.GroupVersion(), has)
}

// validatePolicy holds a policy to the rules that the CustomResourceDefinition
// has, in its words.
func validatePolicy(s v1alpha1.RolloutPolicySpec) field.ErrorList {
	at := field.NewPath("spec")
	out := validateWaves(at.Child("waves"), s.Waves)
	if s.MaxUnavailable != nil {
		out = append(out, validateShare(at.Child("maxUnavailable"), "maxUnavailable", *s.MaxUnavailable)...)
	}
	if s.MaxUnavailablePerGroup != nil {
		out = append(out, validateShare(at.Child("maxUnavailablePerGroup"), "maxUnavailablePerGroup", *s.MaxUnavailablePerGroup)...)
		if len(s.GroupBy) == 0 {
			out = append(out, field.Required(at.Child("groupBy"), "maxUnavailablePerGroup needs the groups of groupBy"))
		}
	}
	if s.Breaker != nil {
		out = append(out, validateShare(at.Child("breaker", "maxSickNodes"), "maxSickNodes", s.Breaker.MaxSickNodes)...)
	}
	out = append(out, validateHealth(at.Child("health"), s.Health)...)
	out = append(out, validateCalendar(at, s)...)
	return append(out, validateChoices(at, s)...)
}

// validateChoices checks the fields that have one of some words.
func validateChoices(at *field.Path, s v1alpha1.RolloutPolicySpec) field.ErrorList {
	out := oneOf(at.Child("replace"), s.Replace, v1alpha1.ReplaceDelete, v1alpha1.ReplaceSurge)
	out = append(out, oneOf(at.Child("newPods"), s.NewPods, v1alpha1.NewPodsCandidate, v1alpha1.NewPodsProven)...)
	out = append(out, oneOf(at.Child("onFailure"), s.OnFailure, v1alpha1.OnFailureReturn, v1alpha1.OnFailureHold)...)
	if s.Replace == v1alpha1.ReplaceSurge && s.NewPods == v1alpha1.NewPodsCandidate {
		out = append(out, field.Invalid(at.Child("newPods"), s.NewPods, "replace: surge keeps new pods on the proven version: newPods must be proven"))
	}
	return out
}

// oneOf wants one of the words, or none.
func oneOf[T ~string](at *field.Path, word T, words ...T) field.ErrorList {
	if word == "" || slices.Contains(words, word) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, word, words)}
}

func validateHealth(at *field.Path, h v1alpha1.HealthSpec) field.ErrorList {
	out := between(at.Child("readyFor"), h.ReadyFor, 0, time.Hour, "30s")
	out = append(out, between(at.Child("deadline"), h.Deadline, time.Second, 24*time.Hour, "10m")...)
	if n := h.MaxRestarts; n < 0 || n > 1000 {
		out = append(out, field.Invalid(at.Child("maxRestarts"), n, "maxRestarts must be between 0 and 1000"))
	}
	if n := h.FailureBudget; n < 0 || n > 100_000 {
		out = append(out, field.Invalid(at.Child("failureBudget"), n, "failureBudget must be between 0 and 100000"))
	}
	return out
}

// fiveFields is a schedule of cron without a name or a zone in it.
const fiveFields = `^ *[^ @=]+( +[^ =]+){4} *$`

func validateCalendar(at *field.Path, s v1alpha1.RolloutPolicySpec) field.ErrorList {
	var out field.ErrorList
	for i, w := range s.Windows {
		at := at.Child("windows").Index(i)
		if !regexp.MustCompile(fiveFields).MatchString(w.Schedule) {
			out = append(out, field.Invalid(at.Child("schedule"), w.Schedule, "schedule must have the five fields of cron: minute, hour, day of month, month, day of week"))
		}
		out = append(out, between(at.Child("duration"), w.Duration, time.Minute, 168*time.Hour, "8h")...)
	}
	for i, f := range s.Freezes {
		at := at.Child("freezes").Index(i)
		if f.Reason == "" {
			out = append(out, field.Required(at.Child("reason"), "say what it is for: whoever waits is shown it"))
		}
		if !f.Start.Before(&f.End) {
			out = append(out, field.Invalid(at.Child("end"), f.End.Format(time.RFC3339), "end must be later than start"))
		}
	}
	return out
}

// between wants a duration in a range, such as the example.
func between(at *field.Path, d metav1.Duration, least, most time.Duration, example string) field.ErrorList {
	if d.Duration >= least && d.Duration <= most {
		return nil
	}
	name := at.String()[strings.LastIndex(at.String(), ".")+1:]
	return field.ErrorList{field.Invalid(at, d.Duration.String(), fmt.Sprintf("%s must be a duration between %s and %s, such as %s", name, brief(least), brief(most), example))}
}
