package rollout_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"golang.org/x/tools/txtar"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
)

// TestBugsOfOthersEndWell tells the stories in which other controllers of DaemonSets
// did harm, bug-*.txtar, and holds rollcall against the line "# want" of each: where the
// story ends, on how many nodes the version ran at the most, and how many nodes were
// unavailable at once because of rollcall.
func TestBugsOfOthersEndWell(t *testing.T) {
	files, err := filepath.Glob("testdata/bug-*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	listed := tabled(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := parsePlan(string(archive.Comment))
			if err != nil {
				t.Fatal(err)
			}
			want := regexp.MustCompile(`(?m)^# want .*$`).FindString(string(archive.Comment))
			b := bystander{ran: map[string]map[types.UID]bool{}}
			if err := tell(p, rollout.Decide, b.see); err != nil {
				t.Error(err)
			}
			if got := b.words(want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if !listed[name] {
				t.Errorf("docs/promises.md does not list %s", name)
			}
		})
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("docs/promises.md lists %s, and there is no such story", name)
	}
}

// tabled are the stories that the table of docs/promises.md lists.
func tabled(t *testing.T) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile("../../docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, name := range regexp.MustCompile("bug-[a-z-]+").FindAllString(string(raw), -1) {
		listed[name] = true
	}
	return listed
}

// bystander counts what happens.
type bystander struct {
	phase rollout.Phase
	// ran are the nodes that each version has run on.
	ran  map[string]map[types.UID]bool
	down int
}

func (b *bystander) see(f sim.Fact) {
	switch f.Event {
	case sim.Recorded:
		b.phase = f.Decision.Phase
		b.down = max(b.down, f.Decision.Counts.Unavailable)
	case sim.Ran:
		if b.ran[f.Digest] == nil {
			b.ran[f.Digest] = map[types.UID]bool{}
		}
		b.ran[f.Digest][f.NodeUID] = true
	case sim.BecameReady, sim.Deleted, sim.Opened, sim.Wrote, sim.Decided, sim.Asked, sim.Died, sim.NodeLeft:
	}
}

// words says what happened as the wanted line has it, of the version that it names.
func (b *bystander) words(want string) string {
	version := regexp.MustCompile(`: (\S+) on`).FindStringSubmatch(want)
	if version == nil {
		return "no line # want"
	}
	return fmt.Sprintf("# want %s: %s on %d nodes, at most %d unavailable at once", b.phase, version[1], len(b.ran[version[1]]), b.down)
}
