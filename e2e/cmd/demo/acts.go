package main

import (
	_ "embed" // the fleet repository
	"strings"
)

// manifestV1 is, line by line, the DaemonSet that every Kubernetes tutorial
// shows.
//
//go:embed fleet/v1.yaml
var manifestV1 string

//go:embed fleet/v2.yaml
var manifestV2 string

//go:embed fleet/config.yaml
var configMap string

// The fleet repository's files by name.
const (
	manifestFile = "daemonset.yaml"
	configFile   = "config.yaml"
)

// verdict is what became of a commit.
type verdict string

// The verdicts. The set is closed.
const (
	proven   verdict = "proven"
	rejected verdict = "rejected"
)

// act is one push, and what has to come of it.
type act struct {
	// label names the version that the commit makes; empty when it makes none.
	label string
	// what the commit is, for people.
	what    string
	message string
	files   map[string]string
	want    verdict
	// mostTouched is how many nodes a commit may reach that is to be rejected.
	mostTouched int
	// look is a command that shows the outcome.
	look string
}

// acts are the demo, in order.
func acts() []act {
	flaky := strings.Replace(manifestV2, "example-image:v2", "example-image:flaky", 1)
	debug := strings.Replace(configMap, "info", "debug", 1)
	return []act{{
		label:   "v1",
		what:    "example-image:tag, of every tutorial",
		message: "Add example-daemonset",
		files:   map[string]string{manifestFile: manifestV1},
		want:    proven,
		look:    "kubectl get daemonset example-daemonset",
	}, {
		label:   "v2",
		what:    "example-image:v2, with a ConfigMap",
		message: "Update example-image to v2 and give it a config",
		files:   map[string]string{manifestFile: manifestV2, configFile: configMap},
		want:    proven,
		look:    "kubectl get gsync fleet -o wide",
	}, {
		label:       "v3",
		what:        "example-image:flaky, fails after 5s",
		message:     "Update example-image to flaky",
		files:       map[string]string{manifestFile: flaky},
		want:        rejected,
		mostTouched: canaries,
		look:        "kubectl describe nroll",
	}, {
		what:    "git revert of v3",
		message: "Revert \"Update example-image to flaky\"",
		files:   map[string]string{manifestFile: manifestV2},
		want:    proven,
		look:    "kubectl get nroll -o wide",
	}, {
		label:   "v4",
		what:    "one changed line of the ConfigMap",
		message: "Log at debug level",
		files:   map[string]string{configFile: debug},
		want:    proven,
		look:    "kubectl get configmaps",
	}}
}
