package main

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// policyOf is a file with a policy of these fields.
func policyOf(spec string) string {
	return "apiVersion: rollcall.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {name: default}\nspec: " + spec + "\n"
}

func TestAPolicyIsReadAsTheAPIServerReadsIt(t *testing.T) {
	t.Parallel()
	text := "# The policy.\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n---\n" + policyOf("{waves: [{name: canary, upTo: 1, soak: 2m}, {name: rest, upTo: 100%}], health: {deadline: 5m}}")
	p, err := readPolicyFile("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := p.Spec
	if p.Name != "default" || len(s.Waves) != 2 || s.Waves[1].UpTo != intstr.FromString("100%") || s.Health.ReadyFor.Duration != 30*time.Second || s.Health.Deadline.Duration != 5*time.Minute {
		t.Errorf("%+v", p)
	}
}

func TestWhatIsWrongInAPolicyIsNamed(t *testing.T) {
	t.Parallel()
	waves := func(list ...string) string { return policyOf("{waves: [" + strings.Join(list, ", ") + "]}") }
	with := func(fields string) string {
		return policyOf("{waves: [{name: all, upTo: 100%}], " + fields + "}")
	}
	const all = "{name: all, upTo: 100%}"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                                {"", "p.yaml: there is no RolloutPolicy of rollcall.dev/v1alpha1 in it: it is empty"},
		"another kind":                           {"apiVersion: v1\nkind: ConfigMap\n", `it has "ConfigMap" of "v1"`},
		"no object":                              {"a word", "this is no Kubernetes object: begin with apiVersion and kind"},
		"no YAML":                                {"a: [", "p.yaml: yaml: line 1"},
		"two policies":                           {waves(all) + "---\n" + waves(all), "more than one RolloutPolicy, default and default: leave one in it"},
		"a key twice":                            {policyOf("{waves: [], waves: []}"), `key "waves" already set`},
		"a field that is none":                   {with("gates: []"), `unknown field "spec.gates"`},
		"a wave's field":                         {waves("{name: all, upTo: 100%, gates: true}"), `unknown field "spec.waves[0].gates"`},
		"no waves":                               {policyOf("{}"), "spec.waves: Required value"},
		"a last wave too small":                  {waves("{name: all, upTo: 50%}"), "spec.waves[0].upTo: Invalid value: \"50%\": the last wave must be upTo: 100%"},
		"waves that shrink":                      {waves("{name: a, upTo: 20%}", "{name: b, upTo: 10%}", all), "spec.waves[1].upTo: Invalid value: \"10%\": upTo is cumulative: the percentages of waves must grow"},
		"counts that shrink":                     {waves("{name: a, upTo: 9}", "{name: b, upTo: 3}", all), "the counts of waves must grow"},
		"the same wave":                          {waves("{name: all, upTo: 1}", all), "spec.waves[1].name: Invalid value: \"all\": wave names must be unique"},
		"a share that is none":                   {waves("{name: a, upTo: half}", all), "upTo must be a count from 1 to 100000 or a percentage from 1% to 100%"},
		"a name that is none":                    {waves("{name: A_b, upTo: 1}", all), "spec.waves[0].name"},
		"a soak too long":                        {waves("{name: all, upTo: 100%, soak: 169h}"), "soak must be a duration between 0s and 168h, such as 5m"},
		"a budget of nothing":                    {with("maxUnavailable: 0"), "spec.maxUnavailable"},
		"a group's budget of nothing":            {with("groupBy: [zone], maxUnavailablePerGroup: 0"), "maxUnavailablePerGroup must be a count from 1 to 100000 or a percentage from 1% to 100%"},
		"a group's budget without groups":        {with("maxUnavailablePerGroup: 1"), "spec.groupBy: Required value: maxUnavailablePerGroup needs the groups of groupBy"},
		"a deadline of nothing":                  {with("health: {deadline: 0s}"), "deadline must be a duration between 1s and 24h"},
		"too many restarts":                      {with("health: {maxRestarts: 1001}"), "spec.health.maxRestarts"},
		"a negative budget":                      {with("health: {failureBudget: -1}"), "spec.health.failureBudget"},
		"a failure that is none":                 {with("onFailure: panic"), `spec.onFailure: Unsupported value: "panic": supported values: "return", "hold"`},
		"a schedule with a name":                 {with(`windows: [{schedule: "@daily", duration: 8h}]`), "spec.windows[0].schedule"},
		"a short window":                         {with(`windows: [{schedule: "0 9 * * *", duration: 1s}]`), "spec.windows[0].duration"},
		"a freeze without reason":                {with(`freezes: [{start: "2026-12-20T00:00:00Z", end: "2026-12-21T00:00:00Z"}]`), "spec.freezes[0].reason: Required value"},
		"a soak in words":                        {waves(all[:len(all)-1] + ", soak: a while}"), "p.yaml: spec.waves[0].soak: time: invalid duration \"a while\": write hours, minutes and seconds, such as 1h30m"},
		"a part of a node":                       {waves("{name: a, upTo: 0.5}", all), "p.yaml: spec.waves[0].upTo: it must be a whole number, not number 0.5"},
		"a date in words":                        {with(`freezes: [{start: "2026-12-20T00:00:00Z", end: tomorrow, reason: a}]`), "p.yaml: spec.freezes[0].end: tomorrow is no time: write it as in RFC 3339, such as "},
		"words for a number":                     {with("health: {maxRestarts: none}"), "p.yaml: spec.health.maxRestarts: it must be a whole number, not string"},
		"waves that are none":                    {policyOf("{waves: 7}"), "p.yaml: spec.waves: it must be a list, not number"},
		"a soak without a unit":                  {waves("{name: all, upTo: 100%, soak: 5}"), "p.yaml: spec.waves[0].soak: it must be a string, not number"},
		"two fields that are none":               {with("gates: [], doors: []"), "p.yaml: \n* unknown field \"spec.doors\"\n* unknown field \"spec.gates\""},
		"two things":                             {waves("{name: all, upTo: 50%, soak: 169h}"), "p.yaml: \n* spec.waves[0].soak: Invalid value: \"169h0m0s\": soak must be a duration between 0s and 168h, such as 5m\n* spec.waves[0].upTo: "},
		"a freeze that ends":                     {with(`freezes: [{start: "2026-12-20T00:00:00Z", end: "2026-12-19T00:00:00Z", reason: a}]`), "end must be later than start"},
		"a replacement that is none":             {with("replace: swap"), `spec.replace: Unsupported value: "swap": supported values: "delete", "surge"`},
		"a surge with new pods of the candidate": {with("replace: surge, newPods: candidate"), "newPods must be proven"},
		"new pods of no version":                 {with("newPods: newest"), `spec.newPods: Unsupported value: "newest": supported values: "candidate", "proven"`},
		"a breaker of nothing":                   {with("breaker: {maxSickNodes: 0}"), "spec.breaker.maxSickNodes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := readPolicyFile("p.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
