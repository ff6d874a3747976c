package main

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// betweenTrees is how what a tree declares differs from what another one does. No cluster is asked: nothing is defaulted, and
// nodes are not known.
func betweenTrees(before, after *render.Declared) *planned {
	in := diff.Input{Prune: true, Previous: &v1alpha1.Inventory{}}
	old := map[diff.ID]*unstructured.Unstructured{}
	for _, o := range plainObjects(before) {
		id := diff.IDOf(o.Unstructured)
		old[id] = o.Unstructured
		in.Previous.Entries = append(in.Previous.Entries, v1alpha1.InventoryEntry{ID: id.Entry()})
		in.Former = append(in.Former, diff.Former{ID: id, Live: o.Unstructured})
	}
	for _, o := range plainObjects(after) {
		object := diff.Object{Declared: o.Unstructured, Source: o.Source}
		if was := old[diff.IDOf(o.Unstructured)]; was != nil {
			object.Live, object.Merged = was, o.Unstructured
		}
		in.Objects = append(in.Objects, object)
	}
	out := &planned{offline: true, findings: after.Findings}
	for _, ds := range rolled(after) {
		in.DaemonSets = append(in.DaemonSets, diff.IDOf(ds.Unstructured))
		out.rollouts = append(out.rollouts, betweenDaemonSets(rolled(before), ds))
	}
	for _, ds := range rolled(before) {
		id := diff.IDOf(ds.Unstructured)
		in.Previous.Entries = append(in.Previous.Entries, v1alpha1.InventoryEntry{ID: id.Entry()})
		in.Former = append(in.Former, diff.Former{ID: id, Live: ds.Unstructured})
	}
	out.objects = diff.Calculate(in)
	for i := range out.rollouts {
		out.rollouts[i].Causes = causes(&out.rollouts[i], out.objects)
	}
	return out
}

// betweenDaemonSets is what becomes of a DaemonSet.
func betweenDaemonSets(before []render.DaemonSet, ds render.DaemonSet) forecast {
	out := forecast{Namespace: ds.GetNamespace(), Name: ds.GetName(), Source: ds.Source, Digest: ds.Digest, Verdict: willInstall, pins: ds.Pins}
	object := diff.Object{Declared: ds.Pinned, Source: ds.Source}
	at := slices.IndexFunc(before, func(other render.DaemonSet) bool { return keyOf(other) == keyOf(ds) })
	if at >= 0 {
		object.Live, object.Merged = before[at].Pinned, ds.Pinned
		if out.Proven, out.Verdict = before[at].Digest, willRoll; out.Proven == out.Digest {
			out.Verdict = willStay
		}
	}
	out.change = diff.Calculate(diff.Input{Objects: []diff.Object{object}}).Changes[0]
	out.Fields = out.change.Fields
	return out
}

// plainObjects are all but the DaemonSets that rollouts move.
func plainObjects(d *render.Declared) []render.Object {
	out := slices.Clone(d.Objects)
	for _, ds := range d.DaemonSets {
		if isNative(ds) {
			out = append(out, ds.Object)
		}
	}
	return out
}

// rolled are the DaemonSets that rollouts move.
func rolled(d *render.Declared) []render.DaemonSet {
	return slices.DeleteFunc(slices.Clone(d.DaemonSets), isNative)
}
