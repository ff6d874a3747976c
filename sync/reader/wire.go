package reader

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// answer is what the child writes last: what the commit declares, that it declares the same as before, or an error.
type answer struct {
	Unchanged bool      `json:",omitempty"`
	Declared  *declared `json:",omitempty"`
	Reads     git.Reads `json:",omitempty"`
	Spent     Spent
	Error     *failure `json:",omitempty"`
}

// declared is a render.Declared. What of it is no object travels by its own JSON, whatever fields it has.
type declared struct {
	Rest       render.Declared
	Objects    []declaredObject
	DaemonSets []declaredDaemonSet
}

// declaredObject is a render.Object, which is an Unstructured to encoding/json and would lose its other fields.
type declaredObject struct {
	Object object
	Source string
}

// declaredDaemonSet is a render.DaemonSet.
type declaredDaemonSet struct {
	declaredObject
	Pinned object
	Digest string
	Config []render.Reference
	Pins   []render.Reference
}

func newDeclared(d *render.Declared) *declared {
	out := &declared{Rest: *d}
	out.Rest.Objects, out.Rest.DaemonSets = nil, nil
	for _, o := range d.Objects {
		out.Objects = append(out.Objects, newDeclaredObject(o))
	}
	for _, ds := range d.DaemonSets {
		out.DaemonSets = append(out.DaemonSets, declaredDaemonSet{
			declaredObject: newDeclaredObject(ds.Object), Pinned: ds.Pinned.Object, Digest: ds.Digest, Config: ds.Config, Pins: ds.Pins,
		})
	}
	return out
}

func newDeclaredObject(o render.Object) declaredObject {
	return declaredObject{Object: o.Object, Source: o.Source}
}

// declared is what was encoded; an object without content is an error.
func (d *declared) declared() (*render.Declared, error) {
	out := d.Rest
	out.Objects, out.DaemonSets = nil, nil
	for _, o := range d.Objects {
		decoded, err := o.object()
		if err != nil {
			return nil, err
		}
		out.Objects = append(out.Objects, decoded)
	}
	for _, ds := range d.DaemonSets {
		decoded, err := ds.object()
		if err != nil {
			return nil, err
		}
		if ds.Pinned == nil {
			return nil, fmt.Errorf("decode DaemonSet of %s: it has no pinned form", ds.Source)
		}
		out.DaemonSets = append(out.DaemonSets, render.DaemonSet{
			Object: decoded, Pinned: &unstructured.Unstructured{Object: ds.Pinned}, Digest: ds.Digest, Config: ds.Config, Pins: ds.Pins,
		})
	}
	return &out, nil
}

func (o declaredObject) object() (render.Object, error) {
	if o.Object == nil {
		return render.Object{}, fmt.Errorf("decode object of %s: it is empty", o.Source)
	}
	return render.Object{Unstructured: &unstructured.Unstructured{Object: o.Object}, Source: o.Source}, nil
}

// encode writes an answer; what is above the limits becomes the error that says so.
func (a answer) encode(l Limits) ([]byte, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	if over := l.exceeded(text); over != nil {
		return json.Marshal(answer{Spent: a.Spent, Error: newFailure(over)})
	}
	return text, nil
}

// exceeded is the error of an answer that is too large; nil when it is not.
func (l Limits) exceeded(text []byte) *Error {
	cost := measure(text)
	for _, cap := range []struct {
		what, flag     string
		allowed, value int64
	}{
		{"bytes", "--max-declared-bytes", l.AnswerBytes, int64(len(text))},
		{"values", "--max-declared-values", l.AnswerNodes, cost.nodes},
		{"levels of nesting", "", l.AnswerNesting, cost.nesting},
	} {
		if cap.value <= cap.allowed {
			continue
		}
		out := errorf(AnswerExceeded, Rendering, "what a commit declares is limited to %d %s, and this one has %d: split the path over several GitSyncs", cap.allowed, cap.what, cap.value)
		if cap.flag != "" {
			out.Message += ", or raise " + cap.flag
		}
		return out
	}
	return nil
}
