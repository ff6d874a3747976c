package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestTenants has rollcall without rights of its own to write what Git declares:
// every GitSync writes as an account of its namespace, and the audit log says so.
func TestTenants(t *testing.T) {
	t.Parallel()
	w := idleWorldWith(t, cluster.Options{Nodes: 6, Zones: 3, Audit: true}, asAccountsOnly)
	w.options.Args = []string{"--default-service-account=applier"}
	w.startController()
	w.policy(hurried())
	w.policyNamed("surging", func(p *v1alpha1.RolloutPolicySpec) { surge(p) })
	one, two := newTenant(t, w, "team one"), newTenant(t, w, "team two")
	one.account("deployer", agentRules()...)
	act := func(name string, play func(*testing.T)) {
		t.Helper()
		w.act(t, name, func(t *testing.T) {
			one.t, two.t = t, t
			play(t)
		})
		one.t, two.t = t, t
	}
	act("the account that the operator chose counts where none is named", two.hasTheDefault)
	act("nothing is asked for while nothing changes", func(t *testing.T) { w.wantRequests(t, 0) })
	act("a role in one namespace is enough for whole rollouts", one.rollsOut)
	act("what it may not touch stays as it is, and status says why", func(*testing.T) { one.isRefused(two) })
	act("an account that does not exist may nothing, whatever is bound to its name", two.hasNoAccount)
	w.wantActors(t)
	act("what rollcall may not act as, it says", one.hasNobody)
	act("nodes go back though the account has lost every right", one.losesItsRights)
	w.wantOwnWritesOnly(t)
}

// agentRules are what a team needs for its agents: nothing outside of its namespace.
func agentRules() []rbacv1.PolicyRule {
	all := []string{"get", "list", "watch", "create", "patch", "delete"}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, Verbs: all},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: all},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "create", "patch", "delete"}},
	}
}

// account makes a ServiceAccount that may what the rules say, in this namespace only.
func (n *tenant) account(name string, rules ...rbacv1.PolicyRule) {
	n.t.Helper()
	ctx, client := n.t.Context(), n.w.cluster.Client
	_, err := client.CoreV1().ServiceAccounts(n.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	n.must(err, "create ServiceAccount")
	n.bind(name, name, rules...)
}

// bind gives a name rights in this namespace, whether or not there is such an account.
func (n *tenant) bind(role, account string, rules ...rbacv1.PolicyRule) {
	n.t.Helper()
	ctx, client := n.t.Context(), n.w.cluster.Client.RbacV1()
	_, err := client.Roles(n.namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules}, metav1.CreateOptions{})
	n.must(err, "create Role")
	_, err = client.RoleBindings(n.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: n.namespace, Name: account}},
	}, metav1.CreateOptions{})
	n.must(err, "create RoleBinding")
}

// policyNamed makes a RolloutPolicy that is hurried but for a change.
func (w *world) policyNamed(name string, change func(*v1alpha1.RolloutPolicySpec)) {
	w.t.Helper()
	spec := hurried()
	change(&spec)
	_, err := w.kinds.RolloutPolicies().Create(w.t.Context(), &v1alpha1.RolloutPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
	w.must(err, "create RolloutPolicy")
}

// followAs makes a second GitSync in the world's namespace, of a ConfigMap, that
// writes as an account.
func (w *world) followAs(account string) {
	w.t.Helper()
	n := &tenant{t: w.t.(*testing.T), w: w, namespace: metav1.NamespaceDefault}
	n.account(account, agentRules()...)
	var err error
	n.repo, err = w.git.NewRepo(w.t.Context(), account)
	w.must(err, "make repository")
	commit := n.push("settings", map[string]string{"settings.yaml": plainConfig("of-"+account, "1")})
	n.follow(func(gs *v1alpha1.GitSync) { gs.Name, gs.Spec.ServiceAccountName = account, account })
	n.waitSync(account, "it writes as "+account, func(gs *v1alpha1.GitSync) bool { return gs.Status.Proven == commit })
}

// rolling is the agent with a policy and a config that it reads.
func rolling(tag, policy string) map[string]string {
	return map[string]string{
		"daemonset.yaml": strings.Replace(strings.Replace(manifest(tag), "  labels:\n    app: example\nspec:", "  labels:\n    app: example\n  annotations: {rollcall.dev/policy: "+policy+"}\nspec:", 1),
			"        resources:", "        envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: token}}]\n        resources:", 1),
		"settings.yaml": plainConfig("settings", tag),
		"token.yaml":    "apiVersion: v1\nkind: Secret\nmetadata: {name: token}\nstringData: {token: hunter2}\n",
		"extra.yaml":    plainConfig("extra", tag),
	}
}

// rollsOut takes a team's agent through all that a rollout writes.
func (n *tenant) rollsOut(t *testing.T) {
	t.Helper()
	first := n.push("first", rolling("v1", "default"))
	n.follow(func(gs *v1alpha1.GitSync) { gs.Spec.ServiceAccountName = "deployer" })
	n.waitProven(first)
	n.waitProven(n.deliver("by deletion", rolling("v2", "default")))
	n.waitProven(n.deliver("by surge", rolling("v3", "surging")))
	n.eventually("kubectl shows every node up to date, though the account may not label revisions", n.wantsUpdated)
	bad := n.deliver("a bad one", rolling("bad", "default"))
	n.waitRollout("the bad one is rejected and its nodes are back", func(r *v1alpha1.NodeRollout) bool {
		s := r.Status
		return s.Phase == v1alpha1.PhaseRejected && s.Rejected[0].Commit == bad && s.Nodes.Present == s.Nodes.Eligible
	})
	n.waitProven(n.deliver("its revert", rolling("v3", "surging")))
	sets := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace)
	_, err := sets.Patch(t.Context(), agent, types.StrategicMergePatchType, []byte(`{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	n.must(err, "edit the DaemonSet")
	n.eventually("the edit is undone", n.wantsOnDelete)
	n.must(sets.Delete(t.Context(), agent, metav1.DeleteOptions{}), "delete the DaemonSet")
	without := rolling("v4", "default")
	without["extra.yaml"], without["token.yaml"] = "", ""
	without["daemonset.yaml"] = strings.Replace(without["daemonset.yaml"], ", {secretRef: {name: token}}", "", 1)
	n.waitProven(n.deliver("without what it does not need", without))
	n.waitPruned()
}

// wantsOnDelete complains while the agent's strategy is another one.
func (n *tenant) wantsOnDelete(ctx context.Context) (string, error) {
	ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(ctx, agent, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if ds.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
		return string(ds.Spec.UpdateStrategy.Type), nil
	}
	return "", nil
}

// wantsUpdated complains while Kubernetes counts less updated pods than nodes.
func (n *tenant) wantsUpdated(ctx context.Context) (string, error) {
	ds, err := n.w.cluster.Client.AppsV1().DaemonSets(n.namespace).Get(ctx, agent, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if s := ds.Status; s.UpdatedNumberScheduled != s.DesiredNumberScheduled {
		return fmt.Sprintf("%d of %d", s.UpdatedNumberScheduled, s.DesiredNumberScheduled), nil
	}
	return "", nil
}

// isRefused has a team declare what is not in its namespace.
func (n *tenant) isRefused(other *tenant) {
	n.t.Helper()
	before, theirs := n.state(), other.state()
	const user = `User "system:serviceaccount:team-one:deployer" cannot `
	n.deliver("a role of the cluster", map[string]string{"foreign.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: everything}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n"})
	n.waitForbidden(user, "ClusterRole.rbac.authorization.k8s.io everything (foreign.yaml)", "may not get clusterroles", "kubectl create clusterrole deployer-clusterroles ")
	n.deliver("an agent elsewhere", map[string]string{"foreign.yaml": strings.Replace(manifest("v1"), "metadata:\n  name: example-daemonset", "metadata:\n  namespace: team-two\n  name: example-daemonset", 1)})
	n.waitForbidden(user, "DaemonSet team-two/example-daemonset", "get: ", "kubectl create role deployer-daemonsets -n team-two ")
	n.deliver("a config elsewhere", map[string]string{"foreign.yaml": strings.Replace(plainConfig("theirs", "1"), "metadata:\n", "metadata:\n  namespace: team-two\n", 1)})
	message := n.waitForbidden(user, "ConfigMap team-two/theirs (foreign.yaml)", "may not get configmaps", "kubectl create role deployer-configmaps -n team-two ")
	n.wantUnchanged(before)
	other.wantUnchanged(theirs)
	if _, err := n.w.cluster.Client.RbacV1().ClusterRoles().Get(n.t.Context(), "everything", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		n.t.Errorf("the role of the cluster: %v", err)
	}
	n.obey(message)
	n.poke()
	n.waitSync("fleet", "what it was granted helps", func(gs *v1alpha1.GitSync) bool { return apimeta.IsStatusConditionTrue(gs.Status.Conditions, "Ready") })
	n.waitProven(n.deliver("nothing elsewhere", map[string]string{"foreign.yaml": ""}))
}

// waitForbidden waits until the GitSync is held by a right that is missing, and says
// all of these words of it. It returns the whole message.
func (n *tenant) waitForbidden(words ...string) string {
	n.t.Helper()
	message := ""
	n.eventually("status says what right is missing", func(ctx context.Context) (string, error) {
		gs, err := n.w.kinds.GitSyncs(n.namespace).Get(ctx, "fleet", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		ready := apimeta.FindStatusCondition(gs.Status.Conditions, "Ready")
		if ready.Status != metav1.ConditionFalse || ready.Reason != "Forbidden" {
			return ready.Reason + ": " + ready.Message, nil
		}
		message = ready.Message
		for _, word := range words {
			if !strings.Contains(message, word) {
				return fmt.Sprintf("%q is not in %q", word, message), nil
			}
		}
		return "", nil
	})
	n.t.Log(message)
	return message
}

// obey does what a message tells an administrator to.
func (n *tenant) obey(message string) {
	n.t.Helper()
	command := regexp.MustCompile(`kubectl create role (\S+) -n (\S+) --verb=(\S+) --resource=(\S+) && kubectl create rolebinding (\S+) -n (\S+) --role=(\S+) --serviceaccount=([^:\s]+):([^\s;]+)`).FindStringSubmatch(message)
	if command == nil {
		n.t.Fatalf("there is no command in %q", message)
	}
	ctx, client := n.t.Context(), n.w.cluster.Client.RbacV1()
	resource, group, _ := strings.Cut(command[4], ".")
	_, err := client.Roles(command[2]).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: command[1]},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: strings.Split(command[3], ",")}},
	}, metav1.CreateOptions{})
	n.must(err, "create Role")
	_, err = client.RoleBindings(command[6]).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: command[5]},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: command[7]},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: command[8], Name: command[9]}},
	}, metav1.CreateOptions{})
	n.must(err, "create RoleBinding")
}

// hasTheDefault has a GitSync write that names no account.
func (n *tenant) hasTheDefault(*testing.T) {
	n.account("applier", agentRules()...)
	n.waitProven(n.followAfter(map[string]string{"daemonset.yaml": manifest("v1"), "settings.yaml": plainConfig("settings", "1")}))
}

// hasNoAccount has it name one that does not exist though its name has rights.
func (n *tenant) hasNoAccount(t *testing.T) {
	t.Helper()
	n.bind("ghost", "ghost", agentRules()...)
	n.edit(func(gs *v1alpha1.GitSync) { gs.Spec.ServiceAccountName = "ghost" })
	before := n.state()
	next := n.deliver("a change", map[string]string{"settings.yaml": plainConfig("settings", "2")})
	n.waitHeld("fleet", "ServiceAccountNotFound", "ServiceAccount team-two/ghost", "does not exist", "spec.serviceAccountName", "kubectl create serviceaccount ghost -n team-two")
	n.wantUnchanged(before)
	_, err := n.w.cluster.Client.CoreV1().ServiceAccounts(n.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "ghost"}}, metav1.CreateOptions{})
	n.must(err, "create ServiceAccount")
	n.poke()
	n.waitProven(next)
}

// hasNobody takes the right to act as others from rollcall for a while.
func (n *tenant) hasNobody(t *testing.T) {
	t.Helper()
	roles := n.w.cluster.Client.RbacV1().ClusterRoles()
	role, err := roles.Get(t.Context(), release, metav1.GetOptions{})
	n.must(err, "get ClusterRole")
	all := role.Rules
	role.Rules = slices.DeleteFunc(slices.Clone(all), func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Verbs, "impersonate") })
	role, err = roles.Update(t.Context(), role, metav1.UpdateOptions{})
	n.must(err, "update ClusterRole")
	n.poke()
	n.waitForbidden("cannot impersonate", "team-one", "rbac.impersonate", "kubectl create role rollcall-serviceaccounts -n team-one --verb=impersonate")
	role.Rules = all
	_, err = roles.Update(t.Context(), role, metav1.UpdateOptions{})
	n.must(err, "update ClusterRole")
	n.poke()
	n.waitSync("fleet", "it goes on", func(gs *v1alpha1.GitSync) bool {
		return apimeta.IsStatusConditionTrue(gs.Status.Conditions, "Ready")
	})
}

// losesItsRights takes everything from the account while a bad version soaks.
func (n *tenant) losesItsRights(t *testing.T) {
	t.Helper()
	n.w.policyNamed("patient", func(p *v1alpha1.RolloutPolicySpec) { p.Waves[0].Soak = metav1.Duration{Duration: 30 * time.Second} })
	bad := n.deliver("fails when it has run a while", rolling("flaky", "patient"))
	n.waitRollout("it soaks", func(r *v1alpha1.NodeRollout) bool { return r.Status.Phase == v1alpha1.PhaseSoaking })
	n.must(n.w.cluster.Client.RbacV1().RoleBindings(n.namespace).Delete(t.Context(), "deployer", metav1.DeleteOptions{}), "delete RoleBinding")
	n.waitRollout("it is rejected and its nodes are back", func(r *v1alpha1.NodeRollout) bool {
		s := r.Status
		return s.Phase == v1alpha1.PhaseRejected && s.Rejected[0].Commit == bad && s.Nodes.Present == s.Nodes.Eligible
	})
	if tags := n.tags(); tags["flaky"] > 0 {
		t.Errorf("these run: %v", tags)
	}
	n.poke()
	n.waitForbidden("team-one:deployer", "kubectl create role ")
}

// itself is whether rollcall made the request as itself.
func itself(e *auditv1.Event) bool {
	return e.User.Username == "system:serviceaccount:"+releaseNamespace+":"+release && e.ImpersonatedUser == nil && e.ObjectRef != nil
}

// recordOf is whether the request is about what rollcall records for itself.
func recordOf(e *auditv1.Event) bool {
	return e.ObjectRef.Resource == "configmaps" && strings.Contains(e.ObjectRef.Name, ".rollcall-")
}

// wantActors wants that rollcall reads what teams declare as their accounts alone, in
// the groups of these and no others.
func (w *world) wantActors(t *testing.T) {
	t.Helper()
	made := map[string]int{}
	w.auditEvents(func(e *auditv1.Event) {
		if e.ImpersonatedUser != nil {
			user := e.ImpersonatedUser.Username
			made[user]++
			namespace := strings.Split(user, ":")[2]
			want := []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
			if diff := cmp.Diff(want, e.ImpersonatedUser.Groups); diff != "" {
				t.Errorf("groups of %s (-want +got):\n%s", user, diff)
			}
		}
		if itself(e) && slices.Contains([]string{"configmaps", "secrets", "clusterroles"}, e.ObjectRef.Resource) && !recordOf(e) {
			t.Errorf("rollcall itself: %s %s", e.Verb, e.RequestURI)
		}
	})
	t.Logf("requests as others: %v", made)
	for _, user := range []string{"team-one:deployer", "team-two:applier", "team-two:ghost"} {
		if made["system:serviceaccount:"+user] == 0 {
			t.Errorf("nothing was done as %s", user)
		}
	}
}

// wantOwnWritesOnly wants that rollcall itself writes nothing but what is its own.
func (w *world) wantOwnWritesOnly(t *testing.T) {
	t.Helper()
	own, others := map[string]int{}, map[string]int{}
	w.auditEvents(func(e *auditv1.Event) {
		switch {
		case !changes(e) || e.ObjectRef == nil:
		case e.ImpersonatedUser != nil:
			others[e.Verb+" "+e.ObjectRef.Resource]++
		case itself(e):
			own[e.Verb+" "+e.ObjectRef.Resource]++
			allowed := e.ObjectRef.APIGroup == v1alpha1.Group || recordOf(e) ||
				slices.Contains([]string{"pods", "leases", "events"}, e.ObjectRef.Resource)
			if !allowed {
				t.Errorf("rollcall itself: %s %s", e.Verb, e.RequestURI)
			}
		}
	})
	t.Logf("writes of its own: %v; as others: %v", own, others)
	if others["patch daemonsets"] < 10 || others["create daemonsets"] < 2 || others["delete configmaps"] == 0 || own["delete pods"] == 0 {
		t.Error("there was less to write than a few rollouts and a prune take")
	}
}
