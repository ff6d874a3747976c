package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// treeFlags say what is rendered, and with what.
type treeFlags struct {
	// ref and path are of a repository that is named by its URL.
	ref, path    string
	insecureHTTP bool
	// variables are NAME=VALUE, and ageKeys files with keys.
	variables, ageKeys []string
}

func (f *treeFlags) registerTree(cmd *cobra.Command, path string) {
	cmd.Flags().StringVar(&f.ref, "ref", "", "branch, tag or commit of the URL; default its default branch")
	cmd.Flags().StringVar(&f.path, "path", "", path)
	cmd.Flags().BoolVar(&f.insecureHTTP, "insecure-http", false, "allow a plain http URL")
	cmd.Flags().StringArrayVar(&f.variables, "variable", nil, "NAME=VALUE to put in the place of ${NAME}; may be repeated")
	cmd.Flags().StringArrayVar(&f.ageKeys, "age-key", nil, "file with age keys for what sops has encrypted; may be repeated")
}

// check says what is wrong with the arguments before anything is asked of a cluster or a repository.
func (f *treeFlags) check(arg string) error {
	if isURL(arg) {
		return nil
	}
	if f.ref != "" || f.path != "" || f.insecureHTTP {
		return errors.New("--ref, --path and --insecure-http are for a URL: of a directory what lies there is read")
	}
	return checkDirectory(arg)
}

// inputs are the variables and keys of the flags.
func (f *treeFlags) inputs() (render.Options, error) {
	o := render.Options{Substitute: len(f.variables) > 0, Variables: map[string]string{}}
	for _, v := range f.variables {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return o, errors.New("--variable is written NAME=VALUE")
		}
		o.Variables[name] = value
	}
	for _, file := range f.ageKeys {
		text, err := os.ReadFile(file)
		if err != nil {
			return o, fmt.Errorf("read age key: %w", err)
		}
		o.AgeKeys = append(o.AgeKeys, string(text))
	}
	return o, nil
}
