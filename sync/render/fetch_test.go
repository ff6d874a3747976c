package render_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/render"
)

func TestNothingIsFetched(t *testing.T) {
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		fmt.Fprint(w, configMaps(1))
	}))
	defer server.Close()
	ran := fakeGit(t)

	url := server.URL + "/x.yaml"
	plugin := func(kind, field string) string {
		return "- |-\n  apiVersion: builtin\n  kind: " + kind + "\n  metadata: {name: p}\n  " + field + "\n"
	}
	for field, text := range map[string]string{
		"resources":                     "resources: [" + url + "]\n",
		"resources, upper case":         "resources: ['" + strings.Replace(url, "http", "HTTP", 1) + "']\n",
		"resources, git::":              "resources: ['git::" + server.URL + "/a/b']\n",
		"resources, git over https":     "resources: ['https://127.0.0.1/a/b.git?ref=main']\n",
		"resources, ssh":                "resources: ['ssh://git@127.0.0.1/a/b']\n",
		"resources, scp-like":           "resources: ['git@127.0.0.1:a/b']\n",
		"resources, file":               "resources: ['file:///srv/a']\n",
		"resources, github.com":         "resources: [github.com/a/b]\n",
		"resources, GitHub.com":         "resources: [GitHub.com/a/b]\n",
		"resources, user":               "resources: ['user@host/a/b']\n",
		"resources, query":              "resources: ['a/b?ref=main']\n",
		"bases":                         "bases: [" + server.URL + "/a/b]\n",
		"components":                    "components: [" + server.URL + "/a/b]\n",
		"crds":                          "crds: [" + url + "]\n",
		"configurations":                "configurations: [" + url + "]\n",
		"generators":                    "generators: [" + url + "]\n",
		"transformers":                  "transformers: [" + url + "]\n",
		"validators":                    "validators: [" + url + "]\n",
		"openapi.path":                  "openapi: {path: '" + url + "'}\n",
		"patches.path":                  "patches: [{path: '" + url + "', target: {kind: ConfigMap}}]\n",
		"patchesStrategicMerge":         "patchesStrategicMerge: [" + url + "]\n",
		"patchesJson6902.path":          "patchesJson6902: [{path: '" + url + "', target: {version: v1, kind: ConfigMap, name: c0}}]\n",
		"replacements.path":             "replacements: [{path: '" + url + "'}]\n",
		"configMapGenerator.files":      "configMapGenerator: [{name: g, files: ['" + url + "']}]\n",
		"configMapGenerator.files, key": "configMapGenerator: [{name: g, files: ['k=" + url + "']}]\n",
		"configMapGenerator.envs":       "configMapGenerator: [{name: g, envs: ['" + url + "']}]\n",
		"secretGenerator.env":           "secretGenerator: [{name: g, env: '" + url + "'}]\n",
		"secretGenerator.files":         "secretGenerator: [{name: g, files: ['" + url + "']}]\n",
		"helmCharts":                    "helmCharts: [{name: c, repo: '" + server.URL + "'}]\n",
		"helmGlobals":                   "helmGlobals: {chartHome: x}\n",
		"helmChartInflationGenerator":   "helmChartInflationGenerator: [{chartName: c, chartRepoUrl: '" + server.URL + "'}]\n",
		"plugin, patch":                 "transformers:\n" + plugin("PatchTransformer", "path: "+url),
		"plugin, patch in capitals":     "transformers:\n" + plugin("PatchTransformer", "PATH: "+url),
		"plugin, strategic merge":       "transformers:\n" + plugin("PatchStrategicMergeTransformer", "paths: ["+url+"]"),
		"plugin, JSON patch":            "transformers:\n" + plugin("PatchJson6902Transformer", "path: "+url),
		"plugin, replacement":           "transformers:\n" + plugin("ReplacementTransformer", "replacements: [{path: '"+url+"'}]"),
		"plugin, value":                 "transformers:\n" + plugin("ValueAddTransformer", "targetFilePath: "+url),
		"plugin, config map":            "generators:\n" + plugin("ConfigMapGenerator", "files: ['k="+url+"']"),
		"plugin, secret":                "generators:\n" + plugin("SecretGenerator", "envs: ['"+url+"']"),
		"plugin, helm":                  "generators:\n" + plugin("HelmChartInflationGenerator", "repo: "+server.URL),
		"plugin, exec":                  "generators:\n- '{apiVersion: example.com/v1, kind: Exec, metadata: {name: e}}'\n",
		"plugin, KRM function": "transformers:\n- |-\n  apiVersion: example.com/v1\n  kind: Fn\n  metadata:\n    name: f\n    annotations:\n" +
			"      config.kubernetes.io/function: '{exec: {path: ./x}}'\n",
		"plugin, in a list":      "transformers:\n- '{apiVersion: v1, kind: List, items: [{apiVersion: builtin, kind: PatchTransformer, metadata: {name: p}, path: \"" + url + "\"}]}'\n",
		"plugin, in a file":      "transformers: [plugin.yaml]\n",
		"a base two levels down": "resources: [one]\n",
	} {
		t.Run(field, func(t *testing.T) {
			tree := files("-- a.yaml --\n" + configMaps(1) + `
-- one/kustomization.yaml --
resources: [../two]
-- two/kustomization.yaml --
crds: ['` + url + `']
-- plugin.yaml --
apiVersion: builtin
kind: LabelTransformer
metadata: {name: ok}
labels: {a: b}
fieldSpecs: [{path: metadata/labels, create: true}]
---
apiVersion: builtin
kind: PatchTransformer
metadata: {name: p}
path: ` + url + `
-- kustomization.yaml --
` + text)
			if !strings.HasPrefix(text, "resources") {
				tree["kustomization.yaml"].Data = append(tree["kustomization.yaml"].Data, "resources: [a.yaml]\n"...)
			}
			wantError(t, tree, render.Options{}, render.RemoteResource, "kustomization.yaml: ")
			_, err := render.Build(tree, render.Options{})
			name, _, _ := strings.Cut(field, ",")
			want := map[string]string{"plugin": `^(generators|transformers)\[0\]`, "a base two levels down": `^crds\[0\]`}[name]
			if want == "" {
				want = `^` + strings.Replace(regexp.QuoteMeta(name), `\.`, `(\[0\])?\.`, 1) + `(\[0\])?$`
			}
			if e := render.List(err)[0]; !regexp.MustCompile(want).MatchString(e.Field) {
				t.Errorf("the field is %q, want %s", e.Field, want)
			}
		})
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("git was run")
	}
}

func fakeGit(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	script := "#!/bin/sh\ntouch " + ran + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return ran
}

func TestARemoteEntryIsShownWithoutItsSecrets(t *testing.T) {
	tree := files("-- kustomization.yaml --\nresources: ['https://user:CANARY@host.example.com/a/b?token=CANARY']\n")
	_, err := render.Build(tree, render.Options{})
	if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "host.example.com/a/b") {
		t.Errorf("got %v", err)
	}
}
