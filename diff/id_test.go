package diff_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/diff"
)

func TestParseID(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		entry string
		want  diff.ID
		bad   bool
	}{
		"an object of the core group":         {entry: "agents_settings__ConfigMap", want: diff.ID{Namespace: "agents", Name: "settings", Kind: "ConfigMap"}},
		"a cluster-scoped object":             {entry: "_agents__Namespace", want: diff.ID{Name: "agents", Kind: "Namespace"}},
		"a role with underscores in its name": {entry: "_system:a_b__c_rbac.authorization.k8s.io_ClusterRole", want: diff.ID{Name: "system:a_b__c", Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}},
		"no name":                             {entry: "agents___ConfigMap", bad: true},
		"no kind":                             {entry: "agents_settings__", bad: true},
		"too few parts":                       {entry: "agents_settings_ConfigMap", bad: true},
		"nothing":                             {entry: "", bad: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := diff.ParseID(c.entry)
			if c.bad != (err != nil) {
				t.Fatalf("error is %v", err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestEveryIDSurvivesTheInventory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := diff.ID{
			Namespace: rapid.StringMatching(`[a-z]([-a-z0-9]{0,5}[a-z0-9])?|`).Draw(t, "namespace"),
			Name:      rapid.StringMatching(`[A-Za-z0-9:_.-]{1,10}`).Draw(t, "name"),
			Group:     rapid.StringMatching(`([a-z]{1,5}(\.[a-z]{1,5}){0,2})?`).Draw(t, "group"),
			Kind:      rapid.StringMatching(`[A-Z][A-Za-z0-9]{0,8}`).Draw(t, "kind"),
		}
		got, err := diff.ParseID(want.Entry())
		if err != nil || got != want {
			t.Fatalf("%q became %+v, %v", want.Entry(), got, err)
		}
		if strings.Count(want.Entry(), "_") < 3 {
			t.Fatalf("%q", want.Entry())
		}
	})
}
