package e2e

import (
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func testErrors(a *applying) {
	manifests := []string{
		settings("fine", "{}"),
		`{apiVersion: example.com/v1, kind: Unheard, metadata: {name: unknown}}`,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: nowhere, namespace: missing}}`,
		`{apiVersion: v1, kind: Namespace, metadata: {name: misplaced, namespace: NAMESPACE}}`,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: typo}, dta: {a: b}}`,
		`{apiVersion: v1, kind: Service, metadata: {name: invalid}, spec: {ports: [{port: 99999}]}}`,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: wrong-type}, data: {a: 1}}`,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: Bad_Name}}`,
	}
	_, seen, _ := a.observe(manifests...)
	var got []string
	for _, e := range seen.Errors() {
		a.Logf("%s", e)
		got = append(got, e.Object[:strings.Index(e.Object, " (")]+": "+e.Reason)
	}
	want := []string{
		"Unheard.example.com unknown: UnknownKind",
		"ConfigMap missing/nowhere: NamespaceNotFound",
		fmt.Sprintf("Namespace %s/misplaced: Invalid", a.namespace),
		fmt.Sprintf("ConfigMap %s/typo: Invalid", a.namespace),
		fmt.Sprintf("Service %s/invalid: Invalid", a.namespace),
		fmt.Sprintf("ConfigMap %s/wrong-type: Invalid", a.namespace),
		fmt.Sprintf("ConfigMap %s/Bad_Name: Invalid", a.namespace),
	}
	if d := cmp.Diff(want, got); d != "" {
		a.Errorf("errors (-want +got):\n%s", d)
	}
	_, results := a.pass(manifests...)
	if len(results) != len(manifests) || a.live(configMaps(), "fine") != nil {
		a.Errorf("half of the commit was applied: %v", results)
	}
	text := fmt.Sprint(results)
	a.contains(text, "install its CRD or declare it", "namespace missing does not exist", "99999", ".dta: field not declared")
}

func testForbidden(a *applying) {
	ctx := a.Context()
	_, err := a.cluster.Client.CoreV1().ServiceAccounts(a.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "weak"}}, metav1.CreateOptions{})
	if err != nil {
		a.Fatal(err)
	}
	_, err = a.cluster.Client.RbacV1().RoleBindings(a.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "weak"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: a.namespace, Name: "weak"}},
	}, metav1.CreateOptions{})
	if err != nil {
		a.Fatal(err)
	}
	_, config, err := a.cluster.LogIn(ctx, a.namespace, "weak")
	if err != nil {
		a.Fatal(err)
	}
	a.as(config)
	_, results := a.pass(settings("settings", "{}"),
		fmt.Sprintf(`{apiVersion: v1, kind: Secret, metadata: {name: token}, stringData: {token: %s}}`, canary))
	a.want(results, "Failed ConfigMap settings Forbidden", "Failed Secret token Forbidden")
	a.contains(results[0].Message, `cannot patch resource "configmaps"`, "weak", "grant it")
	a.contains(results[1].Message, `cannot get resource "secrets"`, "weak")
}

// testCanary puts a value into every place of a Secret that an API server echoes, and looks for it in everything that
// comes out.
func testCanary(a *applying) {
	secret := func(name, rest string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: %s}, %s}", name, rest)
	}
	a.create("kubectl-client-side-apply", secrets(), fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata:
  name: applied
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"stringData":{"a":"%s"}}'}
stringData: {a: %s, b: %s-2}`, canary, canary, canary))
	a.create("vault", secrets(), secret("held", "stringData: {a: "+canary+"}"))
	a.create("rollcall", secrets(), secret("sealed", "immutable: true, stringData: {a: "+canary+"}"))
	bad := []string{
		secret("not-base64", "data: {a: '"+canary+"!'}"),
		secret("not-text", "data: {a: {b: "+canary+"}}"),
		secret("not-a-map", "stringData: "+canary),
		secret("list", "data: ["+canary+"]"),
		secret("unknown-field", canary+": "+canary+", datas: {a: "+canary+"}"),
		secret("bad-key", "stringData: {'a b': "+canary+"}"),
		secret("bad-type", "type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '"+canary+"'}"),
		secret("bad-tls", "type: kubernetes.io/tls, stringData: {tls.crt: '"+canary+"'}"),
		secret("sealed", "immutable: true, stringData: {a: "+canary+"-3}"),
		secret("held", "stringData: {a: "+canary+"-3}"),
		secret("big", "stringData: {a: '"+strings.Repeat(canary, 100_000)+"'}"),
		"{apiVersion: v1, kind: secret, metadata: {name: wrong-case}, stringData: {a: " + canary + "}}",
	}
	good := []string{secret("applied", "stringData: {a: "+canary+"-4}"), secret("new", "stringData: {a: "+canary+"}")}
	var said strings.Builder
	record := func(manifests ...string) {
		_, seen, plan := a.observe(manifests...)
		_, results := a.pass(manifests...)
		fmt.Fprintf(&said, "%#v\n%s\n%#v\n%s\n", plan, plan, results, results)
		for _, e := range append(seen.Errors(), results.Errors()...) {
			fmt.Fprintf(&said, "%v %+v\n", e, *e)
		}
	}
	record(append(bad, good...)...)
	if n := strings.Count(said.String(), "refuse"); n < 8 {
		a.Errorf("only %d refusals:\n%s", n, said.String())
	}
	record(good...)
	a.patch("vault", types.MergePatchType, secrets(), "new", `{"stringData":{"a":"`+canary+`-5"}}`)
	record(good...)
	text := said.String() + a.logs.String()
	for _, leak := range []string{canary, "czNjcjN0LUNBTkFSW"} {
		if at := strings.Index(text, leak); at >= 0 {
			a.Fatalf("a value of a Secret is shown: ...%.400s...", text[max(0, at-200):])
		}
	}
	a.contains(text, "*** (before)", "*** (after)", "Conflict", "data.a")
}
