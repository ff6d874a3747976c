package diff_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// dropping is the input of a GitSync that keeps so many objects and took so many out.
func dropping(t *testing.T, keeps, drops int) diff.Input {
	t.Helper()
	in := diff.Input{Owner: owner, Prune: true, Previous: &v1alpha1.Inventory{}}
	for i := range keeps {
		o := settings(t, with(fmt.Sprintf("kept-%d", i), "metadata", "name"), live)
		in.Objects = append(in.Objects, diff.Object{Declared: o, Live: o, Merged: o})
	}
	for i := range drops {
		drop(t, &in, fmt.Sprintf("gone-%d", i))
	}
	return in
}

// drop adds an object that Git has taken out.
func drop(t *testing.T, in *diff.Input, name string) {
	t.Helper()
	o := settings(t, with(name, "metadata", "name"), live)
	in.Previous.Entries = append(in.Previous.Entries, v1alpha1.InventoryEntry{ID: diff.IDOf(o).Entry(), Version: "v1"})
	in.Former = append(in.Former, diff.Former{ID: diff.IDOf(o), Live: o})
}

func TestPruneLimit(t *testing.T) {
	t.Parallel()
	quarter, half, none, five := intstr.FromString("25%"), intstr.FromString("50%"), intstr.FromInt32(0), intstr.FromInt32(5)
	wrong := intstr.FromString("many")
	for name, c := range map[string]struct {
		keeps, drops int
		limit        *intstr.IntOrString
		change       func(*diff.Input)
		// held is how many objects the limit keeps; all others that were dropped go.
		held int
	}{
		"without a limit everything goes":                  {1, 30, nil, nil, 0},
		"a share below the limit goes":                     {30, 10, &quarter, nil, 0},
		"one object more is held, with all others":         {29, 11, &quarter, nil, 11},
		"a percentage is rounded up":                       {34, 12, &quarter, nil, 0},
		"of a small inventory three may always go":         {1, 3, &quarter, nil, 0},
		"but not four":                                     {1, 4, &quarter, nil, 4},
		"another percentage":                               {20, 20, &half, nil, 0},
		"a count is a count":                               {5, 5, &five, nil, 0},
		"above it everything is held":                      {500, 6, &five, nil, 6},
		"with none every deletion is asked for":            {500, 1, &none, nil, 1},
		"what cannot be read as a limit holds":             {500, 1, &wrong, nil, 1},
		"an approved commit may":                           {1, 30, &quarter, func(in *diff.Input) { in.Approved = true }, 0},
		"a GitSync that is deleted takes everything along": {0, 30, &quarter, func(in *diff.Input) { in.Retired = true }, 0},
		"what is gone already does not count":              {10, 5, &quarter, func(in *diff.Input) { in.Former[0].Live, in.Former[1].Live = nil, nil }, 0},
		"what another GitSync owns does not count":         {10, 5, &quarter, func(in *diff.Input) { ownedBy("agents.other")(in.Former[0].Live); ownedBy("")(in.Former[1].Live) }, 0},
		"what goes over to another GitSync does not count": {10, 5, &quarter, func(in *diff.Input) {
			declaredElsewhere(in)
			in.Heirs = append(in.Heirs, diff.Heir{ID: in.Former[1].ID})
		}, 0},
		"what is protected does not count": {10, 5, &quarter, func(in *diff.Input) {
			in.Former[0].Live.SetAnnotations(map[string]string{v1alpha1.AnnotationPrune: "disabled"})
		}, 0},
		"what is read still counts, so that the rest is held": {10, 5, &quarter, func(in *diff.Input) {
			in.InUse = []diff.Reference{{Kind: "ConfigMap", Namespace: "agents", Name: "gone-0"}}
		}, 5},
		"what waits for a proof is held at once":            {10, 5, &quarter, func(in *diff.Input) { in.Unproven = true }, 5},
		"while something may go elsewhere nobody is asked":  {10, 5, &quarter, func(in *diff.Input) { in.Awaited = []diff.Awaited{{Owner: "agents.other"}} }, 0},
		"while something cannot be applied nobody is asked": {10, 5, &quarter, func(in *diff.Input) { in.Objects[0].Problem = &diff.Problem{Reason: "Invalid"} }, 0},
		"older copies of declared config do not count": {10, 3, &none, func(in *diff.Input) {
			for i, name := range []string{"kept-1-0123456789", "kept-2-bcdfghkmt2", "kept-2-fghkmt2456"} {
				in.Former[i].ID.Name = name
				in.Former[i].Live.SetName(name)
				in.Previous.Entries[i].ID = in.Former[i].ID.Entry()
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := dropping(t, c.keeps, c.drops)
			in.PruneLimit = c.limit
			if c.change != nil {
				c.change(&in)
			}
			held := 0
			for _, k := range diff.Calculate(in).Of(diff.Keep) {
				if k.Reason == diff.ReasonPruneLimitExceeded {
					held++
				}
			}
			if held != c.held {
				t.Errorf("%d objects are held by the limit, want %d", held, c.held)
			}
		})
	}
}

// TestPruneLimitStays guards against a hold that ends by itself as the objects go one by one or the inventory grows.
func TestPruneLimitStays(t *testing.T) {
	t.Parallel()
	in, quarter := dropping(t, 10, 4), intstr.FromString("25%")
	in.PruneLimit = &quarter
	before := diff.Calculate(in)
	for _, o := range in.Objects { // as the second pass of a commit has it
		in.Previous.Entries = append(in.Previous.Entries, v1alpha1.InventoryEntry{ID: diff.IDOf(o.Declared).Entry(), Version: "v1"})
	}
	if after := diff.Calculate(in); len(after.Of(diff.Delete)) != len(before.Of(diff.Delete)) {
		t.Errorf("%d objects go with the inventory of before and %d with that of after", len(before.Of(diff.Delete)), len(after.Of(diff.Delete)))
	}
}

func TestPruneLimitSaysHowMuch(t *testing.T) {
	t.Parallel()
	in, quarter := dropping(t, 9, 11), intstr.FromString("25%")
	in.PruneLimit = &quarter
	for _, c := range diff.Calculate(in).Of(diff.Keep) {
		for _, want := range []string{"11 of 20 objects", "lets 5 go (25%)", "approve the commit"} {
			if !strings.Contains(c.Message, want) {
				t.Errorf("%s: the message is %q, want %q in it", c.ID, c.Message, want)
			}
		}
	}
}
