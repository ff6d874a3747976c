package rollout_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/apply/rollout"
)

// The fleet that rollcall is built for, and a small one to compare it with. Its
// decisions are held to what does not depend on the machine: so many times the
// nodes take so many times the memory and so many times the statements. What is
// quadratic takes that many times more.
const (
	small, large = 1000, 15000
	times        = large / small
)

// Long slices grow in smaller steps, so that they are allocated half as often again.
func TestDecideTakesLinearMemory(t *testing.T) {
	for _, m := range moments() {
		t.Run(m.name, func(t *testing.T) {
			allocations, bytes := taken(m.input(small))
			moreAllocations, moreBytes := taken(m.input(large))
			if most := uint64(times * 3); 2*moreAllocations > most*allocations || 2*moreBytes > most*bytes {
				t.Errorf("%d nodes take %d allocations of %d bytes, %d take %d of %d", small, allocations, bytes, large, moreAllocations, moreBytes)
			}
		})
	}
}

// taken is what one decision takes.
func taken(in rollout.Input) (allocations, bytes uint64) {
	const runs = 3
	var before, after runtime.MemStats
	rollout.Decide(in)
	runtime.ReadMemStats(&before)
	for range runs {
		rollout.Decide(in)
	}
	runtime.ReadMemStats(&after)
	return (after.Mallocs - before.Mallocs) / runs, (after.TotalAlloc - before.TotalAlloc) / runs
}

// Sorting takes some more with the logarithm of the nodes.
func TestDecideTakesLinearSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary that counts statements")
	}
	binary := filepath.Join(t.TempDir(), "counting.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, "-covermode=count", "-coverpkg=.,github.com/rollcall-dev/rollcall/health", ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, m := range moments() {
		t.Run(m.name, func(t *testing.T) {
			few, many := statements(t, binary, m.name, small), statements(t, binary, m.name, large)
			t.Logf("%d statements a node at %d nodes, %d at %d", few/small, small, many/large, large)
			if few == 0 || many > times*few*11/10 {
				t.Errorf("%d nodes take %d statements, %d take %d", small, few, large, many)
			}
		})
	}
}

// decideOnly is the moment and the size of the fleet that TestDecideOnce decides
// on, in the binary that counts.
const decideOnly = "ROLLCALL_DECIDE"

func TestDecideOnce(t *testing.T) {
	name, size, asked := strings.Cut(os.Getenv(decideOnly), "/")
	nodes, err := strconv.Atoi(size)
	if !asked || err != nil {
		t.Skip("is run by TestDecideTakesLinearSteps")
	}
	for _, m := range moments() {
		if m.name == name {
			rollout.Decide(m.input(nodes))
		}
	}
}

// statements counts what one decision runs of this package and of health.
func statements(t *testing.T, binary, moment string, nodes int) (count int) {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	once := exec.CommandContext(t.Context(), binary, "-test.run=^TestDecideOnce$", "-test.coverprofile="+profile)
	once.Env = append(os.Environ(), fmt.Sprintf("%s=%s/%d", decideOnly, moment, nodes))
	if out, err := once.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(profile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// name.go:line.column,line.column statements count
		if fields := strings.Fields(lines.Text()); len(fields) == 3 {
			size, _ := strconv.Atoi(fields[1])
			ran, _ := strconv.Atoi(fields[2])
			count += size * ran
		}
	}
	return count
}
