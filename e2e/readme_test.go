package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestREADMEExamples decodes every YAML example of the README into its kind,
// with no field too many, and asks a real API server whether it takes it.
func TestREADMEExamples(t *testing.T) {
	t.Parallel()
	examples := readmeExamples(t)
	c, err := cluster.Start(t.Context(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := product.InstallCRDs(t.Context(), c.Dynamic); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, raw := range examples {
		kind := decodeExample(t, raw)
		seen[kind] = true
		var o unstructured.Unstructured
		if err := json.Unmarshal(raw, &o.Object); err != nil {
			t.Fatal(err)
		}
		client := c.Dynamic.Resource(v1alpha1.GroupVersion().WithResource(map[string]string{"GitSync": "gitsyncs", "RolloutPolicy": "rolloutpolicies", "NodeRollout": "noderollouts"}[kind]))
		how := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
		if kind != "RolloutPolicy" {
			o.SetNamespace(metav1.NamespaceDefault) // the example's is there only after an installation
			_, err = client.Namespace(o.GetNamespace()).Create(t.Context(), &o, how)
		} else {
			_, err = client.Create(t.Context(), &o, how)
		}
		if err != nil {
			t.Errorf("the API server refuses the %s of the README: %v", kind, err)
		}
	}
	for _, kind := range []string{"GitSync", "RolloutPolicy", "NodeRollout"} {
		if !seen[kind] {
			t.Errorf("the README has no example of a %s", kind)
		}
	}
}

// readmeExamples are the YAML blocks of the README, as JSON.
func readmeExamples(t *testing.T) []json.RawMessage {
	t.Helper()
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []json.RawMessage
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		for _, document := range strings.Split(string(block[1]), "\n---\n") {
			raw, err := yaml.ToJSON([]byte(document))
			if err != nil {
				t.Fatalf("%v in the README's\n%s", err, document)
			}
			out = append(out, raw)
		}
	}
	return out
}

// decodeExample decodes strictly, and returns the kind.
func decodeExample(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var meta metav1.TypeMeta
	if err := json.Unmarshal(raw, &meta); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	into, err := scheme.New(meta.GroupVersionKind())
	if err != nil {
		t.Fatalf("%v in the README's\n%s", err, raw)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Errorf("%v in the README's\n%s", err, raw)
	}
	return meta.Kind
}
