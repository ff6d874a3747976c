package main

import (
	"time"

	"github.com/spf13/pflag"
	apiresource "k8s.io/apimachinery/pkg/api/resource"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// caps bound what a repository may cost the controller.
type caps struct {
	git    git.Limits
	render render.Limits
	reader reader.Limits
	// fileBytes, totalBytes and depth bound what is read of a commit, by Git and by the render.
	fileBytes, totalBytes int64
	depth                 int
}

func (c *caps) register(flags *pflag.FlagSet) {
	count := func(p *int, name string, value int, usage string) { flags.IntVar(p, name, value, usage) }
	number := func(p *int64, name string, value int64, usage string) { flags.Int64Var(p, name, value, usage) }
	size := func(p *int64, name, value, usage string) {
		q := &byteSize{bytes: p}
		if err := q.Set(value); err != nil {
			panic(err) // a default above
		}
		flags.Var(q, name, usage)
	}
	count(&c.reader.Children, "readers", 2, "processes that fetch and render at once")
	size(&c.reader.Memory, "reader-memory", "512Mi", "memory of one such process, beside its program")
	flags.DurationVar(&c.reader.Timeout, "reader-timeout", 3*time.Minute, "time of one such process; a fetch has four fifths of it")
	size(&c.reader.AnswerBytes, "max-declared-bytes", "32Mi", "size of what a commit declares, as JSON")
	number(&c.reader.AnswerNodes, "max-declared-values", 1_000_000, "number of values of what a commit declares")

	size(&c.git.RefBytes, "max-ref-bytes", "128Mi", "size of a server's list of refs")
	size(&c.git.WireBytes, "max-fetch-bytes", "256Mi", "size of one fetch on the wire")
	number(&c.git.Objects, "max-git-objects", 500_000, "number of Git's objects in a commit")
	size(&c.git.ObjectBytes, "max-object-bytes", "64Mi", "size of the largest of Git's objects, read or not")
	size(&c.git.InflatedBytes, "max-repository-bytes", "2Gi", "size of all of Git's objects of a commit, unpacked")
	number(&c.git.Entries, "max-tree-entries", 100_000, "number of entries of all directories that are read")
	flags.DurationVar(&c.git.ResolveTimeout, "git-timeout", 30*time.Second, "time of one question for a server's refs")

	count(&c.render.Files, "max-files", 10_000, "number of files and directories of a path")
	count(&c.depth, "max-depth", 32, "depth of directories of a path")
	size(&c.fileBytes, "max-file-bytes", "4Mi", "size of one file of a path")
	size(&c.totalBytes, "max-total-bytes", "32Mi", "size of all files of a path")
	count(&c.render.Nodes, "max-yaml-nodes", 200_000, "number of YAML nodes of a file, aliases as often as they are used")
	count(&c.render.Aliases, "max-yaml-aliases", 1_000, "number of YAML aliases in a file")
	count(&c.render.Nesting, "max-yaml-nesting", 100, "nesting of YAML values")
	count(&c.render.Documents, "max-documents", 1_000, "number of YAML documents of a file")
	count(&c.render.Objects, "max-objects", 1_000, "number of objects of a path")
	count(&c.render.Kustomizations, "max-kustomizations", 100, "number of kustomizations of a path, each as often as it is used")
}

// limits are the caps for the parts that keep them. Git counts the depth from the root of the repository, the render from
// the path.
func (c *caps) limits() (git.Limits, render.Limits, reader.Limits) {
	const room = 2
	g, r := c.git, c.render
	r.Depth, r.FileBytes, r.TotalBytes = c.depth, c.fileBytes, c.totalBytes
	g.Depth, g.FileBytes, g.ReadBytes = int64(c.depth)*room, c.fileBytes, c.totalBytes
	return g, r, c.reader
}

// byteSize is a number of bytes as Kubernetes writes it.
type byteSize struct {
	bytes *int64
	text  string
}

// Set reads 512Mi.
func (q *byteSize) Set(text string) error {
	parsed, err := apiresource.ParseQuantity(text)
	if err != nil {
		return err
	}
	*q.bytes, q.text = parsed.Value(), text
	return nil
}

// String writes what was read.
func (q *byteSize) String() string { return q.text }

// Type is what the help calls it.
func (q *byteSize) Type() string { return "byteSize" }
