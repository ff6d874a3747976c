package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// planned is what a directory would change.
type planned struct {
	// gitsync is NAMESPACE/NAME; empty when it is open.
	gitsync string
	// offline is whether no cluster was asked: it was compared with a commit.
	offline bool
	// from and to are the commits; empty for a working tree, and from also for the cluster.
	from, to string
	objects  diff.Plan
	rollouts []forecast
	// findings are what is doubtful in what is declared.
	findings []render.Finding
}

// blocked is whether the directory could not be applied.
func (p *planned) blocked() bool {
	return len(p.objects.Blocked()) > 0 || slices.ContainsFunc(p.rollouts, func(f forecast) bool { return f.Verdict == cannotBeMade })
}

// changes is whether the cluster would change.
func (p *planned) changes() bool {
	return p.objects.Writes() || slices.ContainsFunc(p.rollouts, func(f forecast) bool { return f.changes() })
}

// conclusion is what a reviewer has to know.
func (p *planned) conclusion() string {
	if p.blocked() {
		return "Something cannot be applied: nothing of this would be."
	}
	counts, nodes := map[verdict]int{}, 0
	for i := range p.rollouts {
		counts[p.rollouts[i].Verdict]++
		if p.rollouts[i].Verdict == willRoll {
			nodes = max(nodes, p.rollouts[i].Nodes)
		}
	}
	said := p.movement(counts, nodes)
	if n := counts[wouldBeHeld]; n > 0 {
		said += fmt.Sprintf("; %d would be held", n)
	}
	if n := counts[isRejected]; n > 0 {
		said += fmt.Sprintf("; %d rejected before", n)
	}
	return said + "."
}

// movement is what goes over the nodes.
func (p *planned) movement(counts map[verdict]int, nodes int) string {
	var said []string
	if n := counts[willRoll]; n > 0 {
		over := ""
		if !p.offline {
			over = fmt.Sprintf(", over up to %d nodes", nodes)
		}
		said = append(said, fmt.Sprintf("Rollouts: %d of %d DaemonSets%s", n, len(p.rollouts), over))
	}
	if n := counts[willInstall]; n > 0 {
		said = append(said, fmt.Sprintf("%d first installed", n))
	}
	if n := p.removed(); n > 0 {
		said = append(said, counted(n, "DaemonSet")+" removed")
	}
	switch n := counts[isUnderWay]; {
	case n > 0 && len(said) > 0:
		said = append(said, fmt.Sprintf("%d under way", n))
	case n == 1:
		said = append(said, "1 rollout under way")
	case n > 1:
		said = append(said, fmt.Sprintf("%d rollouts under way", n))
	case len(said) > 0:
	case p.changes():
		said = append(said, "No rollout")
	default:
		said = append(said, "Nothing changes")
	}
	return strings.Join(said, "; ")
}

// removed counts the DaemonSets that Git declares no more, and that are deleted.
func (p *planned) removed() int {
	count := 0
	for _, c := range p.objects.Of(diff.Delete) {
		if c.Group == "apps" && c.Kind == "DaemonSet" {
			count++
		}
	}
	return count
}

// policy is what the rollout goes by, in words.
func (f *forecast) policy() string {
	if f.Policy == apply.BuiltInPolicyName {
		return f.Policy
	}
	return "policy " + f.Policy
}

// operation is the nearest of what a plan does with objects.
func (f *forecast) operation() diff.Operation {
	switch f.Verdict {
	case willInstall:
		return diff.Create
	case willRoll:
		return diff.Update
	case willAdopt, willStay, isUnderWay:
		if f.changes() {
			return diff.Update
		}
		return diff.Unchanged
	case isRejected, wouldBeHeld:
		return diff.Keep
	case cannotBeMade:
		return diff.Refused
	default:
		return diff.Keep
	}
}

// atOnce is how a first install comes to its nodes.
func (f *forecast) atOnce() string {
	if len(f.Waves) == 0 {
		return "all at once"
	}
	return fmt.Sprintf("in %d waves", len(f.Waves))
}

// says is the verdict in a sentence.
func (f *forecast) says(offline bool) string {
	if offline {
		return ""
	}
	nodes := map[verdict]string{
		willInstall: fmt.Sprintf("on %d nodes, %s", f.Nodes, f.atOnce()),
		willAdopt:   fmt.Sprintf("on %d nodes", f.Nodes),
		willStay:    fmt.Sprintf("no rollout on its %d nodes", f.Nodes),
		willRoll:    fmt.Sprintf("over %d nodes in %d waves", f.Nodes, len(f.Waves)),
		wouldBeHeld: "it does not begin",
	}[f.Verdict]
	switch {
	case f.Message == "":
		return nodes
	case nodes == "":
		return f.Message
	default:
		return nodes + "; " + f.Message
	}
}

// atMost is how many nodes are without an agent at once.
func (f *forecast) atMost() string {
	if f.Verdict == willInstall || f.MaxUnavailable == 0 {
		return "no node loses an agent"
	}
	return fmt.Sprintf("at most %d of %d nodes without an agent", f.MaxUnavailable, f.Nodes)
}

// listedNodes is how many nodes of a wave are spelled out for people.
const listedNodes = 4

// some spells out the first of many names.
func some(names []string, most int) string {
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// because is what makes it another version, in words; empty when that is not known.
func (f *forecast) because() string {
	var fields, words []string
	for _, c := range f.Causes {
		if c.Config != "" {
			words = append(words, clean(c.String()))
			continue
		}
		fields = append(fields, clean(c.String()))
	}
	words = append(words, fields...)
	return some(words, 5)
}

func nodeCount(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// notices are other things to know of the rollout, a sentence each.
func (f *forecast) notices() []string {
	var out []string
	if len(f.Won) > 0 {
		out = append(out, fmt.Sprintf("wins %s: %s", nodeCount(len(f.Won)), some(f.Won, 8)))
	}
	if len(f.Lost) > 0 {
		out = append(out, fmt.Sprintf("loses %s: %s", nodeCount(len(f.Lost)), some(f.Lost, 8)))
	}
	if len(f.After) > 0 {
		out = append(out, fmt.Sprintf("on each node after %s, healthy there at the version declared now", strings.Join(f.After, ", ")))
	}
	return out
}

// pinnedCopy is whether an object is an immutable copy that a DaemonSet reads:
// what it holds is said of the object that it was made of.
func pinnedCopy(c diff.Change) bool {
	immutable, _ := c.After["immutable"].(bool)
	metadata, _ := c.After["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	return immutable && labels[v1alpha1.LabelPinnedFrom] != nil
}
