package rollout_test

import (
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
	switch {
	case f.Event == sim.Recorded:
		n.decision(f.Tick, f.Decision)
	case f.Event == sim.Asked:
		fmt.Fprintf(n.out, "%5ds > %s\n", f.Tick, f.Command)
	}
}

func (n *narrator) decision(tick int, d rollout.Decision) {
	c := d.Counts
	line := fmt.Sprintf("%-9s %-16s %-16s %s", d.Phase, d.Reason, wave(d), steps(d.Steps))
	counts := fmt.Sprintf("%d/%d new, %d healthy, %d failed, %d down", c.Candidate, c.Eligible, c.Healthy, c.Failed, c.Unavailable)
	line = strings.TrimRight(fmt.Sprintf("%-9s %-18s wave %d  %-46s %s", d.Phase, d.Reason, d.Next.Wave+1, counts, steps(d.Steps)), " ")
	if line == n.line {
		return
	}
	fmt.Fprintf(n.out, "%5ds %s\n", tick, line)
	if reason := string(d.Phase) + d.Reason; reason != n.reason {
		fmt.Fprintf(n.out, "       “%s”\n", d.Message)
		n.reason = reason
	}
	n.line = line
}

func wave(d rollout.Decision) string { return fmt.Sprint(d.Next.Wave + 1) }

func steps(all []rollout.Step) string {
	var words []string
	for _, s := range all {
		switch s.Action {
		case rollout.SetOnDelete:
			words = append(words, "set OnDelete")
		case rollout.WriteTemplate:
			gate := ""
			if s.Gated {
				gate = "+gate"
			}
			words = append(words, "write "+s.Digest+gate)
		case rollout.DeletePod:
			words = append(words, "delete "+s.Node+" ("+string(s.Why)+")")
		case rollout.OpenGate:
			words = append(words, "open "+s.Node)
		case rollout.Relabel:
			words = append(words, "relabel "+s.Node)
		}
	}
	return strings.Join(words, ", ")
}
