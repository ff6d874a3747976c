package sync

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/rollcall-dev/rollcall/apply"
	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func tenantOf(namespace, name, as string) *v1alpha1.GitSync {
	return &v1alpha1.GitSync{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.GitSyncSpec{ServiceAccountName: as}}
}

// knowing is a Controller that has listed these GitSyncs.
func knowing(t *testing.T, byDefault string, all ...*v1alpha1.GitSync) *Controller {
	t.Helper()
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	for _, gs := range all {
		if err := store.Add(gs); err != nil {
			t.Fatal(err)
		}
	}
	return &Controller{syncs: store, listed: func() bool { return true }, DefaultServiceAccount: byDefault,
		Objects: &apply.Applier{Accounts: account.New(&rest.Config{Host: "http://localhost"})}}
}

func TestAccountOf(t *testing.T) {
	t.Parallel()
	const long = "a-namespace-whose-name-is-so-long-that-no-label-has-room-for-it"
	for sentence, c := range map[string]struct {
		owner, byDefault, recorded string
		want                       string
		wrong                      string
	}{
		"the account that the GitSync names":                      {owner: "a.named", want: "a/applier"},
		"it beats the default":                                    {owner: "a.named", byDefault: "everyone", want: "a/applier"},
		"it beats what is recorded":                               {owner: "a.named", recorded: "before", want: "a/applier"},
		"the default in its namespace":                            {owner: "a.plain", byDefault: "everyone", want: "a/everyone"},
		"without either rollcall itself":                          {owner: "a.plain", want: "rollcall itself"},
		"without either rollcall itself, whatever somebody wrote": {owner: "a.plain", recorded: "admin", want: "rollcall itself"},
		"of one that is gone what is recorded":                    {owner: "b.gone", recorded: "applier", want: "b/applier"},
		"or the default":                                          {owner: "b.gone", byDefault: "everyone", want: "b/everyone"},
		"or rollcall itself":                                      {owner: "b.gone", want: "rollcall itself"},
		"but nothing of another namespace":                        {owner: "b.gone", recorded: "c/admin", want: "b/c/admin"},
		"nothing where the namespace is not known":                {owner: apply.Owner(types.NamespacedName{Namespace: long, Name: "x"}), recorded: "applier", wrong: "make it again"},
		"of a namespace with a long name, while it is there":      {owner: apply.Owner(types.NamespacedName{Namespace: long, Name: "there"}), want: long + "/applier"},
	} {
		got, err := knowing(t, c.byDefault, tenantOf("a", "named", "applier"), tenantOf("a", "plain", ""), tenantOf(long, "there", "applier")).
			AccountOf(t.Context(), c.owner, func() (string, error) { return c.recorded, nil })
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: got %s, error %v", sentence, got, err)
			}
		case err != nil || got.String() != c.want:
			t.Errorf("%s: got %s, error %v, want %s", sentence, got, err, c.want)
		}
	}
}

func TestNobodyActsBeforeGitSyncsAreListed(t *testing.T) {
	t.Parallel()
	c := knowing(t, "", tenantOf("a", "named", "applier"))
	nothing := func() (string, error) { return "", nil }
	asked := 0
	c.listed = func() bool { asked++; return asked > 2 }
	if as, err := c.AccountOf(t.Context(), "a.named", nothing); err != nil || as.Name != "applier" || asked < 3 {
		t.Errorf("it is %s, %v, before it is known", as, err)
	}
	c.listed = func() bool { return false }
	ended, end := context.WithCancel(t.Context())
	end()
	if as, err := c.AccountOf(ended, "a.named", nothing); err == nil {
		t.Errorf("it is %s though nobody knows", as)
	}
	lost := errors.New("lost")
	c.listed = func() bool { return true }
	if as, err := c.AccountOf(t.Context(), "a.gone", func() (string, error) { return "", lost }); !errors.Is(err, lost) {
		t.Errorf("of one that is gone, and nothing is recorded of: %s, %v", as, err)
	}
}

func TestAnAccountThatDoesNotExist(t *testing.T) {
	t.Parallel()
	there := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "applier"}}
	for sentence, c := range map[string]struct {
		gs        *v1alpha1.GitSync
		byDefault string
		words     []string
	}{
		"it exists":                   {gs: tenantOf("a", "x", "applier")},
		"rollcall itself":             {gs: tenantOf("b", "x", "")},
		"it is in another namespace":  {tenantOf("b", "x", "applier"), "", []string{"b/applier", "spec.serviceAccountName", "kubectl create serviceaccount applier -n b"}},
		"the default does not either": {tenantOf("b", "x", ""), "applier", []string{"b/applier", "--default-service-account"}},
	} {
		k := knowing(t, c.byDefault, c.gs)
		k.Kube = fake.NewClientset(there)
		err := k.checkAccount(t.Context(), c.gs)
		var failure *Failure
		if len(c.words) == 0 {
			if err != nil {
				t.Errorf("%s: %v", sentence, err)
			}
			continue
		}
		if !errors.As(err, &failure) || failure.Reason != ReasonServiceAccountNotFound {
			t.Errorf("%s: %v", sentence, err)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(failure.Message, word) {
				t.Errorf("%s: %q is not in %q", sentence, word, failure.Message)
			}
		}
	}
}

func TestClientsOfAccountsGoWithTheLastGitSync(t *testing.T) {
	t.Parallel()
	first, second := tenantOf("a", "one", "applier"), tenantOf("a", "two", "applier")
	c := knowing(t, "", first, second)
	as := account.Account{Namespace: "a", Name: "applier"}
	client := func() *account.Client {
		t.Helper()
		out, err := c.Objects.Accounts.As(as)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := client()
	c.keepAccounts(name(first))
	if client() != before {
		t.Error("it is forgotten though another GitSync has it")
	}
	if err := c.syncs.Delete(second); err != nil {
		t.Fatal(err)
	}
	c.keepAccounts(name(first))
	if client() == before {
		t.Error("it is kept though nobody has it")
	}
}

// What is to be done as an account is never done as rollcall itself instead.
func TestWithoutClientsNothingIsDone(t *testing.T) {
	t.Parallel()
	c := knowing(t, "")
	c.Objects.Accounts = nil
	if a, err := c.as(tenantOf("a", "x", "applier")); err == nil {
		t.Errorf("it is done by %v", a)
	}
	r := &apply.Rollouts{Kube: fake.NewClientset(), Objects: c.Objects}
	if _, err := r.Exists(context.Background(), account.Account{Namespace: "a", Name: "applier"}, types.NamespacedName{Namespace: "a", Name: "x"}); err == nil {
		t.Error("a DaemonSet is looked for by somebody else")
	}
	if made := r.Kube.(*fake.Clientset).Actions(); len(made) > 0 {
		t.Error("rollcall itself made a request")
	}
}
