package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/e2e/fleet"
	"github.com/rollcall-dev/rollcall/e2e/product"
)

var update = flag.Bool("update", false, "write the goldens anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// scene is the demo in the middle of an act: rows before it have ended.
func scene(act int, phase, message string, cells func(node int) cell) frame {
	var nodesOf []corev1.Node
	for i := range nodes {
		nodesOf = append(nodesOf, *fleet.Node(i, zoneCount))
	}
	policy, err := rolloutPolicy()
	if err != nil {
		panic(err)
	}
	f := frame{
		elapsed: 47 * time.Second, zones: zonesOf(nodesOf), cells: map[string]cell{}, waves: wavesOf(policy.Spec, nodes),
		rows: played(act), label: acts()[act].label, phase: phase, message: message,
	}
	for i := range nodes {
		f.cells[fmt.Sprintf("node-%d", i)] = cells(i)
	}
	return f
}

// played are the acts, of which so many have ended as they should.
func played(ended int) []row {
	results := []result{
		{proven, 30, 0, 0, 4 * time.Second}, {proven, 30, 0, 5, 22 * time.Second}, {rejected, 3, 3, 3, 6 * time.Second},
		{proven, 0, 0, 0, time.Second}, {proven, 30, 0, 5, 23 * time.Second},
	}
	var out []row
	for i, a := range acts() {
		r := row{act: a}
		if i <= ended {
			r.commit = strings.Repeat(fmt.Sprint(i+1), 40)
		}
		if i < ended {
			r.result = &results[i]
		}
		out = append(out, r)
	}
	return out
}

func scenes() map[string]frame {
	install := scene(0, "Waiting", "the rollout begins", func(node int) cell {
		if node < 12 {
			return cell{state: starting, label: "v1"}
		}
		return cell{state: absent}
	})
	install.waves = []wave{{"first install", nodes}}
	return map[string]frame{
		"install": install,
		"wave": scene(1, "Replacing", "wave third: 3 of 30 eligible nodes run the candidate, 3 healthy, 5 unavailable of at most 5", func(node int) cell {
			switch {
			case node < 3:
				return cell{state: candidateReady, label: "v2"}
			case node < 8:
				return cell{state: starting, label: "v2"}
			default:
				return cell{state: provenReady, label: "v1"}
			}
		}),
		"failing": scene(2, "Soaking", "wave canary: 3 nodes healthy, soaking until 13:51:01Z", func(node int) cell {
			if node%13 == 0 {
				return cell{state: failing, label: "v3", hurt: true}
			}
			return cell{state: provenReady, label: "v2"}
		}),
		"rejected": scene(2, "Rejected", "commit 33333333: 3 of 3 touched nodes failed (budget 0); first node-13: CrashLoopBackOff: back-off 2s restarting failed container=example-container; touched nodes run commit 22222222 again; push a fix or retry the digest", func(node int) cell {
			return cell{state: provenReady, label: "v2", hurt: node%13 == 0}
		}),
		"revert": scene(3, "Proven", "commit 22222222 runs on all 30 eligible nodes", func(int) cell {
			return cell{state: provenReady, label: "v2"}
		}),
	}
}

func TestFrame(t *testing.T) {
	for name, f := range scenes() {
		for _, st := range []style{{80, false}, {120, false}, {80, true}} {
			file := fmt.Sprintf("%s-%d", name, st.width)
			if st.colour {
				file += "-colour"
			}
			golden(t, file, strings.Join(f.lines(st), "\n")+"\n")
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func TestFrameFitsEveryTerminal(t *testing.T) {
	for name, f := range scenes() {
		for width := clamp(0); width <= clamp(1000); width++ {
			lines := f.lines(style{width, true})
			if len(lines) > 23 {
				t.Errorf("%s has %d lines, at most 23 fit a terminal of 24", name, len(lines))
			}
			for _, line := range lines {
				if bare := escapes.ReplaceAllString(line, ""); columns(bare) > width {
					t.Fatalf("%s at %d: %d columns: %q", name, width, columns(bare), bare)
				}
			}
		}
	}
}

func TestColourTellsNothingByItself(t *testing.T) {
	for name, f := range scenes() {
		bare := escapes.ReplaceAllString(strings.Join(f.lines(style{80, true}), "\n"), "")
		if diff := cmp.Diff(strings.Join(f.lines(style{80, false}), "\n"), bare); diff != "" {
			t.Errorf("%s without escapes (-plain +coloured)\n%s", name, diff)
		}
	}
}

func TestTable(t *testing.T) {
	for _, st := range []style{{80, false}, {120, false}, {80, true}} {
		file := fmt.Sprintf("table-%d", st.width)
		if st.colour {
			file += "-colour"
		}
		lines := table(st, played(len(acts())))
		golden(t, file, strings.Join(lines, "\n")+"\n")
		for _, line := range lines {
			if bare := escapes.ReplaceAllString(line, ""); columns(bare) > st.width {
				t.Errorf("%d columns: %q", columns(bare), bare)
			}
		}
	}
}

func TestInvitation(t *testing.T) {
	for name, kubectl := range map[string]bool{"invitation": true, "invitation-without-kubectl": false} {
		golden(t, name, invitation(style{80, false}, "/tmp/demo/cluster/kubeconfig", "http://127.0.0.1:4000/fleet.git", "/tmp/demo/git/clones/fleet", kubectl))
	}
}

func TestSqueeze(t *testing.T) {
	frame := []string{"a", "", "b", " ", "c"}
	for height, want := range map[int][]string{9: frame, 5: frame, 4: {"a", "b", "c"}, 2: {"a", "b"}, 0: {"a"}} {
		if got := squeeze(frame, height); !slices.Equal(got, want) {
			t.Errorf("at %d lines: %q, want %q", height, got, want)
		}
	}
}

// TestREADMEShowsTheDemo holds the README's screens to what is drawn now. The
// commits are those of every run: the same files and dates give the same names.
func TestREADMEShowsTheDemo(t *testing.T) {
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	rows := played(5)
	for i, commit := range []string{"99db4aa4", "1c499bfa", "18086512", "6c89e77b", "6a09e89c"} {
		rows[i].commit = commit
	}
	// The README leaves out what stands below the table.
	for _, line := range table(style{80, false}, rows)[:1+len(rows)] {
		if !strings.Contains(readme, "\n"+line+"\n") {
			t.Errorf("the README's table has no line\n%s", line)
		}
	}
	rows[3].commit, rows[3].result, rows[4].commit, rows[4].result = "", nil, "", nil
	rows[0].result.took = 5 * time.Second
	f := scene(2, "Rejected", "commit 18086512: 3 of 3 touched nodes failed (budget 0); first node-13: CrashLoopBackOff: back-off 2s restarting failed container=example-container; touched nodes run commit 1c499bfa again; push a fix or retry the digest", func(node int) cell {
		return cell{state: provenReady, label: "v2", hurt: node == 13 || node == 15 || node == 29}
	})
	f.elapsed, f.rows = 59*time.Second, rows
	if want := strings.Join(f.lines(style{80, false}), "\n"); !strings.Contains(readme, "```\n"+want+"\n```") {
		t.Errorf("the README's screen is not\n%s", want)
	}
}
