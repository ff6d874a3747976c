package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// screen is everything that status shows. Rendering it reads nothing else.
type screen struct {
	now      time.Time
	syncs    []v1alpha1.GitSync
	rollouts []rolloutView
	natives  []nativeView
	// empty says where was looked when there is nothing to show.
	empty string
	// stale is why the cluster could not be read again; empty when it could.
	stale string
}

// rolloutView is one rollout with its nodes.
type rolloutView struct {
	rollout v1alpha1.NodeRollout
	// detailed rollouts are drawn with their nodes, the others on one line.
	detailed bool
	// fleet are the nodes; each agent's digest is the proven one, the
	// candidate's, or empty for any other version.
	fleet []health.Node
	// zones are the nodes' zones, by node name.
	zones map[string]string
	// blind is why there is no fleet; empty when there is.
	blind string
}

// mark is the symbol that an object begins with, in its ink.
type mark struct {
	symbol string
	ink    ink
}

// page is a screen being rendered.
type page struct {
	style
	strings.Builder
	now time.Time
}

func (s screen) render(st style) string {
	p := &page{style: st, now: s.now}
	if s.stale != "" {
		p.paragraph(red, "", "the cluster cannot be read, this is what was seen last: "+s.stale)
		p.WriteByte('\n')
	}
	if len(s.syncs)+len(s.rollouts) == 0 {
		p.paragraph(plain, "", s.empty)
	}
	for i := range s.syncs {
		p.gitSync(&s.syncs[i])
	}
	if len(s.syncs) > 0 && len(s.rollouts)+len(s.natives) > 0 {
		p.WriteByte('\n')
	}
	p.daemonSets(s)
	return p.String()
}

// daemonSets shows the rollouts, with an empty line around what has details, and
// then what is left to Kubernetes.
func (p *page) daemonSets(s screen) {
	apart := false
	for i := range s.rollouts {
		if i > 0 && (apart || s.rollouts[i].detailed) {
			p.WriteByte('\n')
		}
		p.rollout(&s.rollouts[i])
		apart = s.rollouts[i].detailed
	}
	if apart && len(s.natives) > 0 {
		p.WriteByte('\n')
	}
	for i := range s.natives {
		p.native(&s.natives[i])
	}
}

// indent is how far what belongs to an object is moved to the right.
const indent = "  "

// headline names an object on the left and its state on the right, which has half
// of the line, and more where the name leaves it.
func (p *page) headline(m mark, kind, name, state string) {
	state = truncate(clean(state), max(p.width/2, p.width-3-cells(kind+" "+clean(name))))
	room := p.width - cells(state) - 1
	head := truncate(kind+" "+clean(name), room-2)
	left := p.paint(m.ink, m.symbol) + " " + p.paint(bold, head)
	fill := strings.Repeat(" ", max(1, p.width-2-cells(head)-cells(state)))
	p.WriteString(left + fill + p.paint(m.ink, state) + "\n")
}

// paragraph is wrapped text.
func (p *page) paragraph(i ink, indent, text string) {
	for _, line := range wrap(clean(text), p.width-cells(indent)) {
		p.WriteString(indent + p.paint(i, line) + "\n")
	}
}

// gitSync shows which commit Git has, which is applied and which is proven.
func (p *page) gitSync(gs *v1alpha1.GitSync) {
	ready := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready")
	state := "not looked at yet"
	if ready != nil {
		state = ready.Reason + " · " + since(ready.LastTransitionTime.Time, p.now)
		if ready.Status == metav1.ConditionTrue {
			state = "Ready · " + since(ready.LastTransitionTime.Time, p.now)
		}
	}
	if gs.Spec.Suspend {
		state = "suspended"
	}
	p.headline(syncMark(gs, ready), "GitSync", gs.Namespace+"/"+gs.Name, state)
	fetched, inGit := "", ""
	if f := gs.Status.Fetched; f != nil {
		fetched = f.Commit
		inGit = p.about(f)
	}
	p.commit("in Git", fetched, fetched, inGit)
	p.commit("applied", gs.Status.Applied, fetched, "")
	p.commit("proven", gs.Status.Proven, fetched, "")
	if ready != nil && ready.Status != metav1.ConditionTrue {
		p.paragraph(plain, indent, ready.Message)
	}
}

// about is the commit's subject, with when and by whom it was made.
func (p *page) about(c *v1alpha1.Commit) string {
	var made []string
	if !c.Time.IsZero() {
		made = append(made, since(c.Time.Time, p.now)+" ago")
	}
	if author, _, _ := strings.Cut(clean(c.Author), " <"); author != "" {
		made = append(made, author)
	}
	if len(made) == 0 {
		return clean(c.Subject)
	}
	return clean(c.Subject) + " (" + strings.Join(made, ", ") + ")"
}

// commit is one line about a commit: dim once it is the one in Git.
func (p *page) commit(label, hash, inGit, about string) {
	if hash == "" {
		p.WriteString(indent + p.paint(dim, pad(label, 9)) + "none yet\n")
		return
	}
	i := yellow
	if hash == inGit {
		i = green
	}
	line := indent + p.paint(dim, pad(label, 9)) + p.paint(i, shortHash(hash))
	if room := p.width - len(indent) - 9 - 8 - 2; about != "" {
		line += indent + truncate(about, room)
	}
	p.WriteString(line + "\n")
}

func syncMark(gs *v1alpha1.GitSync, ready *metav1.Condition) mark {
	switch {
	case gs.Spec.Suspend || ready == nil:
		return mark{"…", dim}
	case ready.Status == metav1.ConditionTrue:
		return mark{"✓", green}
	case ready.Reason == sync.ReasonRolling:
		return mark{"▶", cyan}
	case apimeta.IsStatusConditionTrue(gs.Status.Conditions, "Stalled"):
		return mark{"✗", red}
	default:
		return mark{"!", yellow}
	}
}

// rollout shows one DaemonSet.
func (p *page) rollout(v *rolloutView) {
	n := &v.rollout
	state := "not looked at yet"
	if s := n.Status; s.Phase != "" || s.Reason != "" {
		state = strings.TrimSpace(strings.Join(slices.Compact([]string{string(s.Phase), s.Reason}), " ")) + " · " + since(s.Since.Time, p.now)
	}
	if c := n.Status.Nodes; !v.detailed {
		state = fmt.Sprintf("%d of %d nodes · %s", c.Present, c.Eligible, state)
	}
	p.headline(rolloutMark(n), "DaemonSet", n.Namespace+"/"+n.Name, state)
	if !v.detailed {
		return
	}
	p.paragraph(plain, indent, n.Status.Message)
	if n.Spec.Paused && n.Status.Phase != v1alpha1.PhaseHeld {
		p.paragraph(yellow, indent, "paused: the controller has not answered yet, or something else holds it first")
	}
	p.versions(n)
	p.progress(n)
	p.grid(v)
	p.failing(n)
}

func rolloutMark(n *v1alpha1.NodeRollout) mark {
	if s := n.Status; s.Reason == apply.ReasonStepFailed || s.Phase == "" && s.Reason != "" { // or it cannot begin
		return mark{"!", yellow}
	}
	switch n.Status.Phase {
	case v1alpha1.PhaseProven:
		if n.Status.Nodes.Absent > 0 {
			return mark{"!", yellow}
		}
		return mark{"✓", green}
	case v1alpha1.PhaseReplacing, v1alpha1.PhaseSoaking:
		return mark{"▶", cyan}
	case v1alpha1.PhaseReturning:
		return mark{"◀", yellow}
	case v1alpha1.PhaseRejected:
		return mark{"✗", red}
	case v1alpha1.PhaseHeld:
		return mark{"!", yellow}
	case v1alpha1.PhaseWaiting:
		return mark{"…", yellow}
	default:
		return mark{"…", dim}
	}
}

// versions names what runs and what is on its way.
func (p *page) versions(n *v1alpha1.NodeRollout) {
	var parts []string
	if v := n.Status.Proven; v != nil {
		parts = append(parts, p.paint(dim, "proven ")+namedVersion(v))
	}
	if v := n.Status.Candidate; v != nil {
		word := "candidate "
		if rejection(n, v.Digest) != nil {
			word = "rejected "
		}
		parts = append(parts, p.paint(dim, word)+namedVersion(v))
	}
	if len(parts) > 0 {
		p.WriteString(indent + strings.Join(parts, p.paint(dim, "  →  ")) + "\n")
	}
}

// failing lists what is wrong by node. Where the messages would be squeezed
// beside the other columns they get lines of their own.
func (p *page) failing(n *v1alpha1.NodeRollout) {
	const gap, age, roomy = "  ", 5, 24
	rows := n.Status.Failing
	if len(rows) == 0 {
		return
	}
	node, reason := cells("NODE"), cells("REASON")
	for _, r := range rows {
		node, reason = max(node, cells(clean(r.Node))), max(reason, cells(clean(r.Reason)))
	}
	node, reason = min(node, p.width/2), min(reason, p.width/4)
	row := func(a, b, c string) string {
		return pad(truncate(clean(a), node), node) + gap + pad(truncate(clean(b), reason), reason) + gap + pad(c, age)
	}
	before := indent + strings.Repeat(" ", cells(row("", "", ""))+len(gap))
	beside := p.width-len(before) >= roomy
	head := row("NODE", "REASON", "SINCE")
	if beside {
		head += gap + "MESSAGE"
	} else {
		before = indent + indent
	}
	p.WriteString("\n" + indent + p.paint(dim, head) + "\n")
	for _, r := range rows {
		line, rest := indent+row(r.Node, r.Reason, since(r.Since.Time, p.now)), wrap(clean(r.Message), p.width-len(before))
		if beside && len(rest) > 0 {
			line, rest = line+gap+rest[0], rest[1:]
		}
		p.WriteString(strings.TrimRight(line, " ") + "\n")
		for _, text := range rest {
			p.WriteString(before + text + "\n")
		}
	}
	if len(rows) == maxFailing {
		p.paragraph(dim, indent, fmt.Sprintf("no more than %d nodes are listed", maxFailing))
	}
}

// maxFailing is how many nodes the API lists.
const maxFailing = 20
