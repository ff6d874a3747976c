package rollout_test

import (
	stdcmp "cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

var update = flag.Bool("update", false, "write the scenarios' told files anew")

// TestScenarios tells each story in testdata and compares it with how it was
// told before. One line is one decision; one that repeats the last is left out.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := parsePlan(string(archive.Comment))
			if err != nil {
				t.Fatal(err)
			}
			var told strings.Builder
			n := &narrator{out: &told}
			if err := tell(p, rollout.Decide, n.hear); err != nil {
				fmt.Fprintf(&told, "BROKEN %v\n", err)
			}
			if *update {
				archive.Files = []txtar.File{{Name: "told", Data: []byte(told.String())}}
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[0].Data), told.String()); diff != "" {
				t.Errorf("the story is told differently now (-before +now; run with -update if that is right):\n%s", diff)
			}
		})
	}
}

// narrator writes a story down.
type narrator struct {
	out          *strings.Builder
	line, reason string
}

func (n *narrator) hear(f sim.Fact) {
	if f.Event == sim.Recorded {
		n.decision(f)
	}
	if f.Event == sim.Asked {
		if line := fmt.Sprintf("%5ds > %s\n", f.Tick, f.Command); f.Command != "calm" && !strings.HasSuffix(n.out.String(), line) {
			n.out.WriteString(line)
		}
	}
}

func (n *narrator) decision(f sim.Fact) {
	d, c := f.Decision, f.Decision.Counts
	wave := stdcmp.Or(d.Wave.Name, "-")
	counts := fmt.Sprintf("%d/%d new, %d healthy, %d failed, %d down", c.Candidate, c.Eligible, c.Healthy, c.Failed, c.Unavailable)
	line := strings.TrimRight(fmt.Sprintf("%-9s %-17s %-7s %-43s %s", d.Phase, d.Reason, wave, counts, steps(d.Steps)), " ")
	if line == n.line {
		return
	}
	fmt.Fprintf(n.out, "%5ds %s\n", f.Tick, line)
	if reason := string(d.Phase) + d.Reason; reason != n.reason {
		fmt.Fprintf(n.out, "       “%s”\n", d.Message)
		n.reason = reason
	}
	n.line = line
}

// steps are grouped: one verb for all nodes that it is done to.
func steps(all []rollout.Step) string {
	var words []string
	last := ""
	for _, s := range all {
		verb, why := verb(s)
		if verb+why != last {
			words = append(words, verb)
		}
		last = verb + why
		words[len(words)-1] = strings.TrimSuffix(words[len(words)-1], why)
		if s.Node != "" {
			words[len(words)-1] += " " + s.Node
		}
		words[len(words)-1] += why
	}
	return strings.Join(words, ", ")
}

func verb(s rollout.Step) (verb, why string) {
	switch s.Action {
	case rollout.SetOnDelete:
		return "set OnDelete", ""
	case rollout.WriteTemplate:
		if s.Surge {
			return "surge " + s.Digest + "+gate", ""
		}
		if s.Gated {
			return "write " + s.Digest + "+gate", ""
		}
		return "write " + s.Digest, ""
	case rollout.DeletePod:
		return "delete", " (" + string(s.Why) + ")"
	case rollout.OpenGate:
		return "open", ""
	case rollout.NameRevision:
		return "name revision " + s.Revision, ""
	case rollout.Relabel:
		return "relabel", ""
	default:
		return "?", ""
	}
}
