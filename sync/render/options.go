package render

// Options say what to build.
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
	// Limits bound what a build may cost. The zero value means the defaults.
	Limits Limits
}
