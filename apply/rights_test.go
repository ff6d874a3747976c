package apply

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestGrant(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ answer, want string }{
		"in a namespace": {
			`configmaps "x" is forbidden: User "system:serviceaccount:a:applier" cannot patch resource "configmaps" in API group "" in the namespace "b"`,
			"kubectl create role applier-configmaps -n b --verb=get,list,watch,create,patch,delete --resource=configmaps && kubectl create rolebinding applier-configmaps -n b --role=applier-configmaps --serviceaccount=a:applier",
		},
		"of the cluster": {
			`clusterroles.rbac.authorization.k8s.io "x" is forbidden: User "system:serviceaccount:a:applier" cannot get resource "clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope`,
			"kubectl create clusterrole applier-clusterroles --verb=get,list,watch,create,patch,delete --resource=clusterroles.rbac.authorization.k8s.io && kubectl create clusterrolebinding applier-clusterroles --clusterrole=applier-clusterroles --serviceaccount=a:applier",
		},
		"Secrets without a list": {
			`secrets "x" is forbidden: User "system:serviceaccount:a:applier" cannot get resource "secrets" in API group "" in the namespace "a"`,
			"kubectl create role applier-secrets -n a --verb=get,create,patch,delete --resource=secrets && kubectl create rolebinding applier-secrets -n a --role=applier-secrets --serviceaccount=a:applier",
		},
		"another verb": {
			`daemonsets.apps "x" is forbidden: User "system:serviceaccount:a:applier" cannot update resource "daemonsets/finalizers" in API group "apps" in the namespace "a"`,
			"kubectl create role applier-daemonsets-finalizers -n a --verb=get,list,watch,create,patch,delete,update --resource=daemonsets.apps/finalizers && kubectl create rolebinding applier-daemonsets-finalizers -n a --role=applier-daemonsets-finalizers --serviceaccount=a:applier",
		},
		"to act as others": {
			`serviceaccounts "applier" is forbidden: User "system:serviceaccount:rollcall-system:rollcall" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "a"`,
			"kubectl create role rollcall-serviceaccounts -n a --verb=impersonate --resource=serviceaccounts && kubectl create rolebinding rollcall-serviceaccounts -n a --role=rollcall-serviceaccounts --serviceaccount=rollcall-system:rollcall",
		},
		"a person": {`configmaps "x" is forbidden: User "jane" cannot patch resource "configmaps" in API group "" in the namespace "b"`, ""},
	} {
		d, found := deniedIn(c.answer)
		if !found {
			t.Errorf("%s: no right is found to be missing", sentence)
			continue
		}
		if got := d.grant(); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", sentence, got, c.want)
		}
		if !strings.Contains(c.answer, d.String()) {
			t.Errorf("%s: the right is said to be %s", sentence, d)
		}
	}
	if d, found := deniedIn(`configmaps "x" is forbidden: exceeded quota: q`); found {
		t.Errorf("a quota is a right: %v", d)
	}
}

func TestAForbiddenWriteNamesAccountVerbAndCommand(t *testing.T) {
	t.Parallel()
	err := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x",
		errors.New(`User "system:serviceaccount:a:applier" cannot patch resource "secrets" in API group "" in the namespace "agents"`))
	for _, message := range []string{
		(&Applier{}).problem("patch", targetOfKind("Secret", "secrets"), err).Message,
		(&Applier{}).problem("patch", targetOfKind("ConfigMap", "secrets"), err).Message,
		classify("apply", "DaemonSet a/x", err).Message,
		words(err),
	} {
		for _, part := range []string{"system:serviceaccount:a:applier", "cannot patch", `in the namespace "agents"`, "kubectl create role applier-secrets -n agents"} {
			if !strings.Contains(message, part) {
				t.Errorf("%q is not in %q", part, message)
			}
		}
	}
}
