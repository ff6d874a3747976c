package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/health/watch"
)

// maxSimulated is how many nodes a simulation may have.
const maxSimulated = 200_000

// synthetic is a fleet of Ready nodes, spread evenly over zones.
func synthetic(nodes, zones int, groupBy []string) []health.Node {
	out := make([]health.Node, 0, nodes)
	for i := range nodes {
		zone := fmt.Sprintf("zone-%d", i%zones+1)
		n := health.Node{Name: fmt.Sprintf("node-%0*d", len(fmt.Sprint(nodes)), i+1), Ready: true, Eligible: true, Labels: map[string]string{corev1.LabelTopologyZone: zone}}
		for _, key := range groupBy {
			n.Groups = append(n.Groups, n.Labels[key])
		}
		out = append(out, n)
	}
	return out
}

// exported is a fleet as kubectl prints it.
type exported struct {
	// fleet are the nodes that should have an agent.
	fleet []health.Node
	// leftOut counts the others.
	leftOut int
}

// readFleet reads what kubectl get nodes -o json or yaml prints. An agent that does
// not tolerate all taints is kept out by those that last.
func readFleet(name string, raw []byte, groupBy []string, tolerateAll bool) (exported, error) {
	nodes, err := decodeNodes(raw)
	if err == nil {
		err = checkNodes(nodes)
	}
	if err != nil {
		return exported{}, fmt.Errorf("%s: %w", name, err)
	}
	var agent corev1.PodTemplateSpec
	if tolerateAll {
		agent.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	}
	var out exported
	for _, n := range watch.Join(nodes, nil, watch.NewPlacement(&agent), groupBy, nil) {
		if !n.Eligible {
			out.leftOut++
			continue
		}
		out.fleet = append(out.fleet, n)
	}
	if len(out.fleet) == 0 {
		return exported{}, fmt.Errorf("%s: taints keep the agent from all %d nodes: say --tolerate-all if it tolerates them", name, len(nodes))
	}
	return out, nil
}

func decodeNodes(raw []byte) ([]*corev1.Node, error) {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return decodeList(raw)
	}
	var out []*corev1.Node
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		document, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if document, err = yaml.YAMLToJSON(document); err != nil {
			return nil, err
		}
		more, err := decodeList(document)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
}

// decodeList reads a list of nodes, or one; nothing of an empty document.
func decodeList(raw []byte) ([]*corev1.Node, error) {
	var object *struct {
		Kind  string            `json:"kind"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, errors.New("this is no list of nodes: write what kubectl get nodes -o json prints")
	}
	if object == nil {
		return nil, nil
	}
	items := object.Items
	switch object.Kind {
	case "Node":
		items = []json.RawMessage{raw}
	case "List", "NodeList":
	default:
		return nil, fmt.Errorf("its kind is %q: write what kubectl get nodes -o json prints", object.Kind)
	}
	var out []*corev1.Node
	for i, item := range items {
		n := &corev1.Node{}
		if err := json.Unmarshal(item, n); err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		if n.Kind != "Node" && (n.Kind != "" || object.Kind != "NodeList") {
			return nil, fmt.Errorf("items[%d]: its kind is %q: write what kubectl get nodes -o json prints", i, n.Kind)
		}
		out = append(out, n)
	}
	return out, nil
}

func checkNodes(nodes []*corev1.Node) error {
	if len(nodes) == 0 {
		return errors.New("there are no nodes in it: write what kubectl get nodes -o json prints")
	}
	if len(nodes) > maxSimulated {
		return fmt.Errorf("it has %d nodes: no more than %d can be simulated", len(nodes), maxSimulated)
	}
	seen := make(map[string]bool, len(nodes))
	for i, n := range nodes {
		switch {
		case n.Name == "":
			return fmt.Errorf("node %d of %d has no metadata.name", i+1, len(nodes))
		case seen[n.Name]:
			return fmt.Errorf("node %s is in it twice", n.Name)
		}
		seen[n.Name] = true
	}
	return nil
}
