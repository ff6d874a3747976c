package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestNothingInUseIsPruned draws histories of commits, rollouts, returns and pods that
// stay behind, and prunes at any moment. What is deleted must be read by no pod that
// lives, by no version that is proven, declared or on its way, and by no revision
// that Kubernetes keeps for the way back; and what nothing reads is gone in the end.
func TestNothingInUseIsPruned(t *testing.T) {
	p := newPruning()
	rapid.Check(t, func(t *rapid.T) {
		if err := p.tell(drawHistory(t)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBrokenPruningIsCaught breaks one rule of pruning at a time.
func TestBrokenPruningIsCaught(t *testing.T) {
	for sentence, breakRule := range map[string]func(*pruning){
		"what pods run does not count": func(p *pruning) {
			p.spare = func(ctx context.Context, r *Rollouts, set Set, in diff.Input) (diff.Input, error) {
				used, err := r.InUse(ctx, in)
				in.InUse = used
				return in, err
			}
		},
		"only what pods run counts": func(p *pruning) {
			p.spare = func(ctx context.Context, r *Rollouts, set Set, in diff.Input) (diff.Input, error) {
				var err error
				if in.Behind, err = r.Behind(ctx, set); err != nil {
					return in, err
				}
				in.InUse, err = r.read(ctx, doomed(in))
				return in, err
			}
		},
		"pods that are behind need only what they read": func(p *pruning) {
			p.after(func(in *diff.Input) { in.Behind = nil })
		},
		"nobody waits for the proof": func(p *pruning) {
			p.spare = func(ctx context.Context, r *Rollouts, set Set, in diff.Input) (diff.Input, error) {
				in.Unproven = false
				return r.Spare(ctx, set, in)
			}
		},
		"what is kept is listed no more": func(p *pruning) {
			p.inventory = func(set Set, plan diff.Plan, results Results) *v1alpha1.Inventory {
				return Inventory(set, diff.Plan{Changes: slices.DeleteFunc(slices.Clone(plan.Changes), func(c diff.Change) bool { return c.Operation == diff.Keep })}, results)
			}
		},
		"what was ever read is in use for ever": func(p *pruning) {
			ever := map[diff.Reference]bool{}
			p.after(func(in *diff.Input) {
				for _, r := range in.InUse {
					ever[r] = true
				}
				for r := range ever {
					in.InUse = append(in.InUse, r)
				}
			})
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			right, broken := newPruning(), newPruning()
			breakRule(broken)
			histories := rapid.Custom(drawHistory)
			for seed := range 3000 {
				h := histories.Example(seed)
				if broken.tell(h) == nil {
					continue
				}
				if err := right.tell(h); err != nil {
					t.Errorf("the history that caught it breaks the right rules too: %v\n%v", err, h)
				}
				return
			}
			t.Error("3000 histories did not catch it")
		})
	}
}

// A pod for which there is no node keeps what it reads, and holds back nothing else.
func TestPodsWithoutANodeAreNotWaitedFor(t *testing.T) {
	p := newPruning()
	p.world = newPruned()
	for _, event := range []string{"keep 0", "commit 000", "pass", "replace 0 0", "replace 0 1", "prove 0", "commit 111", "pass", "decide 0", "replace 0 0", "prove 0"} {
		if err := p.happen(strings.Fields(event)); err != nil {
			t.Fatal(err)
		}
	}
	set := Set{DaemonSets: []diff.ID{{Namespace: "agents", Name: "set-0", Group: "apps", Kind: "DaemonSet"}}}
	old := func(node string) (behind int, reads bool) {
		for _, pod := range p.world.sets[0].pods {
			if pod.Spec.NodeName == "1" || pod.Spec.NodeName == "" {
				pod.Spec.NodeName = node
			}
		}
		waited, err := p.rollouts.Behind(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		secret := diff.Reference{Kind: "Secret", Namespace: "agents", Name: "set-0-secret-0"}
		read, err := p.rollouts.read(t.Context(), []diff.Reference{secret})
		if err != nil {
			t.Fatal(err)
		}
		return len(waited), slices.Contains(read, secret)
	}
	if behind, reads := old("1"); behind != 1 || !reads {
		t.Errorf("an old pod on a node: %d behind, what it reads is kept %t", behind, reads)
	}
	if behind, reads := old(""); behind != 0 || !reads {
		t.Errorf("an old pod without a node: %d behind, what it reads is kept %t", behind, reads)
	}
}

// drawHistory draws up to 25 events for one or two DaemonSets on three nodes.
func drawHistory(t *rapid.T) []string {
	sets := rapid.IntRange(1, 2).Draw(t, "sets")
	out := []string{fmt.Sprintf("keep %d", rapid.IntRange(0, 2).Draw(t, "history")), "commit " + drawDeclaration(t, sets), "pass", "decide 0", "decide 1"}
	for range rapid.IntRange(0, 25).Draw(t, "events") {
		which, node := rapid.IntRange(0, sets-1).Draw(t, "set"), rapid.IntRange(0, 2).Draw(t, "node")
		switch event := rapid.SampledFrom([]string{"commit", "pass", "pass", "decide", "decide", "replace", "replace", "replace", "return", "linger", "gone", "fail", "prove", "prove", "trim"}).Draw(t, "event"); event {
		case "commit":
			out = append(out, "commit "+drawDeclaration(t, sets), "pass")
		case "decide", "prove", "trim":
			out = append(out, fmt.Sprintf("%s %d", event, which))
		case "pass":
			out = append(out, event)
		default:
			out = append(out, fmt.Sprintf("%s %d %d", event, which, node))
		}
	}
	return out
}

// drawDeclaration draws by DaemonSet which of three contents of its config it has, and
// which plain Secret and which role it needs.
func drawDeclaration(t *rapid.T, sets int) string {
	var words []string
	for range sets {
		words = append(words, fmt.Sprintf("%d%d%d", rapid.IntRange(0, 2).Draw(t, "content"), rapid.IntRange(0, 2).Draw(t, "secret"), rapid.IntRange(0, 2).Draw(t, "role")))
	}
	return strings.Join(words, " ")
}

// needed is who needs an object by that name; empty when nobody does. It is dumb: it
// looks for the name in the text of what there is.
func (w *pruned) needed(name string) string {
	names := func(what any) bool {
		text, _ := json.Marshal(what)
		return strings.Contains(string(text), `"`+name+`"`)
	}
	for _, s := range w.sets {
		for _, p := range s.pods {
			if p.Status.Phase != "Failed" && names(p) {
				return "pod " + p.Name
			}
		}
		for _, v := range []string{s.proven, s.candidate, s.declared} {
			if t, known := s.templates[v]; known && names(t) {
				return "version " + v + " of " + s.name
			}
		}
	}
	return ""
}

// wayBack is which kept revision reads a ConfigMap or Secret by that name.
func (w *pruned) wayBack(name string) string {
	for _, s := range w.sets {
		for _, r := range s.revisions {
			if strings.Contains(string(r.Data.Raw), `"name":"`+name+`"`) || strings.Contains(string(r.Data.Raw), `"secretName":"`+name+`"`) {
				return "revision " + r.Name
			}
		}
	}
	return ""
}

// judge is what is wrong with the deletions of a pass.
func (w *pruned) judge(deleted []diff.ID) error {
	for _, id := range deleted {
		by := w.needed(id.Name)
		if by == "" && (id.Kind == "ConfigMap" || id.Kind == "Secret") {
			by = w.wayBack(id.Name)
		}
		if by != "" {
			return fmt.Errorf("P7: %s is deleted, and %s needs it", id, by)
		}
	}
	return nil
}

// leaks is what is left at the end that nothing needs.
func (w *pruned) leaks() error {
	for _, id := range sortedIDs(w.objects) {
		if w.needed(id.Name) == "" && w.wayBack(id.Name) == "" && !w.isDeclared(id) {
			return fmt.Errorf("P7: %s is left over, and nothing needs it", id)
		}
	}
	return nil
}

// What a DaemonSet's next pod cannot be made without is in use though it has no pod now.
func TestATemplateUsesWhatNoPodDoes(t *testing.T) {
	p := newPruning()
	p.world = newPruned()
	for _, event := range []string{"keep 0", "commit 000", "pass", "replace 0 0", "prove 0"} {
		if err := p.happen(strings.Fields(event)); err != nil {
			t.Fatal(err)
		}
	}
	clear(p.world.sets[0].pods)
	account := &unstructured.Unstructured{}
	account.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"})
	account.SetNamespace("agents")
	account.SetName("default")
	account.SetLabels(map[string]string{v1alpha1.LabelOwner: "a.b"})
	id := diff.IDOf(account)
	used, err := p.rollouts.InUse(t.Context(), diff.Input{
		Owner: "a.b", Prune: true, DaemonSets: []diff.ID{{Namespace: "agents", Name: "set-0", Group: "apps", Kind: "DaemonSet"}},
		Previous: &v1alpha1.Inventory{Entries: []v1alpha1.InventoryEntry{{ID: id.Entry(), Version: "v1"}}},
		Former:   []diff.Former{{ID: id, Live: account}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (diff.Reference{Kind: "ServiceAccount", Namespace: "agents", Name: "default"}); !slices.Contains(used, want) {
		t.Errorf("in use are %v, want %v among them", used, want)
	}
}
