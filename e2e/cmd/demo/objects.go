package main

import (
	"bytes"
	"cmp"
	_ "embed" // the objects that the demo creates
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

//go:embed policy.yaml
var policyYAML string

//go:embed gitsync.yaml
var gitSyncYAML string

// The names in the manifests and in gitsync.yaml.
const (
	namespace  = "default"
	syncName   = "fleet"
	daemonSet  = "example-daemonset"
	image      = "example-image"
	canaries   = 3 // as many as the policy's first wave has
	oneOfNodes = "node-7"
)

func rolloutPolicy() (*v1alpha1.RolloutPolicy, error) {
	out := &v1alpha1.RolloutPolicy{}
	return out, decode(policyYAML, out)
}

func gitSync(url string) (*v1alpha1.GitSync, error) {
	out := &v1alpha1.GitSync{}
	err := decode(gitSyncYAML, out)
	out.Spec.Source.URL = url
	return out, err
}

// decode is strict: a field that the kind does not have is an error.
func decode(text string, into any) error {
	raw, err := yaml.ToJSON([]byte(text))
	if err != nil {
		return fmt.Errorf("decode %T: %w", into, err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("decode %T: %w", into, err)
	}
	return nil
}

// wavesOf are the policy's waves in nodes; a policy without waves is one.
func wavesOf(p v1alpha1.RolloutPolicySpec, nodes int) []wave {
	var out []wave
	before := 0
	for _, w := range p.Waves {
		upTo, err := intstr.GetScaledValueFromIntOrPercent(&w.UpTo, nodes, false)
		if err != nil {
			upTo = nodes
		}
		upTo = min(max(upTo, before), nodes)
		out = append(out, wave{name: w.Name, nodes: upTo - before})
		before = upTo
	}
	return out
}

// zonesOf groups nodes by zone, in the order of their numbers.
func zonesOf(all []corev1.Node) []zone {
	slices.SortFunc(all, func(a, b corev1.Node) int {
		return cmp.Or(cmp.Compare(a.Labels[corev1.LabelTopologyZone], b.Labels[corev1.LabelTopologyZone]), cmp.Compare(number(a.Name), number(b.Name)))
	})
	var out []zone
	for _, n := range all {
		name := n.Labels[corev1.LabelTopologyZone]
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, zone{name: name})
		}
		last := &out[len(out)-1]
		last.nodes = append(last.nodes, n.Name)
	}
	return out
}

// number is the number at the end of a node's name, or -1.
func number(node string) int {
	n, err := strconv.Atoi(node[strings.LastIndexByte(node, '-')+1:])
	if err != nil {
		return -1
	}
	return n
}
