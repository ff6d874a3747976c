package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tutorial is the DaemonSet that every Kubernetes tutorial shows.
const tutorial = `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: example-daemonset
  labels:
    app: example
spec:
  selector:
    matchLabels:
      app: example
  template:
    metadata:
      labels:
        app: example
    spec:
      containers:
      - name: example-container
        image: example-image:tag
`

func TestActs(t *testing.T) {
	repository := map[string]string{}
	var after []map[string]string
	for _, a := range acts() {
		maps.Copy(repository, a.files)
		after = append(after, maps.Clone(repository))
	}
	if diff := cmp.Diff(map[string]string{manifestFile: tutorial}, after[0]); diff != "" {
		t.Errorf("the first commit is not the tutorial's DaemonSet (-want +got)\n%s", diff)
	}
	if !strings.Contains(after[2][manifestFile], "image: example-image:flaky\n") {
		t.Errorf("the third commit has no flaky image:\n%s", after[2][manifestFile])
	}
	if diff := cmp.Diff(after[1], after[3]); diff != "" {
		t.Errorf("the revert differs from the second commit (-want +got)\n%s", diff)
	}
	if after[3][manifestFile] != after[4][manifestFile] || after[3][configFile] == after[4][configFile] {
		t.Error("the last commit changes more than the config, or nothing")
	}
}

func TestJudge(t *testing.T) {
	bad, good := act{label: "v3", want: rejected, mostTouched: 3}, act{label: "v2", want: proven}
	for name, c := range map[string]struct {
		act    act
		result result
		err    string
	}{
		"a bad version stops at its canaries":       {bad, result{verdict: rejected, touched: 3, hurt: 1}, ""},
		"a bad version is proven":                   {bad, result{verdict: proven, touched: nodes}, "should have been rejected"},
		"a bad version goes beyond its canaries":    {bad, result{verdict: rejected, touched: 4, hurt: 1}, "touched 4 nodes, more than its 3 canaries"},
		"a bad version is rejected without harm":    {bad, result{verdict: rejected, touched: 3}, "hurt no node"},
		"a good version reaches every node":         {good, result{verdict: proven, touched: nodes}, ""},
		"a good version hurts a node":               {good, result{verdict: proven, touched: nodes, hurt: 1}, "hurt 1 nodes"},
		"a good version leaves a node out":          {good, result{verdict: proven, touched: nodes - 1}, "touched 29 of 30"},
		"a commit without a version touches nobody": {act{want: proven}, result{verdict: proven}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := row{act: c.act, result: &c.result}.judge()
			if got := err == nil; got != (c.err == "") {
				t.Fatalf("got %v, want %q", err, c.err)
			}
			if err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}
