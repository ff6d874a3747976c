package sync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	gosync "sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// others is what the GitSyncs know of each other: what each of them declares, at
// the commit that it has read last. It is this process's knowledge: a new one asks
// every GitSync's repository first, and meanwhile deletes nothing that might have
// moved. The zero value is ready.
type others struct {
	mu    gosync.Mutex
	known map[types.NamespacedName]*declares
}

// declares is what one GitSync declares, and what it would like to know of the
// others.
type declares struct {
	from rendered
	ids  map[diff.ID]bool
	// undeclared are the objects of its inventory that it declares no more, and
	// awaits the GitSyncs that may declare them.
	undeclared []diff.ID
	awaits     []types.NamespacedName
	// wanted is the commit for which somebody awaits it, and asked whether it has
	// been polled for that.
	wanted string
	asked  bool
}

// of needs the lock.
func (o *others) of(key types.NamespacedName) *declares {
	if o.known == nil {
		o.known = map[types.NamespacedName]*declares{}
	}
	if o.known[key] == nil {
		o.known[key] = &declares{}
	}
	return o.known[key]
}

// note remembers what a GitSync declares now. It returns whom that concerns: who
// awaits it, and who still has something of it.
func (o *others) note(key types.NamespacedName, from rendered, declared *render.Declared) []types.NamespacedName {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.of(key)
	d.from, d.ids = from, map[diff.ID]bool{}
	add := func(object render.Object) {
		id := diff.IDOf(object.Unstructured)
		d.ids[id] = true
		id.Namespace = cmp.Or(id.Namespace, key.Namespace) // if its kind has one
		d.ids[id] = true
	}
	for _, object := range declared.Objects {
		add(object)
	}
	for _, ds := range declared.DaemonSets {
		add(ds.Object)
	}
	return o.concerned(key, func(other *declares) bool {
		return slices.ContainsFunc(other.undeclared, func(id diff.ID) bool { return d.ids[id] })
	})
}

// forget drops a GitSync that is gone. It returns who awaits it.
func (o *others) forget(key types.NamespacedName) []types.NamespacedName {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, key)
	return o.concerned(key, func(*declares) bool { return false })
}

// awaiting is who awaits a GitSync.
func (o *others) awaiting(key types.NamespacedName) []types.NamespacedName {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.concerned(key, func(*declares) bool { return false })
}

// concerned needs the lock.
func (o *others) concerned(key types.NamespacedName, also func(*declares) bool) []types.NamespacedName {
	var out []types.NamespacedName
	for other, d := range o.known {
		if other != key && (slices.Contains(d.awaits, key) || also(d)) {
			out = append(out, other)
		}
	}
	slices.SortFunc(out, compareNames)
	return out
}

// asked is whether to ask Git for a GitSync before it is time, since another one
// awaits it. It is so once for each commit.
func (o *others) asked(key types.NamespacedName) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.of(key)
	ask := d.wanted != "" && !d.asked
	d.asked = true
	return ask
}

// heirs says which of the former objects of a GitSync at a commit other GitSyncs
// declare, and which of those must be awaited, since they follow the same and have
// not come as far. All are the GitSyncs that exist.
func (o *others) heirs(gs *v1alpha1.GitSync, commit string, former []diff.Former, all []v1alpha1.GitSync) (heirs []diff.Heir, awaited []diff.Awaited) {
	o.mu.Lock()
	defer o.mu.Unlock()
	me := o.of(name(gs))
	me.undeclared, me.awaits = nil, nil
	for _, f := range former {
		me.undeclared = append(me.undeclared, f.ID)
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b v1alpha1.GitSync) int { return compareNames(name(&a), name(&b)) })
	for i := range all {
		other := &all[i]
		if name(other) == name(gs) || other.DeletionTimestamp != nil {
			continue
		}
		d, place := o.of(name(other)), placeOf(other)
		if !other.Spec.Suspend && sameRef(placeOf(gs), place) && d.behind(gs, place, commit) {
			awaited = append(awaited, diff.Awaited{Owner: apply.Owner(name(other)), Commit: d.has(place)})
			me.awaits = append(me.awaits, name(other))
			continue
		}
		for _, f := range former {
			if d.declare(other, f.ID) && !slices.ContainsFunc(heirs, func(h diff.Heir) bool { return h.ID == f.ID }) {
				heirs = append(heirs, diff.Heir{ID: f.ID, Owner: apply.Owner(name(other))})
			}
		}
	}
	slices.SortFunc(awaited, func(a, b diff.Awaited) int { return cmp.Compare(a.Owner, b.Owner) })
	return heirs, awaited
}

// ask returns whom of those that a GitSync awaits to make a pass of, so that they
// read the commit: each once for a commit.
func (o *others) ask(key types.NamespacedName, commit string) []types.NamespacedName {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []types.NamespacedName
	for _, awaited := range o.of(key).awaits {
		if o.of(awaited).want(commit) {
			out = append(out, awaited)
		}
	}
	return out
}

// want is whether to make a pass of a GitSync so that it reads the commit: once for
// each.
func (o *others) want(key types.NamespacedName, commit string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of(key).want(commit)
}

func (d *declares) want(commit string) bool {
	if d.wanted == commit {
		return false
	}
	d.wanted, d.asked = commit, false
	return true
}

// behind is whether a GitSync has not come as far as another one, at a commit. One
// that is being deleted goes by what the others declare now, once they are known.
func (d *declares) behind(gs *v1alpha1.GitSync, place rendered, commit string) bool {
	if gs.DeletionTimestamp != nil {
		return d.has(place) == ""
	}
	return d.from.place() != place || d.from.commit != commit
}

// has is the commit that the GitSync has read last of a place; empty for none.
func (d *declares) has(place rendered) string {
	if d.from.place() != place {
		return ""
	}
	return d.from.commit
}

// declare is whether a GitSync declares an object. Of one that this process has
// not read, as one that is suspended, its status says which DaemonSets it did.
func (d *declares) declare(gs *v1alpha1.GitSync, id diff.ID) bool {
	if d.has(placeOf(gs)) != "" {
		return d.ids[id]
	}
	return slices.ContainsFunc(gs.Status.Rollouts, func(r v1alpha1.RolloutSummary) bool {
		return id == diff.ID{Namespace: r.Namespace, Name: r.Name, Group: "apps", Kind: "DaemonSet"}
	})
}

// sameRef is whether two places are of one repository and ref, as far as their
// names tell.
func sameRef(a, b rendered) bool {
	plain := func(url string) string { return strings.TrimSuffix(strings.TrimSuffix(url, "/"), ".git") }
	return plain(a.url) == plain(b.url) && a.ref == b.ref
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Heirs foretells what a GitSync hands over to which others, and which of those it
// awaits, when all that follow the same repository and ref read one commit. Read
// is what that declares for one of them.
func Heirs(gs *v1alpha1.GitSync, former []diff.Former, all []v1alpha1.GitSync, read func(*v1alpha1.GitSync) (*render.Declared, error)) ([]diff.Heir, []diff.Awaited) {
	const commit = "foretold"
	var o others
	for i := range all {
		if !sameRef(placeOf(gs), placeOf(&all[i])) || name(&all[i]) == name(gs) {
			continue
		}
		if declared, err := read(&all[i]); err == nil { // one that cannot be rendered is awaited
			o.note(name(&all[i]), placeOf(&all[i]).at(commit), declared)
		}
	}
	return o.heirs(gs, commit, former, all)
}

// HandsOver foretells which objects other GitSyncs hand over to one, when all that follow the same repository and ref read
// one commit: those that they declare no more. Read is what that declares for one of them.
func HandsOver(gs *v1alpha1.GitSync, all []v1alpha1.GitSync, read func(*v1alpha1.GitSync) (*render.Declared, error)) func(owner string, id diff.ID) bool {
	var o others
	readers := map[string]*declares{}
	for i := range all {
		other := &all[i]
		if !sameRef(placeOf(gs), placeOf(other)) || name(other) == name(gs) || other.Spec.Suspend || other.DeletionTimestamp != nil {
			continue
		}
		if declared, err := read(other); err == nil { // one that cannot be rendered keeps what it has
			o.note(name(other), placeOf(other), declared)
			readers[apply.Owner(name(other))] = o.known[name(other)]
		}
	}
	return func(owner string, id diff.ID) bool {
		d, known := readers[owner]
		return known && !d.ids[id]
	}
}

// inherit learns what other GitSyncs declare of what this one declares no more,
// and hands that over to them. What is left is planned anew.
func (c *Controller) inherit(ctx context.Context, gs *v1alpha1.GitSync, commit string, s observed) (observed, error) {
	var all []v1alpha1.GitSync
	if len(s.input.Former) > 0 {
		list, err := c.Kinds.GitSyncs(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return s, fmt.Errorf("list gitsyncs: %w", err)
		}
		all = list.Items
	}
	s.input.Heirs, s.input.Awaited = c.others.heirs(gs, commit, s.input.Former, all)
	var released apply.Results
	s.input, released = c.Rollouts.Release(ctx, s.set.As, s.input)
	s.plan = diff.Calculate(s.input)
	if slices.ContainsFunc(s.plan.Of(diff.Keep), waits) {
		c.passSoon(c.others.ask(name(gs), commit)...)
	}
	for _, r := range released.Of(apply.Released) {
		heir := s.input.Heirs[slices.IndexFunc(s.input.Heirs, func(h diff.Heir) bool { return h.ID == r.ID })]
		if i := slices.IndexFunc(all, func(other v1alpha1.GitSync) bool { return apply.Owner(name(&other)) == heir.Owner }); i >= 0 {
			c.passSoon(name(&all[i]))
		}
	}
	return s, joined(released.Errors())
}

// waits is whether an object would go, or go over to another GitSync, once
// something else is done.
func waits(c diff.Change) bool {
	return slices.Contains([]string{diff.ReasonAwaitingApply, diff.ReasonAwaitingProof, diff.ReasonAwaitingOthers}, c.Reason)
}
