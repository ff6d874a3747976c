package sync

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func daemonSet(name, after string) render.DaemonSet {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetNamespace("net")
	u.SetName(name)
	if after != "" {
		u.SetAnnotations(map[string]string{v1alpha1.AnnotationAfter: after})
	}
	return render.DaemonSet{Object: render.Object{Unstructured: u}}
}

func TestDeclaredInOrder(t *testing.T) {
	refused := errors.New("refused")
	for sentence, c := range map[string]struct {
		all  []render.DaemonSet
		fail string
		want string
		err  string
	}{
		"what comes after nothing stays in its place": {all: []render.DaemonSet{daemonSet("b", ""), daemonSet("a", "")}, want: "b a"},
		"a predecessor is declared first":             {all: []render.DaemonSet{daemonSet("dns", "cni"), daemonSet("log", ""), daemonSet("cni", "")}, want: "cni dns log"},
		"also over several steps":                     {all: []render.DaemonSet{daemonSet("a", "net/b, log"), daemonSet("b", "c"), daemonSet("c", ""), daemonSet("log", "")}, want: "c b log a"},
		"one of another namespace is another one":     {all: []render.DaemonSet{daemonSet("dns", "other/cni"), daemonSet("cni", "")}, want: "dns cni"},
		"those of a cycle are declared all the same":  {all: []render.DaemonSet{daemonSet("a", "b"), daemonSet("b", "a")}, want: "b a"},
		"what comes after a refused one waits": {all: []render.DaemonSet{daemonSet("dns", "cni"), daemonSet("cni", ""), daemonSet("log", "dns"), daemonSet("csi", "")}, fail: "cni", want: "cni csi",
			err: "refused\nDaemonSet net/dns waits: it comes after DaemonSet net/cni, which could not be declared\nDaemonSet net/log waits: it comes after DaemonSet net/dns, which could not be declared"},
	} {
		t.Run(sentence, func(t *testing.T) {
			var order []string
			err := declareInOrder(c.all, func(ds render.DaemonSet) error {
				order = append(order, ds.GetName())
				if ds.GetName() == c.fail {
					return refused
				}
				return nil
			})
			if diff := cmp.Diff(c.want, strings.Join(order, " ")); diff != "" {
				t.Error(diff)
			}
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.err, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
