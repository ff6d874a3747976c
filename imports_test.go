// Package rollcall_test holds the shape of the repository: which package may
// import what, and what lies at the top.
package rollcall_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/rollcall-dev/rollcall/"

// What a rule allows beside the standard library, by the first part of the
// import path.
const (
	apiTypes     = "k8s.io/api"
	apimachinery = "k8s.io/apimachinery"
	clientGo     = "k8s.io/client-go"
	placement    = "k8s.io/component-helpers"
	k8sUtils     = "k8s.io/utils"
	managed      = "sigs.k8s.io/structured-merge-diff"
	goGit        = "github.com/go-git"
	cryptoSSH    = "golang.org/x/crypto/ssh"
	proxies      = "golang.org/x/net"
	kustomize    = "sigs.k8s.io/kustomize"
	cron         = "github.com/robfig/cron"
	semver       = "github.com/Masterminds/semver"
	prometheus   = "github.com/prometheus/client_golang/prometheus"
	errgroup     = "golang.org/x/sync/errgroup"
	openPGP      = "github.com/ProtonMail/go-crypto/openpgp"
)

// rule says what the files of one package may import, tests left aside.
type rule struct {
	// why is the reason, in the words of the design.
	why string
	// own are the packages of this module, without its path.
	own []string
	// others are paths outside this module; a path allows what is below it.
	others []string
	// everything allows all imports.
	everything bool
	// pure packages compute values: they get no clock, no chance, no context, no
	// log, no network and no files.
	pure bool
}

// rules is the table of the design: imports point one way, toward pure.
func rules() map[string]rule {
	return map[string]rule{
		"cmd/rollcall": {
			why:        "it wires everything, and nothing imports it",
			everything: true,
		},
		"sync": {
			why:    "the pass calls every stage, and knows none of their clients",
			own:    []string{"apply", "apply/account", "apply/kinds", "diff", "health/watch", "sync/git", "sync/git/signed", "sync/hook", "sync/reader", "sync/render", "sync/v1alpha1"},
			others: []string{apiTypes, apimachinery, clientGo, k8sUtils, cron, prometheus, errgroup},
		},
		"sync/v1alpha1": {
			why:    "who reads our kinds gets no client with them",
			others: []string{apiTypes, apimachinery},
		},
		"sync/git": {
			why:    "it reads what strangers wrote: nothing of the cluster is within its reach",
			own:    []string{"sync/git/signed"},
			others: []string{goGit, cryptoSSH, proxies, semver},
		},
		"sync/reader": {
			why:    "it runs the two that meet what strangers wrote, in a process that has nothing of the cluster",
			own:    []string{"sync/git", "sync/render"},
			others: []string{apimachinery, "sigs.k8s.io/json"},
		},
		"sync/git/signed": {
			why:    "whether a signature counts depends on an object, the keys and the time, and on nothing else",
			others: []string{openPGP, cryptoSSH},
			pure:   true,
		},
		"sync/hook": {
			why:    "anybody may call it: it knows names, tokens and limits, and of the cluster nothing",
			others: []string{apimachinery, prometheus, "golang.org/x/time/rate"},
		},
		"sync/render": {
			why:    "it runs what strangers wrote: no network and no files are within its reach",
			own:    []string{"sync/render/sops"},
			others: []string{kustomize, apiTypes, apimachinery, "go.yaml.in/yaml", "sigs.k8s.io/yaml", "sigs.k8s.io/json", goGit + "/go-git/v5/plumbing/format/gitignore", "github.com/fluxcd/pkg/envsubst"},
			pure:   true,
		},
		"sync/render/sops": {
			why:    "it opens secrets with the keys that it is given, and knows no way to others",
			others: []string{"filippo.io/age", "go.yaml.in/yaml"},
			pure:   true,
		},
		"diff": {
			why:    "the plan is a value, made of values",
			own:    []string{"sync/v1alpha1"},
			others: []string{apiTypes, apimachinery},
			pure:   true,
		},
		"apply": {
			why:    "it is the only writer; what it writes was rendered, planned and decided elsewhere",
			own:    []string{"apply/account", "apply/kinds", "apply/owned", "apply/rollout", "diff", "health", "health/watch", "sync/render", "sync/v1alpha1"},
			others: []string{apiTypes, apimachinery, clientGo, placement, k8sUtils, managed, cron, prometheus, errgroup},
		},
		"apply/account": {
			why:    "it says as whom a request is made, and not of what",
			others: []string{apimachinery, clientGo},
		},
		"apply/owned": {
			why:    "it tells whether an object was touched, and knows not what it should be",
			own:    []string{"apply/account", "sync/v1alpha1"},
			others: []string{apimachinery, clientGo},
		},
		"apply/kinds": {
			why:    "clients of our kinds and nothing else, for whoever talks to the cluster",
			own:    []string{"sync/v1alpha1"},
			others: []string{apimachinery, clientGo},
		},
		"apply/rollout": {
			why:    "it decides about nodes that break: every decision must be repeatable from its input",
			own:    []string{"health"},
			others: []string{apimachinery, cron},
			pure:   true,
		},
		"apply/rollout/sim": {
			why:    "it plays a cluster for decisions, as repeatable as they are",
			own:    []string{"apply/rollout", "health"},
			others: []string{apimachinery},
			pure:   true,
		},
		"health": {
			why:    "a verdict depends on what was seen and when, and on nothing else",
			others: []string{apiTypes, apimachinery},
			pure:   true,
		},
		"health/watch": {
			why:    "it turns what informers see into a fleet, and decides nothing",
			own:    []string{"health", "sync/v1alpha1"},
			others: []string{apiTypes, apimachinery, clientGo, placement},
		},
	}
}

// impureImports is what a pure package must not import; a path forbids what is
// below it.
func impureImports() []string {
	return []string{
		"context", "io/ioutil", "log", "net", "os", "plugin", "syscall",
		"crypto/rand", "crypto/tls", "math/rand", // chance and connections by other names
		apimachinery + "/pkg/util/net",
		apimachinery + "/pkg/util/rand",
		apimachinery + "/pkg/util/runtime", // it logs
		apimachinery + "/pkg/util/uuid",
		apimachinery + "/pkg/util/wait",
	}
}

// impure are names of a package that is pure but for them.
type impure struct {
	// path is what is imported, and name what it is called there by itself.
	path, name string
	names      []string
}

// impureNames is what a pure package must not use: time is an argument, and so
// are files.
func impureNames() []impure {
	return []impure{
		{"time", "time", []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}},
		{apimachinery + "/pkg/apis/meta/v1", "v1", []string{"Now", "NowMicro"}},
		{"path/filepath", "filepath", []string{"Abs", "EvalSymlinks", "Glob", "Walk", "WalkDir"}},
		{kustomize + "/kyaml/filesys", "filesys", []string{"MakeFsOnDisk"}},
		{cron + "/v3", "cron", []string{"New"}}, // it runs by the clock; a parsed schedule does not
	}
}

// TestImports holds every package to its rule.
func TestImports(t *testing.T) {
	table := rules()
	seen := map[string]bool{}
	for _, name := range goFiles(t) {
		pkg := filepath.ToSlash(filepath.Dir(name))
		seen[pkg] = true
		r, known := table[pkg]
		if !known {
			t.Errorf("%s: package %s has no rule: add one to imports_test.go, with its reason", name, pkg)
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range violations(t, name, string(source), r) {
			t.Errorf("%s\n\tthe rule for %s: %s", problem, pkg, r.why)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(table)) {
		if !seen[pkg] {
			t.Errorf("package %s has a rule and no files: remove the rule", pkg)
		}
	}
}

// goFiles are the Go files of this module but the tests.
func goFiles(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || isModule(name)):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// violations are what one file does against a rule.
func violations(t *testing.T, name, source string, r rule) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if !r.allows(path) {
			out = append(out, fmt.Sprintf("%s: imports %s", files.Position(spec.Pos()), path))
		}
		if r.pure {
			out = append(out, impureUses(files, file, spec, path)...)
		}
	}
	return out
}

func (r rule) allows(path string) bool {
	own, isOwn := strings.CutPrefix(path, module)
	first, _, _ := strings.Cut(path, "/")
	switch {
	case r.everything:
		return true
	case isOwn:
		return slices.Contains(r.own, own)
	case r.pure && within(path, impureImports()):
		return false
	default:
		return !strings.Contains(first, ".") || within(path, r.others)
	}
}

// within is whether a path is one of others or below it.
func within(path string, others []string) bool {
	return slices.ContainsFunc(others, func(other string) bool { return path == other || strings.HasPrefix(path, other+"/") })
}

// impureUses are the places where a file uses what is not pure of one import.
func impureUses(files *token.FileSet, file *ast.File, spec *ast.ImportSpec, path string) []string {
	i := slices.IndexFunc(impureNames(), func(p impure) bool { return p.path == path })
	if i < 0 {
		return nil
	}
	p := impureNames()[i]
	name := p.name
	if spec.Name != nil {
		name = spec.Name.Name
	}
	if name == "." {
		return []string{fmt.Sprintf("%s: imports all names of %s", files.Position(spec.Pos()), path)}
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && x.Name == name && slices.Contains(p.names, selector.Sel.Name) {
			out = append(out, fmt.Sprintf("%s: uses %s.%s", files.Position(selector.Pos()), path, selector.Sel.Name))
		}
		return true
	})
	return out
}

// TestImportsAreRefused shows that the checker finds what it is there for.
func TestImportsAreRefused(t *testing.T) {
	table := rules()
	for name, c := range map[string]struct {
		pkg, source string
		want        []string
	}{
		"a client in a pure package": {
			pkg:    "diff",
			source: "package diff\nimport _ \"k8s.io/client-go/kubernetes\"\n",
			want:   []string{"a.go:2:8: imports k8s.io/client-go/kubernetes"},
		},
		"context, log and processes in a pure package": {
			pkg:    "health",
			source: "package health\nimport (\n\"context\"\n\"log\"\n\"log/slog\"\n\"plugin\"\n\"syscall\"\n)\n",
			want: []string{
				"a.go:3:1: imports context", "a.go:4:1: imports log", "a.go:5:1: imports log/slog",
				"a.go:6:1: imports plugin", "a.go:7:1: imports syscall",
			},
		},
		"the network in a pure package": {
			pkg:    "sync/render",
			source: "package render\nimport (\n\"net\"\n\"net/http\"\n\"net/url\"\n\"crypto/tls\"\n\"k8s.io/apimachinery/pkg/util/net\"\n)\n",
			want: []string{
				"a.go:3:1: imports net", "a.go:4:1: imports net/http", "a.go:5:1: imports net/url",
				"a.go:6:1: imports crypto/tls", "a.go:7:1: imports k8s.io/apimachinery/pkg/util/net",
			},
		},
		"the disk in a pure package": {
			pkg:    "sync/render",
			source: "package render\nimport (\n\"io/ioutil\"\n\"os\"\n\"os/exec\"\n)\n",
			want:   []string{"a.go:3:1: imports io/ioutil", "a.go:4:1: imports os", "a.go:5:1: imports os/exec"},
		},
		"the disk by way of what is otherwise pure": {
			pkg: "sync/render",
			source: "package render\nimport \"path/filepath\"\nimport \"sigs.k8s.io/kustomize/kyaml/filesys\"\n" +
				"var a, b = filepath.Walk, filepath.WalkDir\nvar c, d = filepath.Glob, filepath.Abs\nvar e = filepath.EvalSymlinks\nvar f = filesys.MakeFsOnDisk()\n",
			want: []string{
				"a.go:4:12: uses path/filepath.Walk", "a.go:4:27: uses path/filepath.WalkDir", "a.go:5:12: uses path/filepath.Glob",
				"a.go:5:27: uses path/filepath.Abs", "a.go:6:9: uses path/filepath.EvalSymlinks",
				"a.go:7:9: uses sigs.k8s.io/kustomize/kyaml/filesys.MakeFsOnDisk",
			},
		},
		"chance in a pure package": {
			pkg: "apply/rollout",
			source: "package rollout\nimport (\n\"crypto/rand\"\n\"math/rand\"\n\"math/rand/v2\"\n" +
				"\"k8s.io/apimachinery/pkg/util/rand\"\n\"k8s.io/apimachinery/pkg/util/uuid\"\n)\n",
			want: []string{
				"a.go:3:1: imports crypto/rand", "a.go:4:1: imports math/rand", "a.go:5:1: imports math/rand/v2",
				"a.go:6:1: imports k8s.io/apimachinery/pkg/util/rand", "a.go:7:1: imports k8s.io/apimachinery/pkg/util/uuid",
			},
		},
		"waiting and logging by what is otherwise pure": {
			pkg:    "diff",
			source: "package diff\nimport _ \"k8s.io/apimachinery/pkg/util/wait\"\nimport _ \"k8s.io/apimachinery/pkg/util/runtime\"\n",
			want:   []string{"a.go:2:8: imports k8s.io/apimachinery/pkg/util/wait", "a.go:3:8: imports k8s.io/apimachinery/pkg/util/runtime"},
		},
		"the clock in a pure package": {
			pkg:    "apply/rollout",
			source: "package rollout\nimport \"time\"\nvar a, b, c = time.Now(), time.Since, time.Until\n",
			want:   []string{"a.go:3:15: uses time.Now", "a.go:3:27: uses time.Since", "a.go:3:39: uses time.Until"},
		},
		"waiting in a pure package": {
			pkg: "health",
			source: "package health\nimport \"time\"\nvar a, b = time.After, time.AfterFunc\nvar c = time.Tick\n" +
				"var d, e = time.NewTimer, time.NewTicker\nfunc f() { time.Sleep(1) }\n",
			want: []string{
				"a.go:3:12: uses time.After", "a.go:3:24: uses time.AfterFunc", "a.go:4:9: uses time.Tick",
				"a.go:5:12: uses time.NewTimer", "a.go:5:27: uses time.NewTicker", "a.go:6:12: uses time.Sleep",
			},
		},
		"the clock of Kubernetes": {
			pkg:    "diff",
			source: "package diff\nimport metav1 \"k8s.io/apimachinery/pkg/apis/meta/v1\"\nvar a, b = metav1.Now(), metav1.NowMicro()\n",
			want: []string{
				"a.go:3:12: uses k8s.io/apimachinery/pkg/apis/meta/v1.Now",
				"a.go:3:26: uses k8s.io/apimachinery/pkg/apis/meta/v1.NowMicro",
			},
		},
		"the clock of Kubernetes by its own name": {
			pkg:    "health",
			source: "package health\nimport \"k8s.io/apimachinery/pkg/apis/meta/v1\"\nvar a = v1.Now()\n",
			want:   []string{"a.go:3:9: uses k8s.io/apimachinery/pkg/apis/meta/v1.Now"},
		},
		"the clock in a played cluster": {
			pkg:    "apply/rollout/sim",
			source: "package sim\nimport \"time\"\nvar a = time.Now()\n",
			want:   []string{"a.go:3:9: uses time.Now"},
		},
		"the clock of a schedule": {
			pkg:    "apply/rollout",
			source: "package rollout\nimport \"github.com/robfig/cron/v3\"\nvar a = cron.New()\n",
			want:   []string{"a.go:3:9: uses github.com/robfig/cron/v3.New"},
		},
		"the clock by another name": {
			pkg:    "sync/render",
			source: "package render\nimport clock \"time\"\nvar a = clock.Now()\n",
			want:   []string{"a.go:3:9: uses time.Now"},
		},
		"the clock by one of two names": {
			pkg:    "sync/render",
			source: "package render\nimport clock \"time\"\nimport \"time\"\nvar a, b = clock.Now(), time.Second\n",
			want:   []string{"a.go:4:12: uses time.Now"},
		},
		"the clock by no name": {
			pkg:    "diff",
			source: "package diff\nimport . \"time\"\nvar a = Now()\n",
			want:   []string{"a.go:2:8: imports all names of time"},
		},
		"upward": {
			pkg:    "apply",
			source: "package apply\nimport _ \"github.com/rollcall-dev/rollcall/sync\"\n",
			want:   []string{"a.go:2:8: imports github.com/rollcall-dev/rollcall/sync"},
		},
		"the cluster where strangers' files are read": {
			pkg:    "sync/git",
			source: "package git\nimport _ \"k8s.io/api/core/v1\"\n",
			want:   []string{"a.go:2:8: imports k8s.io/api/core/v1"},
		},
		"a neighbour by the beginning of its name": {
			pkg:    "health",
			source: "package health\nimport _ \"k8s.io/apiserver/pkg/server\"\n",
			want:   []string{"a.go:2:8: imports k8s.io/apiserver/pkg/server"},
		},
		"what is allowed": {
			pkg: "apply/rollout",
			source: "package rollout\nimport (\n\"slices\"\n\"time\"\n\"github.com/robfig/cron/v3\"\n" +
				"\"github.com/rollcall-dev/rollcall/health\"\n\"k8s.io/apimachinery/pkg/types\"\n)\nvar a = time.Second\n",
		},
		"what is allowed of files and times that are given": {
			pkg: "sync/render",
			source: "package render\nimport (\n\"io/fs\"\n\"path/filepath\"\n\"time\"\n\"k8s.io/apimachinery/pkg/apis/meta/v1\"\n" +
				"\"sigs.k8s.io/kustomize/kyaml/filesys\"\n)\nvar a filepath.WalkFunc\nvar b, c = fs.WalkDir, filesys.MakeFsInMemory()\n" +
				"var d = v1.NewTime(time.Time{})\n",
		},
		"everything where everything is wired": {
			pkg:    "cmd/rollcall",
			source: "package main\nimport \"time\"\nimport _ \"k8s.io/client-go/kubernetes\"\nvar a = time.Now()\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, violations(t, "a.go", c.source, table[c.pkg])); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTopLevel keeps the first page of the repository short: packages, and the
// files that tools look for. Names that begin with a dot are the tools' own.
func TestTopLevel(t *testing.T) {
	want := map[string]bool{} // whether it may be missing
	for _, name := range []string{
		"apply", "charts", "cmd", "diff", "e2e", "health", "sync",
		"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum", "imports_test.go",
	} {
		want[name] = false
	}
	for _, name := range []string{
		"docs",
		"bin", // what make builds, not in Git
	} {
		want[name] = true
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, known := want[entry.Name()]; !known && !strings.HasPrefix(entry.Name(), ".") {
			t.Errorf("%s does not belong to the top of the repository", entry.Name())
		}
		delete(want, entry.Name())
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !want[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestPromisesHaveTheirTests wants each promise of docs/promises.md to name tests,
// and those to exist.
func TestPromisesHaveTheirTests(t *testing.T) {
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, found := range declared.FindAllSubmatch(source, -1) {
			tests[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| \*\*P\d+\*\* \|.*$`).FindAllString(string(page), -1)
	if len(rows) != 11 {
		t.Errorf("%d promises, want 11", len(rows))
	}
	named := regexp.MustCompile("`(Test\\w+)`")
	for _, row := range rows {
		names := named.FindAllStringSubmatch(row, -1)
		if len(names) == 0 {
			t.Errorf("no test is named: %s", row)
		}
		for _, name := range names {
			if !tests[name[1]] {
				t.Errorf("there is no %s: %s", name[1], row)
			}
		}
	}
}

// TestMapsAreWhole wants the map in the doc.go of a large package to name each of its
// files, and nothing else.
func TestMapsAreWhole(t *testing.T) {
	entry := regexp.MustCompile(`(?m)^//\t([a-z, ]+?),?(?: \.+ .*)?$`)
	for _, pkg := range []string{"apply", "sync"} {
		page, err := os.ReadFile(filepath.Join(pkg, "doc.go"))
		if err != nil {
			t.Fatal(err)
		}
		named := []string{"doc"}
		for _, found := range entry.FindAllStringSubmatch(string(page), -1) {
			named = append(named, strings.Split(found[1], ", ")...)
		}
		var files []string
		for _, name := range goFiles(t) {
			if filepath.Dir(name) == pkg {
				files = append(files, strings.TrimSuffix(filepath.Base(name), ".go"))
			}
		}
		slices.Sort(named)
		slices.Sort(files)
		if diff := cmp.Diff(files, named); diff != "" {
			t.Errorf("files of %s and its doc.go (-files +named):\n%s", pkg, diff)
		}
	}
}
