package render_test

import (
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// TestKustomizeQuotesNoSecret has kustomize fail over what it then quotes, in each place where a secret can stand.
func TestKustomizeQuotesNoSecret(t *testing.T) {
	const secret = "\n-- s.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: CANARY}\n"
	for sentence, text := range map[string]string{
		"a merge patch without a target":    "patches: [{patch: '{apiVersion: v1, kind: Secret, metadata: {name: gone}, stringData: {password: CANARY}}'}]",
		"a merge patch that cannot be read": "patches: [{target: {kind: Secret}, patch: '{apiVersion: v1, kind: Secret, stringData: {password: CANARY}}'}, {patch: '{a: CANARY}'}]",
		"a JSON patch":                      "patches: [{target: {kind: Secret}, patch: '[{op: add, path: nowhere/x/y, value: CANARY}]'}]",
		"a JSON patch for any kind":         "patches: [{target: {name: s}, patch: '[{op: test, path: /stringData/password, value: CANARY2}]'}]",
		"a patch in a file":                 "patches: [{path: p.yaml}]",
		"an old patch":                      "patchesStrategicMerge: ['{apiVersion: v1, kind: Secret, metadata: {name: gone}, stringData: {password: CANARY}}']",
		"a literal of a generator":          "secretGenerator: [{name: g, literals: [a=CANARY, a=CANARY]}]",
		"a file of a generator":             "secretGenerator: [{name: g, envs: [e.env]}]",
		"a built-in plugin":                 "generators: ['{apiVersion: builtin, kind: SecretGenerator, metadata: {name: g}, literals: [CANARY]}']",
		"a replacement":                     "replacements: [{source: {kind: Secret, name: s, fieldPath: stringData.password.x}, targets: [{select: {kind: Secret}, fieldPaths: [stringData.password.y]}]}]",
	} {
		t.Run(sentence, func(t *testing.T) {
			tree := files("-- kustomization.yaml --\nresources: [s.yaml]\n" + text + secret +
				"-- p.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: gone}\nstringData: {password: CANARY}\n-- e.env --\nA=CANARY\nA=CANARY\n1 x=CANARY\n")
			_, err := render.Build(tree, render.Options{})
			if err == nil {
				t.Fatal("it was built: the case is none")
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}
