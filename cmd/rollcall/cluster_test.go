package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// cluster answers for an API server as far as scripts about what a command says
// need it: it reads objects, lists them and merges a patch of a spec. What the
// API server itself decides is tested in e2e.
type cluster struct {
	mu      sync.Mutex
	objects []*unstructured.Unstructured
	// answers is whether a controller answers retries.
	answers bool
}

// startCluster is the script command "cluster FILE [asleep]": it serves the
// objects of the file, and writes the kubeconfig.
func startCluster(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: cluster FILE [asleep]")
	}
	c := &cluster{answers: !slices.Contains(args, "asleep")}
	for document := range strings.SplitSeq(ts.ReadFile(args[0]), "\n---\n") {
		o := &unstructured.Unstructured{}
		ts.Check(yaml.Unmarshal([]byte(document), &o.Object))
		c.objects = append(c.objects, o)
	}
	server := httptest.NewServer(c)
	ts.Defer(server.Close)
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","contexts":[{"name":"a","context":{"cluster":"a","namespace":"kube-system"}}],"clusters":[{"name":"a","cluster":{"server":%q}}]}`, server.URL)
	ts.Check(os.WriteFile(ts.Getenv("KUBECONFIG"), []byte(config), 0o600))
}

// resource is what a path names.
type resource struct {
	apiVersion, namespace, plural, name string
}

func parsePath(path string) resource {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var r resource
	if parts[0] == "api" {
		r.apiVersion, parts = parts[1], parts[2:]
	} else {
		r.apiVersion, parts = parts[1]+"/"+parts[2], parts[3:]
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		r.namespace, parts = parts[1], parts[2:]
	}
	r.plural = parts[0]
	if len(parts) > 1 {
		r.name = parts[1]
	}
	return r
}

func (r resource) matches(o *unstructured.Unstructured) bool {
	return o.GetAPIVersion() == r.apiVersion && pluralOf(o.GetKind()) == r.plural &&
		(r.namespace == "" || r.namespace == o.GetNamespace()) && (r.name == "" || r.name == o.GetName())
}

func pluralOf(kind string) string {
	kind = strings.ToLower(kind)
	if stem, is := strings.CutSuffix(kind, "y"); is {
		return stem + "ies"
	}
	return kind + "s"
}

// ServeHTTP answers get, list and patch. A kind of rollcall's that has no object
// at all is not installed.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := parsePath(r.URL.Path)
	var found []any
	installed := false
	for _, o := range c.objects {
		installed = installed || o.GetAPIVersion() == asked.apiVersion
		if asked.matches(o) {
			found = append(found, o)
		}
	}
	switch {
	case strings.Contains(asked.apiVersion, "rollcall.dev") && !installed, asked.name != "" && len(found) == 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Message: "not found", Code: http.StatusNotFound})
		return
	case r.Method == http.MethodPatch:
		c.patch(found[0].(*unstructured.Unstructured), r)
	}
	w.Header().Set("Content-Type", "application/json")
	if asked.name != "" {
		_ = json.NewEncoder(w).Encode(found[0])
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": asked.apiVersion, "kind": kindOfList(asked.plural), "items": slices.Concat([]any{}, found)})
}

func kindOfList(plural string) string {
	return map[string]string{"gitsyncs": "GitSyncList", "noderollouts": "NodeRolloutList", "nodes": "NodeList", "pods": "PodList",
		"controllerrevisions": "ControllerRevisionList", "namespaces": "NamespaceList"}[plural]
}

// patch merges a spec, and answers a retry as the controller does.
func (c *cluster) patch(o *unstructured.Unstructured, r *http.Request) {
	var patch struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil || r.URL.Query().Get("fieldManager") != fieldManager {
		return
	}
	for key, value := range patch.Spec {
		_ = unstructured.SetNestedField(o.Object, value, "spec", key)
		if key == "retry" && c.answers {
			_ = unstructured.SetNestedField(o.Object, value, "status", "handledRetry")
		}
	}
}
