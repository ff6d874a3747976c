package render

// Options say what to build.
type Options struct {
	// Path is the directory to build, relative to the root of the tree, with slashes. Empty means ".".
	Path string
	// Namespace is given to namespaced objects that name none. Whether a custom resource is namespaced is
	// known here only when its CustomResourceDefinition is declared in the same build; otherwise it is left
	// without a namespace, for whoever can ask the API server. Empty leaves every object as declared.
	Namespace string
	// Limits bound what a build may cost. The zero value means the defaults.
	Limits Limits
}
