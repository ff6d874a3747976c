package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/rollcall-dev/rollcall/e2e/product"
)

// ownRules are values under which the chart's roles have nothing by default.
const ownRules = "{rbac: {applyDefaults: false, extraRules: [{apiGroups: [''], resources: [configmaps], verbs: [get, patch]}]}}"

// chartRoles are the Roles and ClusterRoles of the chart, by their names.
func chartRoles(t *testing.T, values string) map[string][]rbacv1.PolicyRule {
	t.Helper()
	out := map[string][]rbacv1.PolicyRule{}
	for _, o := range chartObjects(t, values) {
		if kind := o.GetKind(); kind == "Role" || kind == "ClusterRole" {
			out[o.GetName()] = readRole(t, o).Rules
		}
	}
	return out
}

func readRole(t *testing.T, o *unstructured.Unstructured) (role rbacv1.ClusterRole) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &role, true); err != nil {
		t.Fatal(err)
	}
	return role
}

// TestChartRolesSpellOutWhatTheyAllow keeps wildcards, and the verbs by which an
// account gets what it has not, out of every role of the chart.
func TestChartRolesSpellOutWhatTheyAllow(t *testing.T) {
	t.Parallel()
	plain := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	for name, values := range map[string]string{"as it is": "", "everything on": everything, "rules of one's own": ownRules, "only as accounts": asAccountsOnly, "narrowed": narrowed} {
		t.Run(name, func(t *testing.T) {
			roles := chartRoles(t, values)
			if len(roles) < 2 {
				t.Errorf("%d roles, want the controller's and the lease's at least", len(roles))
			}
			for role, rules := range roles {
				for _, rule := range rules {
					all := slices.Concat(rule.APIGroups, rule.Resources, rule.ResourceNames, rule.NonResourceURLs)
					if len(rule.NonResourceURLs) > 0 || slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "*") }) {
						t.Errorf("%s does not spell out what it allows: %v", role, rule)
					}
					if slices.Equal(rule.Verbs, []string{"impersonate"}) && slices.Equal(rule.Resources, []string{"serviceaccounts"}) {
						continue // to have the rights of others is what keeps rollcall from having any
					}
					for _, verb := range rule.Verbs {
						if !slices.Contains(plain, verb) {
							t.Errorf("%s allows %s: %v", role, verb, rule)
						}
					}
				}
			}
		})
	}
}

// TestChartApplierMayWhatTheREADMESays compares what repositories may declare
// with the sentence that people decide by.
func TestChartApplierMayWhatTheREADMESays(t *testing.T) {
	t.Parallel()
	said := strings.NewReplacer(" and their bindings", ", RoleBindings, ClusterRoleBindings", "\n", " ", " and ", ", ").
		Replace(readmeSays(t, `(?s)what node agents usually come with:(.*?)\.`))
	var want []string
	for _, kind := range strings.Split(said, ",") {
		if kind = strings.ToLower(strings.TrimSpace(kind)); kind != "" && kind != "daemonsets" { // the controller's role has these
			want = append(want, kind)
		}
	}
	var got []string
	for _, rule := range chartRoles(t, "")[release+"-apply"] {
		got = append(got, rule.Resources...)
		verbs := []string{"get", "list", "watch", "create", "patch", "delete"}
		if slices.Contains(rule.Resources, "secrets") {
			verbs = []string{"get", "create", "patch", "delete"}
		}
		if diff := cmp.Diff(verbs, rule.Verbs); diff != "" {
			t.Errorf("verbs on %q (-want +got):\n%s", rule.Resources, diff)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the applier may write (-README +role):\n%s", diff)
	}

	own := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "patch"}}}
	if diff := cmp.Diff(own, chartRoles(t, ownRules)[release+"-apply"]); diff != "" {
		t.Errorf("rules of one's own (-want +got):\n%s", diff)
	}
}

// TestChartAccessToSecrets lists who may do what with Secrets, and holds it to
// the README.
func TestChartAccessToSecrets(t *testing.T) {
	t.Parallel()
	for _, sentence := range []string{
		`The \*\*controller\*\* [^.]*reads the Secrets that GitSyncs name\.()`,
		`The \*\*applier\*\* writes[^.]*\.[^.]*\sSecrets,()`,
	} {
		readmeSays(t, sentence)
	}
	controller, applier := []string{"get"}, []string{"get", "create", "patch", "delete"}
	for name, c := range map[string]struct {
		values string
		want   map[string][]string
	}{
		"as it is":           {"", map[string][]string{release: controller, release + "-apply": applier}},
		"everything on":      {everything, map[string][]string{"fleet-rollcall": controller, "fleet-rollcall-apply": applier}},
		"only as accounts":   {asAccountsOnly, map[string][]string{release: controller}},
		"no defaults":        {"{rbac: {applyDefaults: false}}", map[string][]string{release: controller}},
		"rules of one's own": {ownRules, map[string][]string{release: controller}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string][]string{}
			for role, rules := range chartRoles(t, c.values) {
				for _, rule := range rules {
					if slices.ContainsFunc(rule.Resources, func(r string) bool { return r == "*" || strings.HasPrefix(r, "secrets") }) {
						got[role] = append(got[role], rule.Verbs...)
					}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("verbs on Secrets (-want +got):\n%s", diff)
			}
		})
	}
}

// TestChartWithoutRightsOfItsOwn lists what rollcall may still write when it writes
// what Git declares as accounts only, and as whom it may act then.
func TestChartWithoutRightsOfItsOwn(t *testing.T) {
	t.Parallel()
	own := []string{"gitsyncs", "gitsyncs/status", "noderollouts", "noderollouts/status", "configmaps", "pods", "events", "leases"}
	for values, want := range map[string]map[string][]string{
		asAccountsOnly: {release: nil},
		narrowed:       {release + "-impersonate": {"applier"}},
	} {
		acts := map[string][]string{}
		for role, rules := range chartRoles(t, values) {
			for _, rule := range rules {
				if slices.Contains(rule.Verbs, "impersonate") {
					acts[role] = rule.ResourceNames
					continue
				}
				reads := !slices.ContainsFunc(rule.Verbs, func(v string) bool { return !slices.Contains([]string{"get", "list", "watch"}, v) })
				if !reads && slices.ContainsFunc(rule.Resources, func(r string) bool { return !slices.Contains(own, r) }) {
					t.Errorf("%s writes %v", role, rule)
				}
			}
		}
		if diff := cmp.Diff(want, acts); diff != "" {
			t.Errorf("as whom it may act (-want +got):\n%s", diff)
		}
	}
}

// TestChartBindsItsOwnAccountOnly shows that nobody else gets the roles.
func TestChartBindsItsOwnAccountOnly(t *testing.T) {
	t.Parallel()
	for values, account := range map[string]string{"": release, "{serviceAccount: {create: false, name: mine}}": "mine"} {
		var bound []string
		for _, o := range chartObjects(t, values) {
			if !strings.HasSuffix(o.GetKind(), "RoleBinding") {
				continue
			}
			var binding rbacv1.ClusterRoleBinding
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &binding, true); err != nil {
				t.Fatal(err)
			}
			bound = append(bound, binding.RoleRef.Name)
			want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: releaseNamespace}}
			if diff := cmp.Diff(want, binding.Subjects); diff != "" {
				t.Errorf("who has %s (-want +got):\n%s", binding.RoleRef.Name, diff)
			}
		}
		if diff := cmp.Diff([]string{release, release + "-leader", release + "-apply"}, bound); diff != "" {
			t.Errorf("bound roles (-want +got):\n%s", diff)
		}
	}
}

// readmeSays is the first group of what the chart's README has to say.
func readmeSays(t *testing.T, pattern string) string {
	t.Helper()
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "charts", "rollcall", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
	if match == nil {
		t.Fatalf("the chart's README does not say %s", pattern)
	}
	return match[1]
}
