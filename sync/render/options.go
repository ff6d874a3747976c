package render

import "fmt"

// Options say what to build. They hold secrets, and print as their path alone.
type Options struct {
	// Path is the directory to build, relative to the root of the tree, with slashes. Empty means ".".
	Path string
	// Namespace is given to namespaced objects that name none. Whether a custom resource is namespaced is
	// known here only when its CustomResourceDefinition is declared in the same build; otherwise it is left
	// without a namespace, for whoever can ask the API server. Empty leaves every object as declared.
	Namespace string
	// Include and Ignore are patterns of files as .gitignore has them, relative to the root of the tree. A file is read
	// when a pattern of Include matches it, or there is none, and none of Ignore does. What is named and not read is
	// an error.
	Include, Ignore []string
	// Substitute puts Variables in the place of ${name} in every text of every object, once it is built. A variable
	// that is neither there nor given a default is an error. Without it ${name} is text like any other.
	Substitute bool
	// Variables are the values by name. SecretVariables come before them, and are for the data and stringData of
	// Secrets alone: everything else is shown in plans. No error holds one.
	Variables, SecretVariables map[string]string
	// AgeKeys are age key files, by which Secrets and the files of secretGenerators that sops has encrypted are
	// read. Without one they are an error.
	AgeKeys []string
	// Limits bound what a build may cost. The zero value means the defaults.
	Limits Limits
}

// String keeps the variables and keys out of whatever prints.
func (o Options) String() string {
	return fmt.Sprintf("path %q with %d variables and %d keys", o.Path, len(o.Variables)+len(o.SecretVariables), len(o.AgeKeys))
}

// GoString does the same.
func (o Options) GoString() string {
	return o.String()
}
