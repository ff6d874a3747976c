package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// outputFlag is -o: text for people, json and yaml for programs.
type outputFlag struct {
	format string
}

func (o *outputFlag) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "output format: text, json or yaml")
}

func (o *outputFlag) print(w io.Writer, v any, text func() string) error {
	switch o.format {
	case "text", "":
		_, err := io.WriteString(w, text())
		return err
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		raw, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode as yaml: %w", err)
		}
		_, err = w.Write(raw)
		return err
	default:
		return fmt.Errorf("unknown output format %q: use text, json or yaml", o.format)
	}
}
