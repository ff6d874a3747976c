package render_test

import (
	"fmt"
	"syscall"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/rollcall-dev/rollcall/sync/render"
)

// manyObjects is a directory of n objects, ten to a file: of ten objects one is a DaemonSet, two are ConfigMaps that it
// reads. With a kustomization, that sets a namespace and labels.
func manyObjects(n int, kustomized bool) fstest.MapFS {
	tree := fstest.MapFS{}
	list := "resources:\n"
	for file := 0; file*10 < n; file++ {
		text := ""
		for i := file * 10; i < min(n, file*10+10); i++ {
			switch i % 10 {
			case 0:
				text += fmt.Sprintf("---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: ds%d}\nspec:\n  selector: {matchLabels: {app: ds%d}}\n  template:\n"+
					"    metadata: {labels: {app: ds%d}}\n    spec:\n      containers:\n      - name: c\n        image: registry.example.com/agent:1.0\n        envFrom: [{configMapRef: {name: c%d}}, {configMapRef: {name: c%d}}]\n"+
					"        readinessProbe: {httpGet: {path: /, port: 80}}\n        resources: {requests: {cpu: 10m, memory: 20Mi}}\n", i, i, i, i+1, i+2)
			case 1, 2, 3, 4:
				text += fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\ndata: {a: \"1\", file: \"x=1\\ny=2\\n\"}\n", i)
			case 5, 6:
				text += fmt.Sprintf("---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: sa%d}\n", i)
			default:
				text += fmt.Sprintf("---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r%d}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get, list]}]\n", i)
			}
		}
		name := fmt.Sprintf("f%d.yaml", file)
		tree[name] = &fstest.MapFile{Data: []byte(text)}
		list += "- " + name + "\n"
	}
	if kustomized {
		tree["kustomization.yaml"] = &fstest.MapFile{Data: []byte("namespace: agents\nlabels: [{pairs: {part: agents}}]\n" + list)}
	}
	return tree
}

// BenchmarkRender compares, side by side, what rendering costs here and what kustomize alone needs for the same input
// in memory, to the same YAML. A plain directory is one whose kustomization names its files, for kustomize.
func BenchmarkRender(b *testing.B) {
	for _, n := range []int{10, 100, 500, 1000} {
		for _, kind := range []string{"plain", "kustomization"} {
			kustomized := kind == "kustomization"
			b.Run(fmt.Sprintf("%s/%d/rollcall", kind, n), func(b *testing.B) {
				tree := manyObjects(n, kustomized)
				defer cpu(b)()
				for b.Loop() {
					if _, err := render.Build(tree, render.Options{}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%s/%d/kustomize", kind, n), func(b *testing.B) {
				disk := filesys.MakeFsInMemory()
				tree := manyObjects(n, true)
				for name, file := range tree {
					data := file.Data
					if name == "kustomization.yaml" && !kustomized {
						data = withoutTransformers(data)
					}
					if err := disk.WriteFile("/"+name, data); err != nil {
						b.Fatal(err)
					}
				}
				defer cpu(b)()
				for b.Loop() {
					options := krusty.MakeDefaultOptions()
					options.PluginConfig = types.DisabledPluginConfig()
					made, err := krusty.MakeKustomizer(options).Run(disk, "/")
					if err != nil {
						b.Fatal(err)
					}
					if _, err := made.AsYaml(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// cpu reports the CPU time of an operation: the machine may have others to serve.
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N)/1e6, "cpu-ms/op") }
}

// withoutTransformers leaves the resources of a kustomization.
func withoutTransformers(kustomization []byte) []byte {
	for i := range kustomization {
		if len(kustomization)-i > 10 && string(kustomization[i:i+10]) == "resources:" {
			return kustomization[i:]
		}
	}
	return kustomization
}
