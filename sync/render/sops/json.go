package sops

import (
	"encoding/json"
	"errors"

	"go.yaml.in/yaml/v3"
)

// asJSON writes a node with its fields in the order that they have.
func asJSON(out []byte, n *yaml.Node) ([]byte, error) {
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		return compositeJSON(out, n)
	case yaml.ScalarNode:
		var v any = n.Value
		if n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
			if err := n.Decode(&v); err != nil {
				return nil, errors.New("its values cannot be written as JSON")
			}
		}
		return appendJSON(out, v)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return nil, errors.New("its values cannot be written as JSON")
}

func compositeJSON(out []byte, n *yaml.Node) (_ []byte, err error) {
	brackets := "[]"
	if n.Kind == yaml.MappingNode {
		brackets = "{}"
	}
	out = append(out, brackets[0])
	for i, child := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		switch {
		case n.Kind == yaml.MappingNode && !isKey:
			out = append(out, ':')
		case i > 0:
			out = append(out, ',')
		}
		if isKey {
			out, err = appendJSON(out, child.Value)
		} else {
			out, err = asJSON(out, child)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(out, brackets[1]), nil
}

func appendJSON(out []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, errors.New("its values cannot be written as JSON")
	}
	return append(out, text...), nil
}
