package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// output is what the demo prints, to be read while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a demo under test.
type running struct {
	out, complaints output
	dir             string
	interrupt       context.CancelFunc
	code            chan int
}

func startDemo(t *testing.T, args ...string) *running {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	r := &running{dir: t.TempDir(), code: make(chan int, 1)}
	t.Setenv("TMPDIR", r.dir)
	ctx, cancel := context.WithCancel(t.Context())
	r.interrupt = cancel
	go func() { r.code <- run(ctx, args, &r.out, &r.complaints) }()
	return r
}

// waitFor waits until the output matches, and returns the first group.
func (r *running) waitFor(t *testing.T, pattern string, within time.Duration) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(within)
	for {
		if m := re.FindStringSubmatch(r.out.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case code := <-r.code:
			t.Fatalf("the demo ended with %d before it printed %s\n%s\n%s", code, pattern, r.out.String(), r.complaints.String())
		case <-deadline:
			t.Fatalf("the demo has not printed %s within %s\n%s", pattern, within, r.out.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wantEnd waits for the exit code, and then nothing must be left.
func (r *running) wantEnd(t *testing.T, want int) {
	t.Helper()
	select {
	case got := <-r.code:
		if got != want {
			t.Errorf("exit code %d, want %d\n%s", got, want, r.complaints.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("the demo has not ended within 30s")
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "*")); len(left) > 0 {
		t.Errorf("files are left: %q", left)
	}
}

// children are the command lines of this process's children, by Linux's /proc.
func children(t *testing.T) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, stat := range stats {
		raw, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		// After the command, which may have spaces: state and parent.
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if fields[1] == strconv.Itoa(os.Getpid()) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
			out = append(out, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return out
}

func TestDemoInterrupted(t *testing.T) {
	for name, when := range map[string]string{
		"while the cluster starts": `^ rollcall`,
		"while rollcall starts":    `✓ cluster`,
		"in the middle of a wave":  `Soaking: wave canary`,
	} {
		t.Run(name, func(t *testing.T) {
			r := startDemo(t)
			r.waitFor(t, when, time.Minute)
			r.interrupt()
			r.wantEnd(t, codeInterrupted)
		})
	}
}

func TestDemoWithoutItsBinaries(t *testing.T) {
	t.Setenv("ROLLCALL_BIN", t.TempDir())
	r := startDemo(t)
	r.wantEnd(t, codeFailed)
	if got := r.complaints.String(); !strings.Contains(got, "run make build") {
		t.Errorf("it says %q, and not how to build what is missing", got)
	}
}

// contract is how long the demo may take, from its start to its last line.
const contract = 2 * time.Minute

// TestDemo is the whole demo, and every command to which it invites, as it is
// printed.
func TestDemo(t *testing.T) {
	r := startDemo(t, "--keep")
	took := r.waitFor(t, `The demo took (\S+)\.`, contract)
	if d, err := time.ParseDuration(took); err != nil || d > contract {
		t.Errorf("the demo says that it took %s", took)
	}
	clone := r.waitFor(t, `clone +(\S+)`, time.Second)
	kubeconfig := r.waitFor(t, `export KUBECONFIG=(\S+)`, time.Second)
	r.waitFor(t, regexp.QuoteMeta("rollcall pause "+daemonSet), time.Second)
	t.Log(r.out.String())
	wantStory(t, r.out.String())
	t.Setenv("KUBECONFIG", kubeconfig)
	tryAll(t, r.out.String(), clone)
	r.interrupt()
	r.wantEnd(t, 0)
}

// wantStory looks for the lines that tell the demo, in their order: every commit
// with its verdict and with how many nodes it touched, and of the bad one that
// it stopped at its canaries and which commit those nodes run again.
func wantStory(t *testing.T, printed string) {
	t.Helper()
	rest := printed
	line := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^.*` + pattern + `.*\n`).FindStringSubmatchIndex(rest)
		if m == nil {
			t.Fatalf("the demo does not print, where it belongs, %s\n%s", pattern, printed)
		}
		group := rest[m[2]:m[3]]
		rest = rest[m[1]:]
		return group
	}
	running := ""
	for _, a := range acts() {
		commit := line(`git push ([0-9a-f]{8})  ` + a.label + ` .*` + regexp.QuoteMeta(a.what))
		switch {
		case a.want == rejected:
			line(`(Rejected): commit ` + commit + `: [1-9]\d* of [1-9]\d* touched nodes failed .*touched nodes run commit ` + running + ` again`)
			touched := line(commit + `: rejected after \S+, (\d+) nodes touched, [1-9]\d* hurt$`)
			if n, err := strconv.Atoi(touched); err != nil || n < 1 || n > a.mostTouched {
				t.Errorf("the bad commit touched %s nodes, and has %d canaries", touched, a.mostTouched)
			}
			continue
		case a.label == "":
			line(commit + `: proven after \S+, (0) nodes touched, 0 hurt$`)
		default:
			line(commit + `: proven after \S+, (` + strconv.Itoa(nodes) + `) nodes touched, 0 hurt$`)
		}
		running = commit
	}
	line(`(VERDICT)`)
}

// tryAll runs the commands that are printed, in their order, then those that are
// printed where there is no kubectl, and looks at what they did.
func tryAll(t *testing.T, printed, clone string) {
	t.Helper()
	commands := worthTrying(t, printed)
	for _, command := range commands {
		attempt(t, command, clone)
	}
	for _, x := range tries(clone, false) {
		if strings.Contains(x.command, "kubectl") {
			t.Errorf("it needs kubectl: %s", x.command)
		}
		if !slices.Contains(commands, x.command) {
			attempt(t, x.command, clone)
		}
	}
	if !hasKubectl() {
		t.Log("there is no kubectl on the PATH: what the demo prints for those who have it is not tried")
		return
	}
	// The node that lost its agent has a proven one.
	waitShell(t, "kubectl get pod -l app=example --field-selector spec.nodeName="+oneOfNodes+" -o jsonpath='{.items[*].spec.containers[0].image} {.items[*].status.phase}'", image+":v2 Running")
	for _, a := range acts() {
		if got := shell(t, a.look); got == "" {
			t.Errorf("%s prints nothing", a.look)
		}
	}
}

// worthTrying are the commands of the last section.
func worthTrying(t *testing.T, printed string) (commands []string) {
	t.Helper()
	_, section, _ := strings.Cut(printed, "Worth trying:\n")
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			commands = append(commands, line)
		}
	}
	if len(commands) != 5 {
		t.Fatalf("%d commands are worth trying, want 5: %q", len(commands), commands)
	}
	return commands
}

// attempt runs the command and looks at what it printed; after a push it waits for
// what becomes of it.
func attempt(t *testing.T, command, clone string) {
	t.Helper()
	got := shell(t, command)
	t.Logf("$ %s\n%s", command, got)
	for beginning, want := range map[string]string{
		"kubectl get":            "noderollout.rollcall.dev/" + daemonSet,
		"kubectl delete":         "deleted",
		"bin/rollcall status":    daemonSet,
		"bin/rollcall status -o": "phase: ",
		"bin/rollcall pause":     daemonSet + " is paused",
		"bin/rollcall resume":    daemonSet,
	} {
		if strings.HasPrefix(command, beginning) && !strings.Contains(got, want) {
			t.Errorf("%s\nprinted no %q:\n%s", command, want, got)
		}
	}
	if strings.Contains(command, "git push") {
		waitRejected(t, strings.TrimSpace(shell(t, "git -C "+clone+" rev-parse HEAD")))
	}
}

// waitRejected waits until the commit is rejected and every node has an agent.
func waitRejected(t *testing.T, commit string) {
	t.Helper()
	var s v1alpha1.NodeRolloutStatus
	for range 60 {
		s = status(t)
		if s.Phase == v1alpha1.PhaseRejected && s.Rejected[0].Commit == commit && s.Nodes.Present == nodes {
			return
		}
		time.Sleep(time.Second)
	}
	t.Errorf("commit %s is not rejected with all nodes served: %s, %s", commit, s.Phase, s.Message)
}

// status is the rollout's as rollcall prints it.
func status(t *testing.T) v1alpha1.NodeRolloutStatus {
	t.Helper()
	var list struct {
		Items []struct {
			Kind   string
			Status json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(shell(t, "bin/rollcall status -o json")), &list); err != nil {
		t.Fatal(err)
	}
	var s v1alpha1.NodeRolloutStatus
	for _, item := range list.Items {
		if item.Kind != "NodeRollout" {
			continue
		}
		if err := json.Unmarshal(item.Status, &s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// shell runs a command in the repository's top folder. It has to end with 0.
func shell(t *testing.T, command string) string {
	t.Helper()
	rollcall, err := product.Binary("rollcall")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(command, "bin/rollcall", rollcall))
	if c.Dir, err = product.Root(); err != nil {
		t.Fatal(err)
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

func waitShell(t *testing.T, command, want string) {
	t.Helper()
	got := ""
	for range 60 {
		if got = shell(t, command); got == want {
			return
		}
		time.Sleep(time.Second)
	}
	t.Errorf("%s prints %q, want %q", command, got, want)
}
