package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// faultShare is how many nodes have which fault with the new version.
type faultShare struct {
	// percent of the nodes, or a count of them where it is 0.
	percent float64
	count   int
	kind    string
}

// parseFault reads 2%:flaky or 3:bad.
func parseFault(text string) (faultShare, error) {
	how, kind, found := strings.Cut(text, ":")
	wrong := fmt.Errorf("--fault %q: write a share or a count of nodes and what happens there, such as 2%%:flaky or 3:bad", text)
	if !found {
		return faultShare{}, wrong
	}
	out := faultShare{kind: kind}
	if !slices.Contains(sim.Faults(), kind) {
		return faultShare{}, fmt.Errorf("--fault %q: %q is no fault; there are %s", text, kind, strings.Join(sim.Faults(), ", "))
	}
	var err error
	if percent, is := strings.CutSuffix(how, "%"); is {
		out.percent, err = strconv.ParseFloat(percent, 64)
		if err != nil || !(out.percent > 0 && out.percent <= 100) {
			return faultShare{}, wrong
		}
		return out, nil
	}
	if out.count, err = strconv.Atoi(how); err != nil || out.count < 1 {
		return faultShare{}, wrong
	}
	return out, nil
}

// of is the count among so many nodes: of a percentage the nearest, at least 1.
func (f faultShare) of(nodes int) int {
	if f.percent == 0 {
		return f.count
	}
	return max(1, int(math.Round(f.percent*float64(nodes)/100)))
}

func (f faultShare) String() string {
	if f.percent == 0 {
		return fmt.Sprintf("%d:%s", f.count, f.kind)
	}
	return strconv.FormatFloat(f.percent, 'f', -1, 64) + "%:" + f.kind
}

// dealFaults chooses the nodes by chance, each for one fault.
func dealFaults(shares []faultShare, fleet []health.Node, chance *rand.Rand) (map[string]string, error) {
	left := chance.Perm(len(fleet))
	out := map[string]string{}
	for _, f := range shares {
		n := f.of(len(fleet))
		if n > len(left) {
			return nil, fmt.Errorf("--fault %s: that is %d nodes, and %d of %d have no fault yet: every node has one at most", f, n, len(left), len(fleet))
		}
		for _, i := range left[:n] {
			out[fleet[i].Name] = f.kind
		}
		left = left[n:]
	}
	return out, nil
}
