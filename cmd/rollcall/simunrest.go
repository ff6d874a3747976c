package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/rollcall-dev/rollcall/apply/rollout/sim"
	"github.com/rollcall-dev/rollcall/health"
)

// unrest is what goes on in a fleet beside the rollout. A nil one is none.
type unrest struct {
	// churn is how many nodes an hour are replaced by new ones, evict how many pods
	// are evicted.
	churn, evict int
	chance       *rand.Rand
	names        []string
	// groups are those of the node that a new one takes the place of.
	groups map[string]string
	// leave is when a node that was announced to go does.
	leave                        int
	leaving                      string
	nextChurn, nextEvict, joined int
}

// notice is for how long a node is announced to go.
const notice = 30

func newUnrest(churn, evict int, fleet []health.Node, chance *rand.Rand) *unrest {
	if churn+evict == 0 {
		return nil
	}
	u := &unrest{churn: churn, evict: evict, chance: chance, groups: map[string]string{}, leave: sim.Never, nextChurn: every(churn, 0), nextEvict: every(evict, 0)}
	for _, n := range fleet {
		u.names = append(u.names, n.Name)
		u.groups[n.Name] = cmp.Or(strings.Join(n.Groups, ","), "-")
	}
	return u
}

// every is when it happens next that does so many times an hour.
func every(anHour, now int) int {
	if anHour == 0 {
		return sim.Never
	}
	return now + max(1, 3600/anHour)
}

func (u *unrest) next() int {
	if u == nil {
		return sim.Never
	}
	return min(u.nextChurn, u.nextEvict, u.leave)
}

// happen lets happen what is due.
func (u *unrest) happen(c *sim.Cluster) error {
	if u == nil {
		return nil
	}
	var commands []string
	if c.Now() >= u.leave {
		u.joined++
		name := fmt.Sprintf("%s-new-%d", strings.SplitN(u.leaving, "-new-", 2)[0], u.joined)
		commands = append(commands, "leave "+u.leaving, "join "+name+" "+u.groups[u.leaving])
		u.groups[name] = u.groups[u.leaving]
		u.names, u.leave = append(u.names, name), sim.Never
	}
	if c.Now() >= u.nextChurn && u.leave == sim.Never && len(u.names) > 0 {
		i := u.chance.IntN(len(u.names))
		u.leaving, u.leave = u.names[i], c.Now()+notice
		u.names[i] = u.names[len(u.names)-1]
		u.names, u.nextChurn = u.names[:len(u.names)-1], every(u.churn, c.Now())
		commands = append(commands, "announce "+u.leaving)
	}
	if c.Now() >= u.nextEvict && len(u.names) > 0 {
		u.nextEvict = every(u.evict, c.Now())
		commands = append(commands, "evict "+u.names[u.chance.IntN(len(u.names))])
	}
	for _, command := range commands {
		if err := c.Do(command); err != nil {
			return err
		}
	}
	return nil
}
