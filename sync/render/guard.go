package render

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// guard bounds what the documents of one file may expand to. It walks them as a reader would that copies
// each alias, and stops at the limit: its own cost is bounded by the same number.
type guard struct {
	file   string
	limits Limits
	hint   string
	nodes  int
	// aliases are those that were met, each once.
	aliases map[*yaml.Node]bool
}

func (g *guard) check(n *yaml.Node, depth int) error {
	g.nodes++
	if g.nodes > g.limits.Nodes {
		return g.exceeded(n, "Nodes", g.limits.Nodes, g.nodes, "aliases count as often as they are used")
	}
	if depth > g.limits.Nesting {
		return g.exceeded(n, "Nesting", g.limits.Nesting, depth, "an alias inside its own anchor never ends")
	}
	if n.Kind == yaml.AliasNode {
		if g.aliases == nil {
			g.aliases = map[*yaml.Node]bool{}
		}
		if g.aliases[n] = true; len(g.aliases) > g.limits.Aliases {
			return g.exceeded(n, "Aliases", g.limits.Aliases, len(g.aliases), "each *name counts")
		}
		return g.check(n.Alias, depth+1)
	}
	for _, child := range n.Content {
		if err := g.check(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) exceeded(n *yaml.Node, limit string, allowed, value int, note string) *Error {
	return &Error{Reason: LimitExceeded, File: g.file, Line: n.Line, Message: fmt.Sprintf(
		"%s is limited to %d and this file has %d or more (%s): make it smaller, or raise %s", inWords(limit), allowed, value, note, flagOf(limit))}
}
