package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	restwatch "k8s.io/client-go/rest/watch"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// BenchmarkMemoryOfTheProcess starts the real process on a fleet at rest and reads
// what it has resident, once everything is watched, and at the most. The API server is
// one that streams nodes and pods as a grown cluster has them, in protobuf, each pod
// with its managed fields; there are as many DaemonSets as ROLLCALL_BENCH_DAEMONSETS,
// else 1, and ROLLCALL_BENCH_NODES nodes, else 15,000.
func BenchmarkMemoryOfTheProcess(b *testing.B) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	s := &standstill{nodes: number("ROLLCALL_BENCH_NODES", 15000), daemonSets: number("ROLLCALL_BENCH_DAEMONSETS", 1), kept: map[string][]byte{}}
	dir := b.TempDir()
	binary := filepath.Join(dir, "rollcall")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","contexts":[{"name":"a","context":{"cluster":"a","namespace":"kube-system"}}],"clusters":[{"name":"a","cluster":{"server":%q}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for what, kib := range s.measure(b, binary, kubeconfig) {
			b.ReportMetric(float64(kib)/1024, "MiB-"+what)
		}
	}
	server.CloseClientConnections()
}

// measure runs the process until it has decided about every DaemonSet, and half a
// minute more, which is what a collection at rest takes to give memory back.
func (s *standstill) measure(b *testing.B, binary, kubeconfig string) map[string]int {
	b.Helper()
	s.begin()
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	process := exec.CommandContext(b.Context(), binary, "controller", "--kubeconfig", kubeconfig, "--metrics-bind-address", "127.0.0.1:0", "--page-bind-address", "127.0.0.1:0")
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}()
	for deadline := time.Now().Add(5 * time.Minute); s.decided() < s.daemonSets; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			b.Fatalf("%d of %d DaemonSets are decided about: %s", s.decided(), s.daemonSets, said[:min(len(said), 4000)])
		}
	}
	time.Sleep(30 * time.Second)
	out := map[string]int{}
	for _, what := range []string{"VmRSS", "RssAnon", "VmHWM"} {
		out[what] = resident(b, process.Process.Pid, what)
	}
	return out
}

// resident reads KiB from Linux' /proc.
func resident(b *testing.B, pid int, what string) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == what+":" {
			n, _ := strconv.Atoi(fields[1])
			return n
		}
	}
	b.Fatalf("no %s in /proc", what)
	return 0
}

// standstill answers for the API server of a fleet at rest, as far as a process asks
// it that has nothing to do.
type standstill struct {
	nodes, daemonSets int

	mu      sync.Mutex
	kept    map[string][]byte
	written map[string]bool
}

func (s *standstill) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.written = map[string][]byte{}, map[string]bool{}
	for i := range s.daemonSets {
		n := &v1alpha1.NodeRollout{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "NodeRollout"}, ObjectMeta: s.meta(fmt.Sprint("agent-", i), "rollout")}
		n.Namespace, n.Status.Phase, n.Status.Reason = "kube-system", v1alpha1.PhaseProven, "Proven"
		n.Status.Proven = &v1alpha1.Version{Digest: "sha256:proven", Revision: fmt.Sprintf("agent-%d-7d9f8c6b5", i)}
		s.kept[n.Name], _ = json.Marshal(n)
	}
}

// decided counts the DaemonSets for which a status was written.
func (s *standstill) decided() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.written)
}

func (s *standstill) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	switch {
	case last == "version":
		_, _ = w.Write([]byte(`{"major":"1","minor":"36","gitVersion":"v1.36.3"}`))
	case r.URL.Query().Get("watch") != "":
		s.stream(w, r, last)
	case strings.Contains(r.URL.Path, "rollcall.dev"):
		s.own(w, r, parts)
	case r.Method == http.MethodGet && len(parts) > 2 && parts[len(parts)-2] == "daemonsets":
		answer(w, r, s.daemonSet(last))
	case r.Method == http.MethodPost || r.Method == http.MethodPut:
		copied(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
	}
}

// own keeps what is written of rollcall's own kinds.
func (s *standstill) own(w http.ResponseWriter, r *http.Request, parts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	for name := range s.kept {
		if !strings.Contains(r.URL.Path, "/noderollouts/"+name) {
			continue
		}
		if r.Method == http.MethodPut {
			var raw json.RawMessage
			_ = json.NewDecoder(r.Body).Decode(&raw)
			s.kept[name], s.written[name] = raw, true
		}
		_, _ = w.Write(s.kept[name])
		return
	}
	if kind := kindOfList(parts[len(parts)-1]); kind != "" || parts[len(parts)-1] == "rolloutpolicies" {
		_, _ = fmt.Fprintf(w, `{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":"1"},"items":[%s]}`, v1alpha1.GroupVersion(), kind, s.items(kind))
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (s *standstill) items(kind string) string {
	var all []string
	if kind == "NodeRolloutList" {
		for i := range s.daemonSets {
			all = append(all, string(s.kept[fmt.Sprint("agent-", i)]))
		}
	}
	return strings.Join(all, ",")
}

// stream sends what there is, says that it was all, and stays open.
func (s *standstill) stream(w http.ResponseWriter, r *http.Request, plural string) {
	if strings.Contains(r.URL.Path, "rollcall.dev") {
		s.streamOwn(w, r, plural)
		return
	}
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	group := schema.GroupVersion{Version: "v1"}
	if strings.HasPrefix(r.URL.Path, "/apis/apps/") {
		group.Group = appsv1.GroupName
	}
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	outer := streaming.NewEncoder(info.StreamSerializer.NewFrameWriter(w), scheme.Codecs.EncoderForVersion(info.StreamSerializer.Serializer, schema.GroupVersion{Version: "v1"}))
	encoder := restwatch.NewEncoder(outer, scheme.Codecs.EncoderForVersion(info.Serializer, group))
	var example runtime.Object
	send := func(kind watch.EventType, o runtime.Object) bool {
		example = o
		return encoder.Encode(&watch.Event{Type: kind, Object: o}) == nil
	}
	s.each(plural, func(o runtime.Object) bool { return send(watch.Added, o) })
	if m, ok := example.(metav1.Object); ok && r.URL.Query().Get("sendInitialEvents") == "true" {
		m.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		send(watch.Bookmark, example)
	}
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// streamOwn is stream for rollcall's own kinds, which have no protobuf.
func (s *standstill) streamOwn(w http.ResponseWriter, r *http.Request, plural string) {
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	for i := 0; plural == "noderollouts" && i < s.daemonSets; i++ {
		_, _ = fmt.Fprintf(w, `{"type":"ADDED","object":%s}`, s.kept[fmt.Sprint("agent-", i)])
	}
	s.mu.Unlock()
	kind := map[string]string{"noderollouts": "NodeRollout", "gitsyncs": "GitSync", "rolloutpolicies": "RolloutPolicy"}[plural]
	_, _ = fmt.Fprintf(w, `{"type":"BOOKMARK","object":{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":"1","annotations":{%q:"true"}}}}`, v1alpha1.GroupVersion(), kind, metav1.InitialEventsAnnotationKey)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func (s *standstill) each(plural string, send func(runtime.Object) bool) {
	switch plural {
	case "nodes":
		for i := 0; i < s.nodes && send(s.node(i)); i++ {
		}
	case "pods":
		for i := 0; i < s.nodes*s.daemonSets && send(s.pod(i)); i++ {
		}
	case "daemonsets":
		for i := 0; i < s.daemonSets && send(s.daemonSet(fmt.Sprint("agent-", i))); i++ {
		}
	case "controllerrevisions":
		for i := 0; i < s.daemonSets && send(s.revision(i)); i++ {
		}
	}
}

func answer(w http.ResponseWriter, _ *http.Request, o runtime.Object) {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	_ = scheme.Codecs.EncoderForVersion(info.Serializer, appsv1.SchemeGroupVersion).Encode(o, w)
}

// copied answers a write with what was written.
func copied(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.WriteHeader(http.StatusCreated)
	buffer := make([]byte, 1<<20)
	for {
		n, err := r.Body.Read(buffer)
		_, _ = w.Write(buffer[:n])
		if err != nil {
			return
		}
	}
}
