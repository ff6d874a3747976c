package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// renderFlags configure render.
type renderFlags struct {
	treeFlags
	output      outputFlag
	namespace   string
	showSecrets bool
}

func newRender() *cobra.Command {
	f := &renderFlags{}
	cmd := &cobra.Command{
		Use:   "render [DIRECTORY|URL]",
		Short: "Print what the controller would see in a directory or a repository",
		Long: `render builds a directory of a working tree, or of a repository that it fetches, as
the controller does: by kustomize or as plain manifests, with its limits, without
network and programs. It prints each object with the file that it came from, and
each DaemonSet with its digest and the pinned copies of its config. No cluster is
asked. Warnings go to stderr.

The values of Secrets are masked, unless --show-secrets is given. What a repository
asks for is taken from ROLLCALL_GIT_USERNAME and ROLLCALL_GIT_PASSWORD, or
ROLLCALL_GIT_TOKEN.

Exit codes: 0 it can be rendered, 1 an error.`,
		Args: atMostOne("DIRECTORY or URL"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return f.run(cmd.Context(), dir, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.output.register(cmd)
	f.registerTree(cmd, "directory in the repository of the URL; default its root")
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "", "namespace of objects that name none; default to leave them so")
	cmd.Flags().BoolVar(&f.showSecrets, "show-secrets", false, "print the values of Secrets")
	return cmd
}

func (f *renderFlags) run(ctx context.Context, arg string, stdout, stderr io.Writer) error {
	if err := f.check(arg); err != nil {
		return err
	}
	t, remove, err := f.open(ctx, arg, f.path)
	if err != nil {
		return err
	}
	defer remove()
	declared, err := t.build(f.namespace)
	if err != nil {
		return err
	}
	for _, found := range declared.Findings {
		fmt.Fprintln(stderr, "warning:", warningLine(found))
	}
	made := f.objects(declared)
	var failed error
	text := func() string {
		var b strings.Builder
		for _, o := range made {
			failed = o.write(&b)
			if failed != nil {
				return ""
			}
		}
		return b.String()
	}
	if err := f.output.print(stdout, renderedForPrograms{Commit: t.commit.Hash, Objects: made, Warnings: warningDocuments(declared.Findings)}, text); err != nil {
		return err
	}
	return failed
}

// What was rendered as programs read it.
type (
	renderedForPrograms struct {
		// Commit is empty for a working tree.
		Commit   string            `json:"commit,omitempty"`
		Objects  []renderedObject  `json:"objects"`
		Warnings []warningDocument `json:"warnings"`
	}
	renderedObject struct {
		// File is where the object comes from: of one that kustomize generated its kustomization, of a pinned copy the file
		// of the original.
		File string `json:"file"`
		// Digest and Pins are those of a DaemonSet.
		Digest string         `json:"digest,omitempty"`
		Pins   []string       `json:"pins,omitempty"`
		Object map[string]any `json:"object"`
	}
)

// objects are all that is declared, in the order in which it is applied.
func (f *renderFlags) objects(declared *render.Declared) []renderedObject {
	out := []renderedObject{}
	for _, o := range declared.Objects {
		out = append(out, renderedObject{File: o.Source, Object: f.shown(o.Unstructured)})
	}
	for _, ds := range declared.DaemonSets {
		made := renderedObject{File: ds.Source, Digest: ds.Digest, Object: f.shown(ds.Pinned)}
		for _, pin := range ds.Pins {
			made.Pins = append(made.Pins, pin.Kind+" "+strings.TrimPrefix(pin.Namespace+"/"+pin.Name, "/"))
		}
		out = append(out, made)
	}
	return out
}

// maskedValue stands where a value of a Secret was.
const maskedValue = "***"

// shown is an object without the values of a Secret.
func (f *renderFlags) shown(o *unstructured.Unstructured) map[string]any {
	if f.showSecrets || o.GetKind() != "Secret" {
		return o.Object
	}
	out := o.DeepCopy().Object
	for _, field := range []string{"data", "stringData"} {
		values, _ := out[field].(map[string]any)
		for name := range values {
			values[name] = maskedValue
		}
	}
	return out
}

// write writes an object as YAML, with what is known of it in comments.
func (o *renderedObject) write(b *strings.Builder) error {
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return fmt.Errorf("encode as yaml: %w", err)
	}
	b.WriteString("---\n# file: " + clean(o.File) + "\n")
	if o.Digest != "" {
		b.WriteString("# digest: " + o.Digest + "\n")
	}
	for _, pin := range o.Pins {
		b.WriteString("# pinned: " + clean(pin) + "\n")
	}
	b.Write(text)
	return nil
}
