package e2e

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
	"github.com/rollcall-dev/rollcall/e2e/product"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// A refusal is a spec and what the API server says about it. Without words
// the spec is accepted.
type refusal struct {
	spec  string
	words []string
}

// TestCRDs shows which objects a real API server accepts, and that it says of
// the others what is wrong with them.
func TestCRDs(t *testing.T) {
	t.Parallel()
	c := bareCluster(t)
	if err := product.InstallCRDs(t.Context(), c.Dynamic); err != nil {
		t.Fatal(err)
	}
	t.Run("GitSync", func(t *testing.T) {
		judge(t, "GitSync", c.Dynamic.Resource(resource("gitsyncs")).Namespace(metav1.NamespaceDefault), gitSyncs())
		judge(t, "GitSync", c.Dynamic.Resource(resource("gitsyncs")).Namespace(metav1.NamespaceDefault), gitSyncLives())
		judge(t, "GitSync", c.Dynamic.Resource(resource("gitsyncs")).Namespace(metav1.NamespaceDefault), gitSyncPolls())
	})
	t.Run("RolloutPolicy", func(t *testing.T) {
		judge(t, "RolloutPolicy", c.Dynamic.Resource(resource("rolloutpolicies")), rolloutPolicies())
	})
	t.Run("NodeRollout", func(t *testing.T) {
		judge(t, "NodeRollout", c.Dynamic.Resource(resource("noderollouts")).Namespace(metav1.NamespaceDefault), nodeRollouts())
	})
	t.Run("defaults", func(t *testing.T) { testDefaults(t, c) })
	t.Run("unserved fields", func(t *testing.T) { testUnserved(t, c) })
	t.Run("names", func(t *testing.T) { testNames(t, c) })
	t.Run("columns", func(t *testing.T) { testColumns(t, c) })
}

// bareCluster is a cluster without nodes.
func bareCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func resource(plural string) schema.GroupVersionResource {
	return v1alpha1.GroupVersion().WithResource(plural)
}

// judge tries to create an object of each spec, without storing it.
func judge(t *testing.T, kind string, client dynamic.ResourceInterface, cases map[string]refusal) {
	t.Helper()
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := client.Create(t.Context(), object(t, kind, want.spec), metav1.CreateOptions{
				DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
			})
			if (err != nil) != (len(want.words) > 0) {
				t.Fatalf("got error %v, want words %q", err, want.words)
			}
			for _, word := range want.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the refusal lacks %q:\n%v", word, err)
				}
			}
		})
	}
}

// object makes an object of a kind with a spec in YAML.
func object(t *testing.T, kind, spec string) *unstructured.Unstructured {
	t.Helper()
	var fields map[string]any
	if err := yaml.Unmarshal([]byte(spec), &fields); err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": kind,
		"metadata": map[string]any{"name": "example"}, "spec": fields,
	}}
}

func gitSyncs() map[string]refusal {
	source := func(fields string) string {
		return fmt.Sprintf("{source: {url: https://git.example.com/agents.git, ref: {branch: main}, %s}}", fields)
	}
	ref := func(fields string) string {
		return fmt.Sprintf("{source: {url: https://git.example.com/agents.git, ref: {%s}}}", fields)
	}
	spec := func(fields string) string {
		return "{source: {url: https://git.example.com/agents.git, ref: {branch: main}}, " + fields + "}"
	}
	url := func(value, fields string) string {
		return fmt.Sprintf("{source: {url: %q, ref: {branch: main}%s}}", value, fields)
	}
	ignore := func(rule string) string {
		return fmt.Sprintf("{source: {url: https://git.example.com/agents.git, ref: {branch: main}}, ignore: [%s]}", rule)
	}
	const (
		pointer  = "pointer must be a JSON pointer to a field, such as /spec/replicas"
		identity = "what says which object it is, and whose, cannot be ignored"
		oneRef   = "set exactly one of branch, tag, semver, commit and name"
		interval = "interval must be a duration between 5s and 24h"
		path     = "path must be relative and must not contain '..'"
		account  = "serviceAccountName must be the name of a ServiceAccount in the GitSync's namespace"
		scheme   = "url must begin with https://"
	)
	return map[string]refusal{
		"variables":                      {spec: spec("substitute: {values: {a: b}, from: [{kind: Secret, name: a, optional: true}]}")},
		"variables of no such kind":      {spec("substitute: {from: [{kind: Deployment, name: a}]}"), []string{"spec.substitute.from[0].kind: Unsupported value"}},
		"variables of no name":           {spec("substitute: {from: [{kind: Secret, name: ''}]}"), []string{"spec.substitute.from[0].name"}},
		"keys":                           {spec: spec("decryption: {secretRef: {name: a}}")},
		"keys of no Secret":              {spec("decryption: {secretRef: {}}"), []string{"secretRef must name a Secret"}},
		"an ignored field":               {spec: ignore("{pointer: /spec/replicas}")},
		"an ignored field of an object":  {spec: ignore("{pointer: /webhooks/0/clientConfig/caBundle, kind: ValidatingWebhookConfiguration, namespace: a, name: b}")},
		"an ignored key with a slash":    {spec: ignore("{pointer: /metadata/annotations/example.com~1a~0b}")},
		"an ignored field without slash": {ignore("{pointer: spec.replicas}"), []string{"spec.ignore[0].pointer", pointer}},
		"an ignored field of no name":    {ignore("{pointer: /spec//a}"), []string{pointer}},
		"everything is ignored":          {ignore("{pointer: /}"), []string{pointer}},
		"an empty pointer":               {ignore("{pointer: ''}"), []string{pointer}},
		"a rule without a pointer":       {ignore("{kind: Deployment}"), []string{"spec.ignore[0].pointer: Required value"}},
		"an unescaped tilde":             {ignore("{pointer: /data/a~b}"), []string{"write ~0 for a tilde and ~1 for a slash"}},
		"an ignored name":                {ignore("{pointer: /metadata/name}"), []string{identity}},
		"an ignored owner":               {ignore("{pointer: /metadata/labels/rollcall.dev~1gitsync}"), []string{identity}},
		"ignored labels":                 {ignore("{pointer: /metadata/labels}"), []string{identity}},
		"a branch":                       {spec: ref("branch: main")},
		"a tag":                          {spec: ref("tag: v1.2.3")},
		"a full ref name":                {spec: ref("name: refs/rollcall/proven/staging")},
		"no ref":                         {ref(""), []string{oneRef}},
		"a branch and a tag":             {ref("branch: main, tag: v1"), []string{oneRef}},
		"all three":                      {ref("branch: main, tag: v1, name: refs/heads/main"), []string{oneRef}},
		"a name that is not a full one":  {ref("name: heads/main"), []string{"name must be a full ref name, beginning with refs/"}},
		"an empty branch":                {ref("branch: ''"), []string{"spec.source.ref.branch"}},
		"the shortest interval":          {spec: source("interval: 5s")},
		"the longest interval":           {spec: source("interval: 24h")},
		"an interval of several units":   {spec: source("interval: 1h30m0s")},
		"an interval that is too short":  {source("interval: 4999ms"), []string{interval}},
		"an interval that is too long":   {source("interval: 24h1s"), []string{interval}},
		"an interval without a unit":     {source("interval: '60'"), []string{interval}},
		"an interval in days":            {source("interval: 1d"), []string{interval}},
		"a negative interval":            {source("interval: -1m"), []string{interval}},
		"a path":                         {spec: source("path: clusters/prod")},
		"a path with dots in a name":     {spec: source("path: clusters/..prod/a..b")},
		"an absolute path":               {source("path: /etc"), []string{path}},
		"a path that leaves the tree":    {source("path: clusters/../../etc"), []string{path}},
		"a signature of the commit":      {spec: source("verify: {mode: head, secretRef: {name: signers}}")},
		"a signature, and nobody's keys": {source("verify: {mode: head}"), []string{"spec.source.verify.secretRef"}},
		"a signature by no name":         {source("verify: {secretRef: {}}"), []string{"verify.secretRef must name a Secret"}},
		"another thing to be signed":     {source("verify: {mode: HEAD, secretRef: {name: signers}}"), []string{`supported values: "head", "tag", "tagAndHead"`}},
		"a signed tag of a branch":       {source("verify: {mode: tag, secretRef: {name: signers}}"), []string{"follow a tag, or set verify.mode to head"}},
		"both signed, of a branch":       {source("verify: {mode: tagAndHead, secretRef: {name: signers}}"), []string{"follow a tag, or set verify.mode to head"}},
		"a signed tag":                   {spec: strings.Replace(source("verify: {mode: tag, secretRef: {name: signers}}"), "branch: main", "tag: v1", 1)},
		"a signed tag by its full name":  {spec: strings.Replace(source("verify: {mode: tag, secretRef: {name: signers}}"), "branch: main", "name: refs/tags/v1", 1)},
		"a signed tag of another name":   {strings.Replace(source("verify: {mode: tag, secretRef: {name: signers}}"), "branch: main", "name: refs/heads/v1", 1), []string{"follow a tag"}},
		"files by patterns":              {spec: source(`include: ["/clusters/"], ignore: ["*.md", "!a.md"]`)},
		"an empty pattern":               {source(`ignore: [""]`), []string{"spec.source.ignore[0]"}},
		"http that is asked for":         {spec: url("http://git.example.com/agents.git", ", insecureHTTP: true")},
		"http that is not asked for":     {url("http://git.example.com/agents.git", ""), []string{"url is plain http: use https, or set insecureHTTP: true"}},
		"http that is refused":           {url("http://git.example.com/agents.git", ", insecureHTTP: false"), []string{"set insecureHTTP: true"}},
		"another scheme":                 {url("file:///etc", ""), []string{scheme}},
		"no scheme":                      {url("git@git.example.com:agents.git", ""), []string{scheme, "git@host:path is written ssh://git@host/path"}},
		"ssh":                            {spec: url("ssh://git@git.example.com:2222/~/agents.git", ", secretRef: {name: git-ssh}")},
		"ssh without a key":              {url("ssh://git@git.example.com/agents.git", ""), []string{"url is ssh: name a Secret with identity and known_hosts in secretRef"}},
		"ssh with a password":            {url("ssh://git:secret@git.example.com/agents.git", ", secretRef: {name: git-ssh}"), []string{"url must not contain credentials: use secretRef"}},
		"ssh by another name":            {url("git+ssh://git@git.example.com/agents.git", ", secretRef: {name: git-ssh}"), []string{scheme}},
		"git's own protocol":             {url("git://git.example.com/agents.git", ""), []string{scheme}},
		"a remote helper":                {url("ext::sh -c id", ""), []string{scheme}},
		"a proxy":                        {spec: source("proxySecretRef: {name: proxy}")},
		"a proxySecretRef of no name":    {source("proxySecretRef: {}"), []string{"proxySecretRef must name a Secret: set name, or leave proxySecretRef out"}},
		"no URL":                         {url("", ""), []string{"spec.source.url"}},
		"a password in the URL":          {url("https://user:secret@git.example.com/agents.git", ""), []string{"url must not contain credentials: use secretRef"}},
		"an @ in the path of a URL":      {spec: url("https://git.example.com/agents@v1.git", "")},
		"an account":                     {spec: "{serviceAccountName: team.applier-1, source: {url: https://git.example.com/agents.git, ref: {branch: main}}}"},
		"an account of a namespace":      {"{serviceAccountName: team/applier, source: {url: https://git.example.com/agents.git, ref: {branch: main}}}", []string{account}},
		"an account by its user name":    {"{serviceAccountName: 'system:serviceaccount:kube-system:admin', source: {url: https://git.example.com/agents.git, ref: {branch: main}}}", []string{account}},
		"an account without a name":      {"{serviceAccountName: '', source: {url: https://git.example.com/agents.git, ref: {branch: main}}}", []string{"spec.serviceAccountName"}},
		"a secretRef":                    {spec: source("secretRef: {name: git-auth}")},
		"a secretRef that names none":    {source("secretRef: {}"), []string{"secretRef must name a Secret: set name, or leave secretRef out"}},
		"a secretRef of an empty name":   {source("secretRef: {name: ''}"), []string{"secretRef must name a Secret"}},
		"a field that there is not":      {source("depth: 1"), []string{`unknown field "spec.source.depth"`}},
		"neither source nor anything":    {"{}", []string{"spec.source: Required value"}},
		"everything but what is needed":  {spec: "{source: {url: https://git.example.com/agents.git, ref: {branch: main}, secretRef: {name: git-auth}}, prune: true, policy: cautious, suspend: true}"},
		"managers to take over from":     {spec: spec("adoptFrom: [kubectl-client-side-apply, helm]")},
		"nobody to take over from":       {spec: spec("adoptFrom: []")},
		"a manager without a name":       {spec("adoptFrom: ['']"), []string{"spec.adoptFrom[0]"}},
		"a manager of too long a name":   {spec("adoptFrom: [" + strings.Repeat("a", 129) + "]"), []string{"spec.adoptFrom[0]"}},
		"a manager that is named twice":  {spec("adoptFrom: [helm, helm]"), []string{"Duplicate value"}},
		"a controller's fields":          {spec("adoptFrom: [kube-controller-manager]"), []string{"adoptFrom must not name kube-controller-manager", "take the field out of Git"}},
		"a policy whose name is no name": {fmt.Sprintf("{source: {url: https://git.example.com/a.git, ref: {branch: main}}, policy: %s}", strings.Repeat("a", 254)), []string{"spec.policy"}},
	}
}

// gitSyncPolls are about which commit is followed, and when Git is asked.
func gitSyncPolls() map[string]refusal {
	source := func(fields string) string {
		return fmt.Sprintf("{source: {url: https://git.example.com/agents.git, ref: {branch: main}, %s}}", fields)
	}
	ref := func(fields string) string {
		return fmt.Sprintf("{source: {url: https://git.example.com/agents.git, ref: {%s}}}", fields)
	}
	const (
		oneRef   = "set exactly one of branch, tag, semver, commit and name"
		commit   = "commit must be the full name of a commit: 40 hexadecimal digits"
		schedule = "schedule must have the five fields of cron"
	)
	return map[string]refusal{
		"a range of versions":               {spec: ref("semver: '>=1.2.0 <2.0.0'")},
		"a range of versions below a path":  {spec: ref("semver: agents/1.x")},
		"an empty range":                    {ref("semver: ''"), []string{"spec.source.ref.semver"}},
		"a commit":                          {spec: ref("commit: '" + strings.Repeat("0123456789", 4) + "'")},
		"half a commit":                     {ref("commit: '01234567'"), []string{commit}},
		"a commit in capitals":              {ref("commit: " + strings.Repeat("ABCDEFABCD", 4)), []string{commit}},
		"an empty commit":                   {ref("commit: ''"), []string{commit}},
		"a branch and a commit":             {ref("branch: main, commit: '" + strings.Repeat("0123456789", 4) + "'"), []string{oneRef}},
		"a tag and a range":                 {ref("tag: v1.2.3, semver: 1.x"), []string{oneRef}},
		"a schedule":                        {spec: source("schedule: '0 * * * *'")},
		"a schedule of a time zone":         {spec: source("schedule: 'CRON_TZ=America/Argentina/Buenos_Aires 0 7 * * MON-FRI'")},
		"a schedule by name":                {spec: source("schedule: '@hourly'")},
		"a schedule and an interval":        {source("schedule: '0 * * * *', interval: 1m"), []string{"set interval or schedule, not both: remove one of them"}},
		"a schedule of four fields":         {source("schedule: '0 * * *'"), []string{schedule, "such as '0 * * * *'"}},
		"a schedule that is an interval":    {source("schedule: '@every 1m'"), []string{schedule}},
		"a schedule of another zone's name": {source("schedule: 'TZ=UTC 0 * * * *'"), []string{schedule}},
		"an empty schedule":                 {source("schedule: ''"), []string{"spec.source.schedule"}},
		"a webhook":                         {spec: source("webhookSecretRef: {name: hook}")},
		"a webhook without a Secret":        {source("webhookSecretRef: {name: ''}"), []string{"webhookSecretRef must name a Secret"}},
	}
}

// gitSyncLives are about how much happens by itself, when, and what is left.
func gitSyncLives() map[string]refusal {
	with := func(fields string) string {
		return fmt.Sprintf("{source: {url: https://git.example.com/agents.git, ref: {branch: main}}, %s}", fields)
	}
	const (
		limit    = "pruneLimit must be a count from 0 to 100000 or a percentage from 1% to 100%"
		approved = "approved must be the full name of a commit"
	)
	commit := strings.Repeat("0123456789abcdef", 4)
	return map[string]refusal{
		"mode auto":                            {spec: with("mode: auto")},
		"mode observe":                         {spec: with("mode: observe")},
		"mode approve":                         {spec: with("mode: approve")},
		"another mode":                         {with("mode: manual"), []string{"spec.mode", `"auto", "observe", "approve"`}},
		"an approved commit":                   {spec: with("approved: " + commit[:40])},
		"an approved commit of SHA-256":        {spec: with("approved: " + commit)},
		"nothing approved":                     {spec: with("approved: ''")},
		"a short commit approved":              {with("approved: 0123abcd"), []string{approved}},
		"a branch approved":                    {with("approved: main"), []string{approved}},
		"a percentage that may go":             {spec: with("pruneLimit: 100%")},
		"a count that may go":                  {spec: with("pruneLimit: 5")},
		"nothing may go unasked":               {spec: with("pruneLimit: 0")},
		"a negative count":                     {with("pruneLimit: -1"), []string{limit}},
		"too large a percentage":               {with("pruneLimit: 101%"), []string{limit}},
		"no percentage at all":                 {with("pruneLimit: 0%"), []string{limit}},
		"a word for a limit":                   {with("pruneLimit: few"), []string{limit}},
		"deletion that leaves everything":      {spec: with("deletionPolicy: orphan")},
		"deletion that prunes":                 {spec: with("deletionPolicy: prune")},
		"another deletion":                     {with("deletionPolicy: delete"), []string{"spec.deletionPolicy", `"orphan", "prune"`}},
		"dependencies":                         {spec: with("dependsOn: [{name: cni}, {name: csi, namespace: storage}]")},
		"a dependency without a name":          {with("dependsOn: [{namespace: storage}]"), []string{"spec.dependsOn[0].name"}},
		"a dependency of an empty name":        {with("dependsOn: [{name: ''}]"), []string{"spec.dependsOn[0].name"}},
		"a dependency that is written as text": {with("dependsOn: [cni]"), []string{"spec.dependsOn[0]"}},
	}
}

func rolloutPolicies() map[string]refusal {
	waves := func(list ...string) string { return "{waves: [" + strings.Join(list, ", ") + "]}" }
	upTo := func(values ...string) string {
		list := make([]string, len(values))
		for i, value := range values {
			list[i] = fmt.Sprintf("{name: wave-%d, upTo: %s}", i, value)
		}
		return waves(list...)
	}
	soak := func(value string) string { return waves(fmt.Sprintf("{name: all, upTo: 100%%, soak: %s}", value)) }
	health := func(fields string) string {
		return fmt.Sprintf("{waves: [{name: all, upTo: 100%%}], health: {%s}}", fields)
	}
	with := func(fields string) string { return fmt.Sprintf("{waves: [{name: all, upTo: 100%%}], %s}", fields) }
	first := func(fields string) string {
		return waves("{name: canary, upTo: 1, "+fields+"}", "{name: rest, upTo: 100%}")
	}
	const (
		leftover    = "the last wave takes every node that is left: it must have neither select nor allowEmpty"
		grouped     = "eachGroup and oneGroupAtATime need the groups of groupBy"
		last        = "the last wave must be upTo: 100%"
		percentages = "upTo is cumulative: the percentages of waves must grow"
		counts      = "upTo is cumulative: the counts of waves must grow"
		once        = "no two waves may have the same upTo"
		share       = "upTo must be a count from 1 to 100000 or a percentage from 1% to 100%"
		budget      = "maxUnavailable must be a count from 1 to 100000 or a percentage from 1% to 100%"
		soakTime    = "soak must be a duration between 0s and 168h"
		readyFor    = "readyFor must be a duration between 0s and 1h"
		deadline    = "deadline must be a duration between 1s and 24h"
	)
	return map[string]refusal{
		"a window and a freeze":                  {spec: with(`windows: [{schedule: "0 9 * * MON-THU", duration: 8h, timeZone: Europe/Berlin}], freezes: [{start: "2026-12-20T00:00:00Z", end: "2027-01-04T00:00:00Z", reason: holidays}]`)},
		"a window of six fields":                 {with(`windows: [{schedule: "0 0 9 * * *", duration: 8h}]`), []string{"windows[0].schedule", "five fields of cron"}},
		"a window by a name":                     {with(`windows: [{schedule: "@daily", duration: 8h}]`), []string{"windows[0].schedule", "five fields of cron"}},
		"a window with a zone in its schedule":   {with(`windows: [{schedule: "CRON_TZ=UTC 9 * * *", duration: 8h}]`), []string{"five fields of cron"}},
		"a window of a second":                   {with(`windows: [{schedule: "0 9 * * *", duration: 1s}]`), []string{"windows[0].duration", "between 1m and 168h"}},
		"a freeze that ends first":               {with(`freezes: [{start: "2026-12-20T00:00:00Z", end: "2026-12-19T00:00:00Z", reason: holidays}]`), []string{"end must be later than start"}},
		"a freeze without a reason":              {with(`freezes: [{start: "2026-12-20T00:00:00Z", end: "2026-12-21T00:00:00Z"}]`), []string{"reason"}},
		"a wave of selected nodes":               {spec: first("allowEmpty: true, select: {matchLabels: {pool: canary}, matchExpressions: [{key: gpu, operator: DoesNotExist}]}")},
		"a wave of nodes of nothing":             {first("select: {}"), []string{"spec.waves[0].select", "select must have matchLabels or matchExpressions"}},
		"all of the selected nodes at first":     {spec: waves("{name: canary, upTo: 100%, select: {matchLabels: {pool: canary}}}", "{name: early, upTo: 10%}", "{name: rest, upTo: 100%}")},
		"a last wave of selected nodes":          {waves("{name: all, upTo: 100%, select: {matchLabels: {pool: canary}}}"), []string{leftover}},
		"a last wave that may be empty":          {waves("{name: all, upTo: 100%, allowEmpty: true}"), []string{leftover}},
		"one node of each group":                 {spec: "{groupBy: [zone], waves: [{name: canary, upTo: 1, eachGroup: true}, {name: early, upTo: 1}, {name: rest, upTo: 100%}]}"},
		"one of each group without groups":       {first("eachGroup: true"), []string{grouped}},
		"a wave that waits for approval":         {spec: waves("{name: all, upTo: 100%, approval: true}")},
		"one group at a time":                    {spec: "{groupBy: [zone], waves: [{name: all, upTo: 100%, oneGroupAtATime: true}]}"},
		"one group at a time without groups":     {waves("{name: all, upTo: 100%, oneGroupAtATime: true}"), []string{grouped}},
		"one of each of no groups":               {"{groupBy: [], waves: [{name: canary, upTo: 1, eachGroup: true}, {name: rest, upTo: 100%}]}", []string{grouped}},
		"one wave":                               {spec: upTo("100%")},
		"percentages that grow":                  {spec: upTo("1%", "9%", "10%", "50%", "100%")},
		"counts that grow":                       {spec: upTo("1", "9", "10", "100000", "100%")},
		"counts among percentages":               {spec: upTo("1", "5%", "20", "50%", "300", "100%")},
		"as many waves as there may be":          {spec: upTo(growing(19)...)},
		"one wave more":                          {upTo(growing(20)...), []string{"must have at most 20 items"}},
		"no waves":                               {waves(), []string{"spec.waves"}},
		"no spec":                                {"{}", []string{"spec.waves: Required value"}},
		"a last wave that is not all":            {upTo("1", "50%"), []string{last}},
		"a last wave that is a count":            {upTo("1", "100"), []string{last}},
		"percentages that shrink":                {upTo("50%", "10%", "100%"), []string{percentages}},
		"percentages that shrink by digits":      {upTo("10%", "9%", "100%"), []string{percentages}},
		"percentages that shrink late":           {upTo("50%", "1", "10%", "100%"), []string{percentages}},
		"all before the last wave":               {upTo("100%", "100%"), []string{once}},
		"a percentage twice":                     {upTo("10%", "10%", "100%"), []string{once}},
		"counts that shrink":                     {upTo("10", "9", "100%"), []string{counts}},
		"a count twice":                          {upTo("1", "1", "100%"), []string{once}},
		"a count of nothing":                     {upTo("0", "100%"), []string{share}},
		"a negative count":                       {upTo("-1", "100%"), []string{share}},
		"a count that no cluster has":            {upTo("100001", "100%"), []string{share}},
		"nothing percent":                        {upTo("0%", "100%"), []string{share}},
		"more than all":                          {upTo("101%", "100%"), []string{share}},
		"a part of a percent":                    {upTo("0.5%", "100%"), []string{share}},
		"a count in quotes":                      {upTo("'5'", "100%"), []string{share}},
		"words":                                  {upTo("half", "100%"), []string{share}},
		"words that end like a percentage":       {upTo("half%", "100%"), []string{share}},
		"names that are the same":                {waves("{name: a, upTo: 1}", "{name: a, upTo: 100%}"), []string{"wave names must be unique"}},
		"a name that is no name":                 {waves("{name: A_b, upTo: 100%}"), []string{"spec.waves[0].name"}},
		"no name":                                {waves("{upTo: 100%}"), []string{"spec.waves[0].name: Required value"}},
		"no upTo":                                {waves("{name: all}"), []string{"spec.waves[0].upTo: Required value"}},
		"no soak":                                {spec: soak("0s")},
		"the longest soak":                       {spec: soak("168h")},
		"a soak as Go writes it":                 {spec: soak("1h0m1.5s")},
		"a soak that is too long":                {soak("168h1s"), []string{soakTime}},
		"a soak that overflows":                  {soak("999999h999999h999999h"), []string{"spec.waves[0].soak"}},
		"a soak without a unit":                  {soak("'30'"), []string{soakTime}},
		"a soak in words":                        {soak("a while"), []string{soakTime}},
		"a negative soak":                        {soak("-1s"), []string{soakTime}},
		"a budget":                               {spec: with("maxUnavailable: 3")},
		"a budget in percent":                    {spec: with("maxUnavailable: 10%")},
		"a budget of nothing":                    {with("maxUnavailable: 0"), []string{budget}},
		"a budget of nothing percent":            {with("maxUnavailable: 0%"), []string{budget}},
		"a breaker":                              {spec: with("breaker: {maxSickNodes: 10%}")},
		"a breaker of a count":                   {spec: with("breaker: {maxSickNodes: 3}")},
		"a breaker of nothing":                   {with("breaker: {maxSickNodes: 0}"), []string{"spec.breaker.maxSickNodes", "maxSickNodes must be a count from 1 to 100000 or a percentage from 1% to 100%"}},
		"a breaker without a limit":              {with("breaker: {}"), []string{"spec.breaker.maxSickNodes: Required value"}},
		"a budget in quotes":                     {with("maxUnavailable: '3'"), []string{budget}},
		"a budget of each group":                 {spec: with("groupBy: [topology.kubernetes.io/zone], maxUnavailable: 3, maxUnavailablePerGroup: 50%")},
		"a budget of each group of nothing":      {with("groupBy: [topology.kubernetes.io/zone], maxUnavailablePerGroup: 0"), []string{"maxUnavailablePerGroup must be a count from 1 to 100000 or a percentage from 1% to 100%"}},
		"a budget of each group without any":     {with("maxUnavailablePerGroup: 1"), []string{"maxUnavailablePerGroup needs the groups of groupBy"}},
		"all health fields":                      {spec: health("readyFor: 1h, deadline: 24h, maxRestarts: 1000, failureBudget: 100000, node: false")},
		"no readyFor":                            {spec: health("readyFor: 0s")},
		"a readyFor that is too long":            {health("readyFor: 61m"), []string{readyFor}},
		"no deadline":                            {health("deadline: 0s"), []string{deadline}},
		"a deadline that is too long":            {health("deadline: 25h"), []string{deadline}},
		"negative restarts":                      {health("maxRestarts: -1"), []string{"spec.health.maxRestarts"}},
		"a negative failure budget":              {health("failureBudget: -1"), []string{"spec.health.failureBudget"}},
		"what happens on failure":                {spec: with("onFailure: hold")},
		"a surge":                                {spec: with("replace: surge")},
		"another replacement":                    {with("replace: swap"), []string{`supported values: "delete", "surge"`}},
		"a surge with new pods of the candidate": {with("replace: surge, newPods: candidate"), []string{"newPods must be proven"}},
		"what new pods get":                      {spec: with("newPods: candidate")},
		"something else for new pods":            {with("newPods: newest"), []string{`supported values: "proven", "candidate"`}},
		"something else on failure":              {with("onFailure: explode"), []string{`supported values: "return", "hold"`}},
		"groups":                                 {spec: with("groupBy: [topology.kubernetes.io/zone, kubernetes.io/arch]")},
		"too many groups":                        {with("groupBy: [a, b, c, d, e]"), []string{"must have at most 4 items"}},
		"a field that there is not":              {with("maxSurge: 1"), []string{`unknown field "spec.maxSurge"`}},
	}
}

// growing is n counts and then all.
func growing(n int) []string {
	values := make([]string, 0, n+1)
	for i := range n {
		values = append(values, fmt.Sprint(i+1))
	}
	return append(values, "100%")
}

// testDefaults shows what the API server adds to the shortest objects.
func testDefaults(t *testing.T, c *cluster.Cluster) {
	create := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	sync, err := c.Dynamic.Resource(resource("gitsyncs")).Namespace(metav1.NamespaceDefault).Create(t.Context(),
		object(t, "GitSync", "{source: {url: https://git.example.com/agents.git, ref: {branch: main}, verify: {secretRef: {name: signers}}}}"), create)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := c.Dynamic.Resource(resource("rolloutpolicies")).Create(t.Context(),
		object(t, "RolloutPolicy", "{waves: [{name: all, upTo: 100%}]}"), create)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		object *unstructured.Unstructured
		path   string
		value  any
	}{
		{sync, "spec.prune", false},
		{sync, "spec.source.path", "."},
		{sync, "spec.source.interval", nil}, // a minute, unless there is a schedule
		{sync, "spec.source.verify.mode", "head"},
		{policy, "spec.maxUnavailable", int64(1)},
		{policy, "spec.onFailure", "return"},
		{policy, "spec.newPods", "proven"},
		{policy, "spec.replace", "delete"},
		{policy, "spec.health.readyFor", "30s"},
		{policy, "spec.health.deadline", "10m"},
		{policy, "spec.health.maxRestarts", int64(0)},
		{policy, "spec.health.failureBudget", int64(0)},
		{policy, "spec.health.node", true},
	} {
		got, _, err := unstructured.NestedFieldNoCopy(want.object.Object, strings.Split(want.path, ".")...)
		if err != nil || got != want.value {
			t.Errorf("%s of %s is %v (%v), want %v", want.path, want.object.GetKind(), got, err, want.value)
		}
	}
}
