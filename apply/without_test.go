package apply

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

func TestWithout(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		object     string
		lost, kept string
		want       string
	}{
		"a field": {
			object: "{a: 1, b: 2}", lost: `{"f:a":{}}`, want: "{b: 2}",
		},
		"a field of a map that stays, empty": {
			object: "{a: {b: 1}}", lost: `{"f:a":{"f:b":{}}}`, want: "{a: {}}",
		},
		"a map with what nobody owned in it": {
			object: "{a: {b: 1, default: 2}}", lost: `{"f:a":{".":{},"f:b":{}}}`, want: "{}",
		},
		"a map that somebody else has a part of": {
			object: "{a: {b: 1, c: 2}}", lost: `{"f:a":{".":{},"f:b":{}}}`, kept: `{"f:a":{"f:c":{}}}`, want: "{a: {c: 2}}",
		},
		"a map of which somebody else has all": {
			object: "{a: {b: 1}}", lost: `{"f:a":{".":{}}}`, kept: `{"f:a":{"f:b":{}}}`, want: "{a: {b: 1}}",
		},
		"an element by a name": {
			object: "{l: [{name: a, x: 1}, {name: b, x: 2}]}", lost: `{"f:l":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:x":{}}}}`, want: "{l: [{name: b, x: 2}]}",
		},
		"an element by numbers": {
			object: "{l: [{port: 80, protocol: TCP}, {port: 81, protocol: TCP}]}", lost: `{"f:l":{"k:{\"port\":81,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}`, want: "{l: [{port: 80, protocol: TCP}]}",
		},
		"a field of an element": {
			object: "{l: [{name: a, x: 1}, {name: b, x: 2}]}", lost: `{"f:l":{"k:{\"name\":\"a\"}":{"f:x":{}}}}`, want: "{l: [{name: a}, {name: b, x: 2}]}",
		},
		"an element of a set": {
			object: "{l: [a, b, c]}", lost: `{"f:l":{"v:\"b\"":{}}}`, want: "{l: [a, c]}",
		},
		"an atomic list": {
			object: "{l: [a, b], m: 1}", lost: `{"f:l":{}}`, want: "{m: 1}",
		},
		"what is not there": {
			object: "{a: 1, l: [x]}", lost: `{"f:b":{"f:c":{}},"f:l":{"k:{\"name\":\"a\"}":{}},"f:a":{"f:deeper":{}}}`, want: "{a: 1, l: [x]}",
		},
		"nothing": {
			object: "{a: 1}", lost: `{}`, want: "{a: 1}",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := without(manifestMap(t, c.object), ownership{lost: fieldSet(t, c.lost), kept: fieldSet(t, c.kept)})
			if d := cmp.Diff(manifestMap(t, c.want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// manifestMap reads a map with the types that an API server's answer has.
func manifestMap(t *testing.T, text string) any {
	t.Helper()
	return manifest(t, "{apiVersion: v1, kind: X, root: "+text+"}").Object["root"]
}

func fieldSet(t *testing.T, text string) *fieldpath.Set {
	t.Helper()
	out := fieldpath.NewSet()
	if text == "" {
		return out
	}
	if err := out.FromJSON(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return out
}
