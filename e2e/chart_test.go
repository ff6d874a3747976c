package e2e

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/restmapper"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// release is the name and namespace that the tests install the chart under.
const (
	release          = "rollcall"
	releaseNamespace = "rollcall-system"
)

// forScenarios are the values of every other test: rollcall may also apply the
// custom resources of one of them, and the Deployments of another.
const forScenarios = `
rbac:
  extraRules:
  - {apiGroups: [e2e.rollcall.dev], resources: [widgets], verbs: [get, create, patch, delete]}
  - {apiGroups: [apps], resources: [deployments], verbs: [get, create, patch, delete]}
`

// asAccountsOnly are values under which rollcall has no right to write what Git
// declares but as a ServiceAccount.
const asAccountsOnly = "{defaultServiceAccount: applier, rbac: {ownRights: false}}"

// narrowed are the same in one namespace, as accounts of one name.
const narrowed = "{defaultServiceAccount: applier, rbac: {ownRights: false, impersonate: {names: [applier], namespaces: [default]}}}"

// everything is a set of values that switches on all that is off by default.
const everything = `
fullnameOverride: fleet-rollcall
commonLabels: {team: platform}
replicaCount: 3
image: {repository: example/rollcall, digest: "sha256:` + sixtyFour + `"}
imagePullSecrets: [{name: pull}]
logLevel: debug
caps: {max-declared-values: 2000000, reader-memory: 1Gi, reader-timeout: 1m30s}
extraArgs: [--kube-api-qps=50]
extraEnv: [{name: HTTPS_PROXY, value: "http://proxy.example:3128"}]
hostNetwork: true
apiServer: {host: 192.0.2.1, port: 6443}
serviceAccount: {annotations: {example.com/role: rollcall}}
rbac:
  extraRules:
  - {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get, create, patch, delete]}
podAnnotations: {example.com/a: b}
podLabels: {example.com/c: d}
affinity: {nodeAffinity: {}}
topologySpreadConstraints:
- {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}
service: {annotations: {example.com/e: f}}
podDisruptionBudget: {maxUnavailable: 50%}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
networkPolicy:
  enabled: true
  from: [{namespaceSelector: {matchLabels: {name: monitoring}}}]
  pageFrom: [{namespaceSelector: {matchLabels: {name: ingress}}}]
  egress: [{ports: [{port: 443, protocol: TCP}]}]
`

const sixtyFour = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestChart shows that what the chart renders is accepted by a real API server,
// field by field.
func TestChart(t *testing.T) {
	t.Parallel()
	c := bareCluster(t)
	create(t, c, namespace())
	for name, want := range map[string]struct {
		values string
		kinds  []string
	}{
		"as it is": {kinds: []string{
			"ClusterRole", "ClusterRole", "ClusterRoleBinding", "ClusterRoleBinding", "Deployment", "PodDisruptionBudget",
			"Role", "RoleBinding", "Service", "ServiceAccount",
		}},
		"everything on": {values: everything, kinds: []string{
			"ClusterRole", "ClusterRole", "ClusterRoleBinding", "ClusterRoleBinding", "Deployment", "NetworkPolicy",
			"PodDisruptionBudget", "PrometheusRule", "Role", "RoleBinding", "Service", "ServiceAccount", "ServiceMonitor",
		}},
		"everything off": {
			values: "{serviceAccount: {create: false, name: mine}, rbac: {create: false}, podDisruptionBudget: {enabled: false}}",
			kinds:  []string{"Deployment", "Service"},
		},
		"only what the controller needs": {
			values: "{rbac: {applyDefaults: false}}",
			kinds: []string{
				"ClusterRole", "ClusterRoleBinding", "Deployment", "PodDisruptionBudget", "Role", "RoleBinding", "Service", "ServiceAccount",
			},
		},
		"only as accounts": {values: asAccountsOnly, kinds: []string{
			"ClusterRole", "ClusterRoleBinding", "Deployment", "PodDisruptionBudget", "Role", "RoleBinding", "Service", "ServiceAccount",
		}},
		"only as accounts of one namespace": {values: narrowed, kinds: []string{
			"ClusterRole", "ClusterRoleBinding", "Deployment", "PodDisruptionBudget", "Role", "Role", "RoleBinding", "RoleBinding", "Service", "ServiceAccount",
		}},
		"rules of one's own": {
			values: "{rbac: {applyDefaults: false, extraRules: [{apiGroups: [''], resources: [configmaps], verbs: [get, create, patch, delete]}]}}",
			kinds: []string{
				"ClusterRole", "ClusterRole", "ClusterRoleBinding", "ClusterRoleBinding", "Deployment", "PodDisruptionBudget",
				"Role", "RoleBinding", "Service", "ServiceAccount",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects := chartObjects(t, want.values)
			var kinds []string
			for _, object := range objects {
				kinds = append(kinds, object.GetKind())
			}
			slices.Sort(kinds)
			if diff := cmp.Diff(want.kinds, kinds); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
			for _, object := range objects {
				if object.GroupVersionKind().Group != "monitoring.coreos.com" {
					create(t, c, object, metav1.DryRunAll)
				}
			}
		})
	}
}

// TestChartDeployment looks at what the pod of the chart may do and how it is
// started.
func TestChartDeployment(t *testing.T) {
	t.Parallel()
	args := func(name, port, level string) []string {
		return []string{
			"controller", "--leader-elect", "--lease-name=" + name, "--metrics-bind-address=:" + port, "--page-bind-address=:8081",
			"--cache-dir=/cache", "--log-format=json", "--log-level=" + level,
		}
	}
	t.Run("as it is", func(t *testing.T) {
		d := deployment(t, "")
		pod, container := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
		if diff := cmp.Diff(args("rollcall", "8080", "info"), container.Args); diff != "" {
			t.Errorf("args (-want +got):\n%s", diff)
		}
		for _, what := range []struct {
			holds bool
			name  string
		}{
			{*d.Spec.Replicas == 2, "2 replicas"},
			{!pod.HostNetwork && pod.DNSPolicy == "ClusterFirst", "the pod network"},
			{pod.PriorityClassName == "system-cluster-critical", "priority"},
			{len(pod.Tolerations) == 1 && pod.Tolerations[0].Operator == "Exists" && pod.Tolerations[0].Key == "", "every taint tolerated"},
			{*pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser != 0, "not root"},
			{pod.SecurityContext.SeccompProfile.Type == "RuntimeDefault", "seccomp"},
			{*container.SecurityContext.ReadOnlyRootFilesystem, "read-only root file system"},
			{!*container.SecurityContext.AllowPrivilegeEscalation, "no privilege escalation"},
			{slices.Equal(container.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}), "no capabilities"},
			{pod.Volumes[0].EmptyDir.SizeLimit.String() == "1Gi", "a bounded cache"},
			{container.LivenessProbe.HTTPGet.Path == "/healthz" && container.ReadinessProbe.HTTPGet.Path == "/readyz", "probes"},
			{container.Image == "rollcall:0.1.0", "the image"},
		} {
			if !what.holds {
				t.Errorf("not as wanted: %s", what.name)
			}
		}
	})
	t.Run("only as accounts", func(t *testing.T) {
		want := append(args("rollcall", "8080", "info"), "--default-service-account=applier")
		if diff := cmp.Diff(want, deployment(t, asAccountsOnly).Spec.Template.Spec.Containers[0].Args); diff != "" {
			t.Errorf("args (-want +got):\n%s", diff)
		}
	})
	t.Run("everything on", func(t *testing.T) {
		d := deployment(t, everything)
		pod, container := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
		if diff := cmp.Diff(append(args("fleet-rollcall", "8080", "debug"), "--max-declared-values=2000000", "--reader-memory=1Gi", "--reader-timeout=1m30s", "--kube-api-qps=50"), container.Args); diff != "" {
			t.Errorf("args (-want +got):\n%s", diff)
		}
		environment := map[string]string{}
		for _, variable := range container.Env {
			environment[variable.Name] = variable.Value
			if from := variable.ValueFrom; from != nil && from.FieldRef != nil {
				environment[variable.Name] = "its " + from.FieldRef.FieldPath
			}
		}
		if diff := cmp.Diff(map[string]string{
			"TMPDIR": "/cache", "NODE_NAME": "its spec.nodeName", "POD_IP": "its status.podIP", "KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "6443", "HTTPS_PROXY": "http://proxy.example:3128",
		}, environment); diff != "" {
			t.Errorf("environment (-want +got):\n%s", diff)
		}
		if !pod.HostNetwork || pod.DNSPolicy != "ClusterFirstWithHostNet" || d.Spec.Strategy.RollingUpdate.MaxSurge.IntValue() != 0 {
			t.Errorf("on the host's network: DNS %s, strategy %v", pod.DNSPolicy, d.Spec.Strategy.RollingUpdate)
		}
		if want := "example/rollcall@sha256:" + sixtyFour; container.Image != want {
			t.Errorf("image %s, want %s", container.Image, want)
		}
	})
}

// TestChartRefusals shows that the schema says what is wrong with values.
func TestChartRefusals(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]refusal{
		"a key that there is not":              {"{replicas: 3}", []string{"'replicas' not allowed"}},
		"a key that there is not, further in":  {"{image: {name: x}}", []string{"at '/image'", "'name' not allowed"}},
		"a number in quotes":                   {"{replicaCount: '3'}", []string{"at '/replicaCount'", "want integer"}},
		"an unknown log format":                {"{logFormat: xml}", []string{"at '/logFormat'", "'json', 'text'"}},
		"an unknown log level":                 {"{logLevel: loud}", []string{"at '/logLevel'"}},
		"no repository":                        {"{image: {repository: ''}}", []string{"at '/image/repository'"}},
		"a digest that is none":                {"{image: {digest: latest}}", []string{"at '/image/digest'"}},
		"a port that is none":                  {"{port: 0}", []string{"at '/port'"}},
		"a size without a unit that there is":  {"{cache: {sizeLimit: 1GB}}", []string{"at '/cache/sizeLimit'"}},
		"an unknown effect of a taint":         {"{tolerations: [{operator: Exists, effect: NoRun}]}", []string{"at '/tolerations/0/effect'"}},
		"a rule without verbs":                 {"{rbac: {extraRules: [{resources: [pods]}]}}", []string{"at '/rbac/extraRules/0'", "verbs"}},
		"a rule with a slip":                   {"{rbac: {extraRules: [{apiGroup: [''], verbs: [get]}]}}", []string{"'apiGroup' not allowed"}},
		"an interval of seconds":               {"{serviceMonitor: {interval: '30'}}", []string{"at '/serviceMonitor/interval'"}},
		"a budget of more than all":            {"{podDisruptionBudget: {maxUnavailable: 101%}}", []string{"at '/podDisruptionBudget/maxUnavailable'"}},
		"a list of pull secrets by their name": {"{imagePullSecrets: [pull]}", []string{"at '/imagePullSecrets/0'"}},
		"a default account with a namespace":   {"{defaultServiceAccount: team/applier}", []string{"at '/defaultServiceAccount'"}},
		"no rights and no account":             {"{rbac: {ownRights: false}}", []string{"set defaultServiceAccount"}},
		"no rights and nobody to act as":       {"{defaultServiceAccount: applier, rbac: {ownRights: false, impersonate: {enabled: false}}}", []string{"set rbac.impersonate.enabled"}},
		"no rights and rules of one's own":     {"{defaultServiceAccount: applier, rbac: {ownRights: false, extraRules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}}", []string{"give these rights to the ServiceAccounts"}},
		"an account that nobody makes":         {"{serviceAccount: {create: false}}", []string{"serviceAccount.name is needed"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := chartFiles(t, refused.spec)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, word := range refused.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the refusal lacks %q:\n%v", word, err)
				}
			}
		})
	}
}

// TestChartAlerts shows that the rules reach Prometheus as promtool tested
// them, and that they read no metric that rollcall does not export: such an
// alert never fires.
func TestChartAlerts(t *testing.T) {
	t.Parallel()
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "charts", "rollcall", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(raw, &alerts); err != nil {
		t.Fatal(err)
	}
	exported := metricNames(t, root)
	var names []string
	for _, group := range alerts.Groups {
		for _, r := range group.Rules {
			names = append(names, r.Alert)
			used := regexp.MustCompile(`rollcall_[a-z_]+`).FindAllString(r.Expr, -1)
			if len(used) == 0 {
				t.Errorf("%s reads no metric of rollcall: %s", r.Alert, r.Expr)
			}
			for _, metric := range used {
				if !exported[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")] && !exported[metric] {
					t.Errorf("%s reads %s, which is not exported", r.Alert, metric)
				}
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s does not say what to do", r.Alert)
			}
		}
	}
	if diff := cmp.Diff([]string{
		"RollcallDown", "RollcallNoLeader", "RollcallGitSyncFailing", "RollcallRolloutHeld", "RollcallRolloutStale", "RollcallCommitRejected", "RollcallDaemonSetRestored", "RollcallFight", "RollcallAgentAbsent",
	}, names); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}

	var file map[string]any
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, object := range chartObjects(t, everything) {
		if object.GetKind() != "PrometheusRule" {
			continue
		}
		if diff := cmp.Diff(file, object.Object["spec"]); diff != "" {
			t.Errorf("PrometheusRule (-file +rendered):\n%s", diff)
		}
		return
	}
	t.Error("no PrometheusRule was rendered")
}

// The kinds of prometheus-operator (monitoring.coreos.com/v1) in part: every
// field that the chart may set, so that a slip in a name is found. Its API server
// drops a field that it does not know, and nothing is scraped.
type (
	serviceMonitor struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Selector  metav1.LabelSelector `json:"selector"`
			Endpoints []struct {
				Port          string `json:"port"`
				Path          string `json:"path"`
				Interval      string `json:"interval"`
				ScrapeTimeout string `json:"scrapeTimeout"`
				HonorLabels   bool   `json:"honorLabels"`
			} `json:"endpoints"`
		} `json:"spec"`
	}
	prometheusRule struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Groups []struct {
				Name  string `json:"name"`
				Rules []struct {
					Alert       string            `json:"alert"`
					Expr        string            `json:"expr"`
					For         string            `json:"for"`
					Labels      map[string]string `json:"labels"`
					Annotations map[string]string `json:"annotations"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
)

// TestChartMonitoring shows that prometheus-operator would understand what the
// chart renders for it, and that it leads to a port that rollcall serves.
func TestChartMonitoring(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"as little as there is": "{serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}",
		"everything on":         everything,
		"under other names":     "{nameOverride: roll, fullnameOverride: call, port: 9090, serviceMonitor: {enabled: true, interval: 1m, scrapeTimeout: 30s}, prometheusRule: {enabled: true}}",
	} {
		t.Run(name, func(t *testing.T) {
			var monitor serviceMonitor
			var service corev1.Service
			var rule prometheusRule
			read := map[string]any{"ServiceMonitor": &monitor, "Service": &service, "PrometheusRule": &rule}
			for _, object := range chartObjects(t, values) {
				if into, wanted := read[object.GetKind()]; wanted {
					if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
						t.Errorf("%s: %v", object.GetKind(), err)
					}
					delete(read, object.GetKind())
				}
			}
			if len(read) > 0 {
				t.Fatalf("not rendered: %v", slices.Sorted(maps.Keys(read)))
			}
			wantScraped(t, &monitor, &service, deployment(t, values))
			for _, m := range []metav1.TypeMeta{monitor.TypeMeta, rule.TypeMeta} {
				if m.APIVersion != "monitoring.coreos.com/v1" {
					t.Errorf("%s is %s, want monitoring.coreos.com/v1", m.Kind, m.APIVersion)
				}
			}
			wantEvaluated(t, &rule)
		})
	}
}

// wantScraped follows the way from the monitor by the Service to the container.
func wantScraped(t *testing.T, monitor *serviceMonitor, service *corev1.Service, d *appsv1.Deployment) {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil || selector.Empty() || !selector.Matches(labels.Set(service.Labels)) {
		t.Errorf("the monitor selects %v (%v), and the Service has %v", selector, err, service.Labels)
	}
	if monitor.Namespace != service.Namespace || monitor.Namespace == "" {
		t.Errorf("the monitor is in %q and looks only there, the Service is in %q", monitor.Namespace, service.Namespace)
	}
	if chosen := labels.SelectorFromSet(service.Spec.Selector); chosen.Empty() || !chosen.Matches(labels.Set(d.Spec.Template.Labels)) {
		t.Errorf("the Service selects %v, and the pods have %v", chosen, d.Spec.Template.Labels)
	}
	if len(monitor.Spec.Endpoints) != 1 {
		t.Fatalf("endpoints: %+v, want one", monitor.Spec.Endpoints)
	}
	e := monitor.Spec.Endpoints[0]
	interval, err := time.ParseDuration(e.Interval)
	timeout, bad := time.ParseDuration(e.ScrapeTimeout)
	if err != nil || bad != nil || timeout <= 0 || timeout > interval {
		t.Errorf("a scrape every %q may take %q, want no longer than until the next", e.Interval, e.ScrapeTimeout)
	}
	if e.Path != "/metrics" || !e.HonorLabels {
		t.Errorf("endpoint %+v, want /metrics with its own labels kept", e)
	}
	port := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == e.Port })
	if port < 0 {
		t.Fatalf("the Service has no port %q: %+v", e.Port, service.Spec.Ports)
	}
	container, target := d.Spec.Template.Spec.Containers[0], service.Spec.Ports[port].TargetPort
	served := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool {
		return p.Name == target.StrVal || target.IntVal != 0 && p.ContainerPort == target.IntVal
	})
	if served < 0 {
		t.Fatalf("the container has no port %s: %+v", target.String(), container.Ports)
	}
	if address := fmt.Sprintf("--metrics-bind-address=:%d", container.Ports[served].ContainerPort); !slices.Contains(container.Args, address) {
		t.Errorf("the arguments %v lack %s", container.Args, address)
	}
}

// wantEvaluated fails when Prometheus would not take a rule.
func wantEvaluated(t *testing.T, rule *prometheusRule) {
	t.Helper()
	names := map[string]bool{}
	for _, g := range rule.Spec.Groups {
		if g.Name == "" || names[g.Name] || len(g.Rules) == 0 {
			t.Errorf("group %q has no name of its own or no rules", g.Name)
		}
		names[g.Name] = true
		for _, r := range g.Rules {
			if pause, err := time.ParseDuration(r.For); r.For != "" && (err != nil || pause <= 0) {
				t.Errorf("%s waits for %q", r.Alert, r.For)
			}
			if r.Alert == "" || r.Expr == "" || r.Labels["severity"] == "" {
				t.Errorf("rule %+v, want a name, an expression and a severity", r)
			}
		}
	}
	if len(names) == 0 {
		t.Error("there are no rules")
	}
}

// metricNames are the names of metrics in the source of the controller.
func metricNames(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	literal := regexp.MustCompile(`"(rollcall_[a-z_]+)"`)
	for _, dir := range []string{"cmd", "sync", "apply", "health"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			source, err := os.ReadFile(name)
			for _, match := range literal.FindAllStringSubmatch(string(source), -1) {
				names[match[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// TestChartRules runs rollcall with the account and the roles of the chart: it
// may do all that it has to, and little else.
func TestChartRules(t *testing.T) {
	t.Parallel()
	w := idleWorld(t, cluster.Options{Nodes: 6, Zones: 3, Audit: true})
	t.Run("may", func(t *testing.T) { testPermissions(t, w) })

	w.options.Args = append(w.options.Args, "--leader-elect")
	w.startController()
	w.policy(quick())
	objects := map[string]string{
		"account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent}\n",
		"config.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: agent}\ndata: {level: info}\n",
		"secret.yaml":  "apiVersion: v1\nkind: Secret\nmetadata: {name: agent}\nstringData: {token: example}\n",
		"service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: agent}\nspec: {selector: {app: example}, ports: [{port: 80}]}\n",
		"space.yaml":   "apiVersion: v1\nkind: Namespace\nmetadata: {name: agents}\n",
		"role.yaml":    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: agent}\nrules: [{apiGroups: [''], resources: [nodes], verbs: [list]}]\n",
		"budget.yaml":  "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: agent}\nspec: {maxUnavailable: 1, selector: {matchLabels: {app: example}}}\n",
		"policy.yaml":  "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: agent}\nspec: {podSelector: {}}\n",
		"class.yaml":   "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: agent}\nvalue: 1000\n",
		"driver.yaml":  "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata: {name: agent.example.com}\n",
	}
	w.push("what agents come with", objects)
	credentials := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git"}, Data: map[string][]byte{"username": []byte("any"), "password": []byte("any")}}
	_, err := w.cluster.Client.CoreV1().Secrets(metav1.NamespaceDefault).Create(t.Context(), credentials, metav1.CreateOptions{})
	w.must(err, "create Secret")
	w.follow(func(gs *v1alpha1.GitSync) {
		all := intstr.FromString("100%")
		gs.Spec.Source.SecretRef, gs.Spec.PruneLimit, gs.Spec.DeletionPolicy = &corev1.LocalObjectReference{Name: "git"}, &all, v1alpha1.DeletionPrune
	})
	w.followAs("applier")
	w.waitProven(w.deliver("v1"), time.Minute)
	w.waitProven(w.deliver("v2"), time.Minute)
	w.waitRejected(w.deliver("bad"), time.Minute)

	for name := range objects {
		w.must(w.repo.Remove(name), "remove "+name)
	}
	w.waitProven(w.deliver("v3"), time.Minute)
	w.orphan()
	w.poke()
	w.waitRollout("the GitSync has what is an orphan", time.Minute, func(n *v1alpha1.NodeRollout) bool {
		return n.Labels[v1alpha1.LabelOwner] == metav1.NamespaceDefault+".fleet"
	})
	w.eventually("what Git does not declare is gone", 30*time.Second, func() (bool, error) {
		_, err := w.cluster.Client.StorageV1().CSIDrivers().Get(t.Context(), "agent.example.com", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = w.cluster.Client.CoreV1().Services(metav1.NamespaceDefault).Get(t.Context(), "agent", metav1.GetOptions{})
		}
		return apierrors.IsNotFound(err), nil
	})
	log, err := os.ReadFile(w.control.Log)
	w.must(err, "read log")
	for line := range strings.Lines(string(log)) {
		if strings.Contains(strings.ToLower(line), "forbidden") {
			t.Errorf("the chart's roles lack something: %s", line)
		}
	}
	w.push("no agents", map[string]string{"rest.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rest}\n"})
	w.must(w.repo.Remove("daemonset.yaml"), "remove daemonset.yaml")
	w.push("no agents any more", nil)
	w.poke()
	w.eventually("the NodeRollout is gone with its DaemonSet", 30*time.Second, func() (bool, error) {
		_, err := w.kinds.NodeRollouts(metav1.NamespaceDefault).Get(t.Context(), agent, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	w.must(w.kinds.GitSyncs(metav1.NamespaceDefault).Delete(t.Context(), "fleet", metav1.DeleteOptions{}), "delete GitSync")
	w.eventually("the GitSync is gone with what it applied", 30*time.Second, func() (bool, error) {
		_, err := w.kinds.GitSyncs(metav1.NamespaceDefault).Get(t.Context(), "fleet", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	w.wantNoSpareVerb()
}

// wantNoSpareVerb compares what the controller's own roles allow with what the
// audit log says that it did.
func (w *world) wantNoSpareVerb() {
	w.t.Helper()
	// A watch is in the log when it has ended.
	w.must(w.control.Stop(), "stop rollcall")
	var used map[string]bool
	w.eventually("the watches have ended", 10*time.Second, func() (bool, error) {
		used = w.audited("system:serviceaccount:" + releaseNamespace + ":" + release)
		return used["watch nodes"] && used["watch pods"], nil
	})
	// An event is only patched when the same one comes again soon.
	used["patch events"] = true
	for use := range maps.Clone(used) {
		// Informers begin with a watch that lists. API servers that do not know
		// it, which are those of old versions, are asked for a list.
		if resource, watches := strings.CutPrefix(use, "watch "); watches {
			used["list "+resource] = true
		}
	}
	for _, o := range chartObjects(w.t, "") {
		if !strings.HasSuffix(o.GetKind(), "Role") || strings.HasSuffix(o.GetName(), "-apply") {
			continue
		}
		var role rbacv1.ClusterRole
		w.must(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role), "read role")
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if !used[verb+" "+resource] {
						w.t.Errorf("%s %s allows %s %s, which nothing needed", o.GetKind(), o.GetName(), verb, resource)
					}
				}
			}
		}
	}
}

// audited are the verbs and resources of an account's requests.
func (w *world) audited(user string) map[string]bool {
	w.t.Helper()
	out := map[string]bool{}
	w.auditEvents(func(e *auditv1.Event) {
		if e.User.Username != user || e.ObjectRef == nil {
			return
		}
		if e.ImpersonatedUser != nil {
			out["impersonate serviceaccounts"] = true
			return
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		out[e.Verb+" "+resource] = true
	})
	return out
}

// namespace is the namespace of the release.
func namespace() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": releaseNamespace},
	}}
}

// installAccount creates the ServiceAccount and the roles of the chart.
func (w *world) installAccount(values string) {
	w.t.Helper()
	create(w.t, w.cluster, namespace())
	for _, object := range chartObjects(w.t, values) {
		switch object.GroupVersionKind().GroupKind() {
		case schema.GroupKind{Kind: "ServiceAccount"}:
			create(w.t, w.cluster, object)
		default:
			if object.GroupVersionKind().Group == "rbac.authorization.k8s.io" {
				create(w.t, w.cluster, object)
			}
		}
	}
}

// testPermissions asks the API server what the account may do: what a stolen
// token must not be good for is as important as what it is good for.
func testPermissions(t *testing.T, w *world) {
	user := fmt.Sprintf("system:serviceaccount:%s:%s", releaseNamespace, release)
	for name, c := range map[string]struct {
		attributes authorizationv1.ResourceAttributes
		want       bool
	}{
		"take its lease":            {authorizationv1.ResourceAttributes{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: releaseNamespace, Name: release}, true},
		"take another's lease":      {authorizationv1.ResourceAttributes{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: "kube-system", Name: "kube-scheduler"}, false},
		"delete a pod":              {authorizationv1.ResourceAttributes{Verb: "delete", Resource: "pods", Namespace: "kube-system"}, true},
		"create a pod":              {authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Namespace: "kube-system"}, false},
		"enter a pod":               {authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: "kube-system"}, false},
		"list all Secrets":          {authorizationv1.ResourceAttributes{Verb: "list", Resource: "secrets"}, false},
		"change a node":             {authorizationv1.ResourceAttributes{Verb: "patch", Resource: "nodes"}, false},
		"change a GitSync":          {authorizationv1.ResourceAttributes{Verb: "update", Group: "rollcall.dev", Resource: "gitsyncs"}, false},
		"change a policy":           {authorizationv1.ResourceAttributes{Verb: "update", Group: "rollcall.dev", Resource: "rolloutpolicies"}, false},
		"grant what it has not":     {authorizationv1.ResourceAttributes{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}, false},
		"bind roles it has not":     {authorizationv1.ResourceAttributes{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}, false},
		"be somebody else":          {authorizationv1.ResourceAttributes{Verb: "impersonate", Resource: "users"}, false},
		"be a person in a group":    {authorizationv1.ResourceAttributes{Verb: "impersonate", Resource: "groups", Name: "system:masters"}, false},
		"be the account of a team":  {authorizationv1.ResourceAttributes{Verb: "impersonate", Resource: "serviceaccounts", Namespace: "team"}, true}, // rbac.impersonate narrows it
		"watch all Secrets":         {authorizationv1.ResourceAttributes{Verb: "watch", Resource: "secrets"}, false},
		"delete all Secrets":        {authorizationv1.ResourceAttributes{Verb: "deletecollection", Resource: "secrets", Namespace: "kube-system"}, false},
		"make tokens":               {authorizationv1.ResourceAttributes{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "kube-system"}, false},
		"change a CRD":              {authorizationv1.ResourceAttributes{Verb: "patch", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}, false},
		"register an admission web": {authorizationv1.ResourceAttributes{Verb: "create", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			review, err := w.cluster.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &c.attributes},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != c.want {
				t.Errorf("allowed is %t, want %t", review.Status.Allowed, c.want)
			}
		})
	}
}

// loadChart reads the chart of the repository.
func loadChart(t testing.TB) *chart.Chart {
	t.Helper()
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadDir(filepath.Join(root, "charts", "rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// chartFiles renders the chart with values in YAML; names of files lead to their
// content.
func chartFiles(t testing.TB, values string) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	options := chartutil.ReleaseOptions{Name: release, Namespace: releaseNamespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, given, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// chartObjects renders the chart into objects, in the order of their files.
func chartObjects(t testing.TB, values string) []*unstructured.Unstructured {
	t.Helper()
	files, err := chartFiles(t, values)
	if err != nil {
		t.Fatal(err)
	}
	var out []*unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(files[name]), 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(&object.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("decode %s: %v\n%s", name, err, files[name])
			}
			if len(object.Object) > 0 {
				out = append(out, object)
			}
		}
	}
	return out
}

// deployment renders the chart's only Deployment.
func deployment(t testing.TB, values string) *appsv1.Deployment {
	t.Helper()
	for _, object := range chartObjects(t, values) {
		if object.GetKind() != "Deployment" {
			continue
		}
		d := &appsv1.Deployment{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, d, true); err != nil {
			t.Fatal(err)
		}
		return d
	}
	t.Fatal("no Deployment was rendered")
	return nil
}

// create creates an object whose every field the API server must know.
func create(t testing.TB, c *cluster.Cluster, object *unstructured.Unstructured, dryRun ...string) {
	t.Helper()
	groups, err := restmapper.GetAPIGroupResources(c.Client.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	gvk := object.GroupVersionKind()
	mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		t.Fatal(err)
	}
	options := metav1.CreateOptions{DryRun: dryRun, FieldValidation: metav1.FieldValidationStrict}
	switch {
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		_, err = c.Dynamic.Resource(mapping.Resource).Create(t.Context(), object, options)
	default:
		_, err = c.Dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()).Create(t.Context(), object, options)
	}
	if err != nil {
		t.Errorf("%s %s: %v", gvk.Kind, object.GetName(), err)
	}
}
