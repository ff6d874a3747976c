package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// outputFlag is -o: text for people, json and yaml for programs. It is a
// pflag.Value, so that an unknown format is refused before anything is done.
type outputFlag struct {
	format string
	// more are formats that the command has beside those that all have.
	more []string
}

// markdown is the format for comments.
const markdown = "markdown"

func (o *outputFlag) formats() []string {
	return append([]string{"text", "json", "yaml"}, o.more...)
}

// String is the format.
func (o *outputFlag) String() string {
	return o.format
}

// Set accepts the formats that exist.
func (o *outputFlag) Set(format string) error {
	if all := o.formats(); !slices.Contains(all, format) {
		last := len(all) - 1
		return fmt.Errorf("unknown output format %q: use %s or %s", format, strings.Join(all[:last], ", "), all[last])
	}
	o.format = format
	return nil
}

// Type is shown in the help.
func (o *outputFlag) Type() string {
	return "string"
}

func (o *outputFlag) register(cmd *cobra.Command, more ...string) {
	o.format, o.more = "text", more
	cmd.Flags().VarP(o, "output", "o", "output format: "+strings.Join(o.formats(), ", "))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.formats(), cobra.ShellCompDirectiveNoFileComp)))
}

// print writes v, or for people the text.
func (o *outputFlag) print(w io.Writer, v any, text func() string) error {
	switch o.format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("print as json: %w", err)
		}
		return nil
	case "yaml":
		raw, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode as yaml: %w", err)
		}
		_, err = w.Write(raw)
		return err
	default:
		_, err := io.WriteString(w, text())
		return err
	}
}

// typed returns the NodeRollout with its kind, which the API leaves out of what
// it returns to a typed client, and without its managed fields.
func typed(n *v1alpha1.NodeRollout) *v1alpha1.NodeRollout {
	out := n.DeepCopy()
	out.APIVersion, out.Kind = v1alpha1.GroupVersion().String(), "NodeRollout"
	out.ManagedFields = nil
	return out
}

// typedSync does the same for a GitSync.
func typedSync(gs *v1alpha1.GitSync) *v1alpha1.GitSync {
	out := gs.DeepCopy()
	out.APIVersion, out.Kind = v1alpha1.GroupVersion().String(), "GitSync"
	out.ManagedFields = nil
	return out
}
