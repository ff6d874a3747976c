package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// cause is one thing that makes a DaemonSet another version: a field of its
// template, or config that it reads a pinned copy of.
type cause struct {
	// Field is the path in the pod template; empty for config.
	Field string `json:"field,omitempty"`
	// Config is KIND NAME; empty for a field. Keys are those of it that change, as far as they are known.
	Config string   `json:"config,omitempty"`
	Keys   []string `json:"keys,omitempty"`
}

// String is the cause in a few words.
func (c cause) String() string {
	switch {
	case c.Config == "":
		return c.Field
	case len(c.Keys) == 0:
		return c.Config
	default:
		return fmt.Sprintf("%s (%s)", c.Config, strings.Join(c.Keys, ", "))
	}
}

// causes are what makes the DaemonSet roll, each once. What names a pinned copy
// stands for the config that it was made of.
func causes(f *forecast, objects diff.Plan) []cause {
	if f.Verdict != willRoll && f.Verdict != wouldBeHeld && f.Verdict != isRejected {
		return nil
	}
	var out []cause
	for _, field := range f.Fields {
		if !inTemplate(field) {
			continue
		}
		next := cause{Field: strings.TrimPrefix(field.Path, "spec.template.")}
		if pin := f.pinned(field); pin != nil {
			next = configCause(*pin, objects)
		}
		if !slices.ContainsFunc(out, func(c cause) bool { return c.Field == next.Field && c.Config == next.Config }) {
			out = append(out, next)
		}
	}
	return out
}

// pinned is the copy that a field names from now on; nil for another field.
func (f *forecast) pinned(field diff.FieldChange) *render.Reference {
	name, err := strconv.Unquote(field.To)
	if err != nil {
		return nil
	}
	kind := "ConfigMap"
	if strings.Contains(strings.ToLower(field.Path), "secret") {
		kind = "Secret"
	}
	i := slices.IndexFunc(f.pins, func(r render.Reference) bool { return r.Name == name && r.Kind == kind })
	if i < 0 {
		return nil
	}
	return &f.pins[i]
}

// configCause finds the plain object that a copy was made of.
func configCause(pin render.Reference, objects diff.Plan) cause {
	out := cause{Config: pin.Kind + " " + plainName(pin.Name)}
	for _, c := range objects.Of(diff.Update, diff.Keep, diff.Create) {
		if c.Group != "" || c.Kind != pin.Kind || c.Namespace != pin.Namespace || c.Name != plainName(pin.Name) {
			continue
		}
		for _, field := range c.Fields {
			for _, content := range []string{"data", "binaryData", "stringData"} {
				if rest, is := strings.CutPrefix(field.Path, content); is && rest != "" && c.Operation != diff.Create {
					out.Keys = append(out.Keys, strings.Trim(rest, `.[]"`))
				}
			}
		}
	}
	return out
}

// plainName is the name of a copy without its hash.
func plainName(pinned string) string {
	if at := strings.LastIndexByte(pinned, '-'); at > 0 {
		return pinned[:at]
	}
	return pinned
}
