package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// GitSync keeps the objects of one path of one Git repository applied to this
// cluster, and moves every change of a DaemonSet over the nodes in waves.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gsync,categories=rollcall
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Git",type=string,JSONPath=`.status.fetched.commit`,priority=1
// +kubebuilder:printcolumn:name="Applied",type=string,JSONPath=`.status.applied`
// +kubebuilder:printcolumn:name="Proven",type=string,JSONPath=`.status.proven`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type GitSync struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GitSyncSpec   `json:"spec"`
	Status GitSyncStatus `json:"status,omitempty"`
}

// GitSyncSpec says what this cluster should run.
type GitSyncSpec struct {
	// Source is the repository, the ref and the path to follow.
	Source GitSource `json:"source"`

	// Prune deletes objects that this GitSync applied once Git no longer
	// declares them, after every DaemonSet of the new commit is proven. An
	// empty render never prunes.
	// +kubebuilder:default=false
	// +optional
	Prune bool `json:"prune,omitempty"`

	// PruneLimit is how much one commit may delete before a person has approved
	// it by spec.approved: a count, or a percentage of the objects that this
	// GitSync declares or still has. A percentage is rounded up, and always lets
	// three objects go, so that a small inventory does not hold with every change:
	// an agent with its ConfigMap and its ServiceAccount, for example. What another
	// GitSync takes over, what is protected from being pruned, and older copies of
	// declared config, whose names end in a hash, do not count. When more would
	// go, nothing goes. 100% is no limit; 0 has every deletion approved.
	// +kubebuilder:default="25%"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? int(self) >= 0 && int(self) <= 100000 : string(self).matches('^([1-9][0-9]?|100)%$')",message="pruneLimit must be a count from 0 to 100000 or a percentage from 1% to 100%"
	// +optional
	PruneLimit *intstr.IntOrString `json:"pruneLimit,omitempty"`

	// DeletionPolicy is what becomes of the objects when this GitSync is deleted.
	// With orphan they stay as they are, with the owner label of a GitSync that is
	// gone, and the next GitSync that declares one takes it over. With prune they
	// are deleted, in the reverse order of applying and as prune would: only what
	// carries this GitSync's owner label, nothing that another GitSync declares or
	// a pod still reads, nothing with the annotation rollcall.dev/prune: disabled,
	// and Namespaces and CustomResourceDefinitions only with confirm. A GitSync
	// that is suspended or in mode observe deletes nothing, as always.
	// +kubebuilder:default=orphan
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// Mode is how much happens by itself. With auto a new commit is applied at
	// once. With approve it waits until spec.approved names it; the commit that is
	// applied is kept as it is meanwhile, drift of it is corrected, and a newer
	// commit takes the place of one that waits. With observe nothing is written
	// but this GitSync's status, which says what would be: no object, no
	// DaemonSet, no inventory. Rollouts already under way go on: pause those on
	// their NodeRollout.
	// +kubebuilder:default=auto
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// Approved is the full name of the one commit that a person has approved: in
	// mode approve to be applied, in any mode to prune more than pruneLimit lets
	// go. It says nothing about any other commit.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^([0-9a-f]{40}|[0-9a-f]{64})$')",message="approved must be the full name of a commit: 40 or 64 hexadecimal digits"
	// +optional
	Approved string `json:"approved,omitempty"`

	// DependsOn names GitSyncs that come first: a new commit waits until each of
	// them is Ready and has proven the newest commit that it has fetched; of one
	// that follows the same repository and ref, that is the commit that waits.
	// What is applied already is kept as it is meanwhile.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	DependsOn []GitSyncReference `json:"dependsOn,omitempty"`

	// Policy names the RolloutPolicy for DaemonSets here that name none by the
	// annotation rollcall.dev/policy. Without it the RolloutPolicy "default"
	// is used if there is one, else the policy built into rollcall.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Policy string `json:"policy,omitempty"`

	// AdoptFrom lists the field managers whose fields are taken over, as kubectl
	// get --show-managed-fields names them. What Git declares is written over
	// theirs, and a field of theirs that Git does not declare goes away, also when
	// they wrote it by a client-side apply or an update. A field of any other
	// manager, such as that of an autoscaler, holds the commit (Conflict), and
	// the message names the object, the field and the manager. Without it these
	// are the tools by which people install agents by hand:
	// kubectl-client-side-apply, kubectl, kubectl-create, kubectl-edit, helm and
	// before-first-apply. An empty list takes over from nobody.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.exists(m, m in ['kube-controller-manager', 'kube-scheduler', 'kubelet'])",message="adoptFrom must not name kube-controller-manager, kube-scheduler or kubelet: what they write they write again; take the field out of Git"
	// +listType=set
	// +optional
	AdoptFrom []string `json:"adoptFrom,omitzero"`

	// ServiceAccountName names a ServiceAccount in this namespace. Every get,
	// dry-run, apply, watch and delete of what Git declares is made as that one,
	// the writes of its DaemonSets' rollouts among them: with its rights and no
	// others. Pods, nodes and what rollcall records stay rollcall's own affair.
	// Without it the controller's --default-service-account counts, and without
	// that rollcall's own rights.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="serviceAccountName must be the name of a ServiceAccount in the GitSync's namespace, without a namespace"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Ignore are fields that Git declares and somebody else has, such as an
	// autoscaler's replicas: they are neither applied nor compared, and what
	// rollcall had of them before it lets go of as they are. The pod template,
	// the selector and the update strategy of a DaemonSet that rollcall rolls
	// out cannot be ignored.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Ignore []IgnoreRule `json:"ignore,omitempty"`

	// Substitute puts values in the place of ${name} in what Git declares, once it
	// is built. Without it ${name} is text like any other.
	// +optional
	Substitute *Substitute `json:"substitute,omitempty"`

	// Decryption says how Secrets in Git that sops has encrypted are read. Without
	// it they are an error, and nothing of the commit is applied.
	// +optional
	Decryption *Decryption `json:"decryption,omitempty"`

	// Suspend stops polling and applying, in every mode. Rollouts already under
	// way go on: pause those on their NodeRollout. A GitSync that waits for this
	// one by dependsOn goes on waiting if it waited. When a suspended GitSync is
	// deleted, its objects stay, whatever deletionPolicy says.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Mode is how much happens by itself.
//
// +kubebuilder:validation:Enum=auto;observe;approve
type Mode string

// The modes. The set is closed.
const (
	ModeAuto    Mode = "auto"
	ModeObserve Mode = "observe"
	ModeApprove Mode = "approve"
)

// DeletionPolicy is what becomes of the objects of a GitSync that is deleted.
//
// +kubebuilder:validation:Enum=orphan;prune
type DeletionPolicy string

// The deletion policies. The set is closed.
const (
	DeletionOrphan DeletionPolicy = "orphan"
	DeletionPrune  DeletionPolicy = "prune"
)

// GitSyncReference names another GitSync.
type GitSyncReference struct {
	// Name of the GitSync.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Namespace of the GitSync; by default that of the one that names it.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// IgnoreRule is a field that is left to others, in the objects that it is for.
type IgnoreRule struct {
	// Pointer is a JSON pointer (RFC 6901) to the field in the object as Git
	// declares it, such as /spec/replicas, or
	// /webhooks/0/clientConfig/caBundle; in a key, ~1 stands for a slash and ~0
	// for a tilde.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^(/[^/]+)+$')",message="pointer must be a JSON pointer to a field, such as /spec/replicas"
	// +kubebuilder:validation:XValidation:rule="!self.matches('~([^01]|$)')",message="pointer: write ~0 for a tilde and ~1 for a slash in a key"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^/(apiVersion|kind|metadata|metadata/(name|namespace|labels|labels/rollcall[.]dev~1gitsync))$')",message="pointer: what says which object it is, and whose, cannot be ignored"
	Pointer string `json:"pointer"`

	// Kind of the objects, such as Deployment; any without it.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Kind string `json:"kind,omitempty"`

	// Namespace of the objects; any without it.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// Name of the object; any without it.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
}

// GitSource is a path of a ref of a Git repository.
//
// +kubebuilder:validation:XValidation:rule="!has(self.verify) || self.verify.mode == 'head' || !(has(self.ref.branch) || has(self.ref.commit) || (has(self.ref.name) && !self.ref.name.startsWith('refs/tags/')))",message="verify.mode tag and tagAndHead want the signature of a tag: follow a tag, or set verify.mode to head"
// +kubebuilder:validation:XValidation:rule="!self.url.startsWith('http://') || (has(self.insecureHTTP) && self.insecureHTTP)",message="url is plain http: use https, or set insecureHTTP: true"
// +kubebuilder:validation:XValidation:rule="!self.url.startsWith('ssh://') || has(self.secretRef)",message="url is ssh: name a Secret with identity and known_hosts in secretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.schedule) || !has(self.interval)",message="set interval or schedule, not both: remove one of them"
type GitSource struct {
	// URL of the repository: https, ssh such as ssh://git@host/path, or http
	// with insecureHTTP. git@host:path is written ssh://git@host/path.
	// Credentials do not belong into it: use secretRef.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https?|ssh)://')",message="url must begin with https:// or ssh:// (or http:// with insecureHTTP: true); git@host:path is written ssh://git@host/path"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/]*@') && !self.matches('^ssh://[^/@]*:[^/]*@')",message="url must not contain credentials: use secretRef"
	URL string `json:"url"`

	// InsecureHTTP allows a plain http URL. Whoever is on the network path can
	// then change what the cluster runs.
	// +optional
	InsecureHTTP bool `json:"insecureHTTP,omitempty"`

	// Ref is what to follow.
	Ref GitRef `json:"ref"`

	// Path below the repository's root: a kustomization, or a directory of
	// plain manifests.
	// +kubebuilder:default="."
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="path must be relative and must not contain '..'"
	// +optional
	Path string `json:"path,omitempty"`

	// Interval between two polls, 1m without one and without a schedule; jittered
	// by up to 10%. At least 5s, at most 24h.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('5s') && duration(self) <= duration('24h')",message="interval must be a duration between 5s and 24h, such as 1m30s"
	// +optional
	Interval metav1.Duration `json:"interval,omitzero"`

	// Schedule says when to poll in place of an interval: five fields of cron, such
	// as "0 * * * *", in UTC unless it begins with CRON_TZ= and a time zone of the
	// IANA database, as in "CRON_TZ=Europe/Berlin 0 7 * * MON-FRI"; or @hourly and
	// the like. A poll is up to a minute late, by chance, so that not all GitSyncs
	// ask at once. What has drifted is put right at any time, and
	// rollcall.dev/reconcile-at, a change of the spec and a webhook are answered
	// at once.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^ *(CRON_TZ=[A-Za-z0-9_+/-]+ +)?([^ @=]+( +[^ @=]+){4}|@(hourly|daily|midnight|weekly|monthly|yearly|annually)) *$')",message="schedule must have the five fields of cron: minute, hour, day of month, month, day of week, such as '0 * * * *' or 'CRON_TZ=Europe/Berlin 0 7 * * MON-FRI'"
	// +optional
	Schedule string `json:"schedule,omitempty"`

	// WebhookSecretRef names a Secret in this namespace whose key token is what a
	// webhook of the Git server is signed with: POST to /hook/NAMESPACE/NAME has
	// this GitSync poll at once. Without it no webhook is heard.
	// +kubebuilder:validation:XValidation:rule="has(self.name) && self.name != ''",message="webhookSecretRef must name a Secret: set name, or leave webhookSecretRef out"
	// +optional
	WebhookSecretRef *corev1.LocalObjectReference `json:"webhookSecretRef,omitempty"`

	// SecretRef names a Secret in this namespace with what the server asks for.
	// Over https: username and password; or bearerToken; or githubAppID,
	// githubAppPrivateKey and githubAppInstallationID; and beside them ca.crt or
	// caFile, and tls.crt and tls.key. Over ssh: identity and known_hosts, and
	// password if identity has a passphrase.
	// +kubebuilder:validation:XValidation:rule="has(self.name) && self.name != ''",message="secretRef must name a Secret: set name, or leave secretRef out"
	// +optional
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`

	// ProxySecretRef names a Secret in this namespace with the address of a
	// proxy, such as http://proxy:3128 or socks5://proxy:1080, and its username
	// and password if it asks for them. Without it the proxies of the
	// controller's environment count: HTTPS_PROXY, or ALL_PROXY for ssh.
	// +kubebuilder:validation:XValidation:rule="has(self.name) && self.name != ''",message="proxySecretRef must name a Secret: set name, or leave proxySecretRef out"
	// +optional
	ProxySecretRef *corev1.LocalObjectReference `json:"proxySecretRef,omitempty"`

	// Verify wants a signature of somebody who may sign. A commit without one is
	// held (UnverifiedCommit): nothing of it is rendered, and what was applied
	// before keeps running.
	// +optional
	Verify *GitVerify `json:"verify,omitempty"`

	// Include are patterns of the files that are read, as .gitignore writes
	// patterns, below the repository's root; without any, all are. A file that a
	// kustomization names and that is not among them is an error.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +listType=atomic
	// +optional
	Include []string `json:"include,omitempty"`

	// Ignore are patterns of files and directories that are not read, as
	// .gitignore writes patterns, below the repository's root; it beats include.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +listType=atomic
	// +optional
	Ignore []string `json:"ignore,omitempty"`
}

// GitVerify is whose signature is wanted, and on what.
type GitVerify struct {
	// Mode is what has to be signed: head, the commit; tag, the annotated tag that
	// is followed, by its own name; tagAndHead, both.
	// +kubebuilder:default=head
	// +optional
	Mode VerifyMode `json:"mode,omitempty"`

	// SecretRef names a Secret in this namespace with the public keys of those who
	// may sign: files of armored OpenPGP keys under any name, and a file
	// allowed_signers with SSH keys, in the format of ssh-keygen(1).
	// +kubebuilder:validation:XValidation:rule="has(self.name) && self.name != ''",message="verify.secretRef must name a Secret with the public keys of those who may sign"
	SecretRef corev1.LocalObjectReference `json:"secretRef"`
}

// VerifyMode is what has to be signed.
//
// +kubebuilder:validation:Enum=head;tag;tagAndHead
type VerifyMode string

// The modes of verification. The set is closed.
const (
	VerifyHead       VerifyMode = "head"
	VerifyTag        VerifyMode = "tag"
	VerifyTagAndHead VerifyMode = "tagAndHead"
)

// GitRef is exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="(has(self.branch) ? 1 : 0) + (has(self.tag) ? 1 : 0) + (has(self.semver) ? 1 : 0) + (has(self.commit) ? 1 : 0) + (has(self.name) ? 1 : 0) == 1",message="set exactly one of branch, tag, semver, commit and name"
type GitRef struct {
	// Branch to follow: main stands for refs/heads/main.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Branch string `json:"branch,omitempty"`

	// Tag to follow; an annotated one is peeled to its commit. One that is moved
	// is followed, and that is said.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Tag string `json:"tag,omitempty"`

	// Semver is a range of versions, such as 1.x or ">=1.2.0 <2.0.0": the tag with
	// the highest version in it is followed. Tags are whole versions with or
	// without a v, as v1.2.3; of those below a path, as agents/v1.2.3, the range has
	// the path before it: agents/1.x. A prerelease is in a range that names one,
	// as >=1.2.0-0 does.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Semver string `json:"semver,omitempty"`

	// Commit to stay at, by its full name: 40 hexadecimal digits.
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{40}$')",message="commit must be the full name of a commit: 40 hexadecimal digits"
	// +optional
	Commit string `json:"commit,omitempty"`

	// Name is a full ref name, such as refs/rollcall/proven/staging.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.startsWith('refs/')",message="name must be a full ref name, beginning with refs/"
	// +optional
	Name string `json:"name,omitempty"`
}

// FullName is the ref's full name, such as refs/heads/main; empty for a range of
// versions and for a commit.
func (r GitRef) FullName() string {
	switch {
	case r.Branch != "":
		return "refs/heads/" + r.Branch
	case r.Tag != "":
		return "refs/tags/" + r.Tag
	default:
		return r.Name
	}
}

// String tells what is followed from everything else that could be.
func (r GitRef) String() string {
	switch {
	case r.Semver != "":
		return "semver " + r.Semver
	case r.Commit != "":
		return "commit " + r.Commit
	default:
		return r.FullName()
	}
}

// GitSyncStatus says which commit Git has, which the cluster runs, and why
// they differ.
type GitSyncStatus struct {
	// ObservedGeneration is the generation that the conditions speak about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are Ready, Reconciling and Stalled, by the rules of kstatus:
	// Ready is always there; the other two only while they are true.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Fetched is the newest commit that was read from Git whole.
	// +optional
	Fetched *Commit `json:"fetched,omitempty"`

	// Applied is the commit of which everything but the node rollouts is in
	// the cluster.
	// +optional
	Applied string `json:"applied,omitempty"`

	// Proven is the newest commit whose every DaemonSet is proven on every
	// eligible node, and of which the DaemonSets that it removes have left theirs.
	// +optional
	Proven string `json:"proven,omitempty"`

	// Rollouts has a row for every DaemonSet that Git declares.
	// +listType=atomic
	// +optional
	Rollouts []RolloutSummary `json:"rollouts,omitempty"`

	// Pending is what the newest commit would change, while it is only observed or
	// waits to be approved.
	// +optional
	Pending *Pending `json:"pending,omitempty"`

	// Warnings are what is doubtful in what Git declares and stops nothing, at most
	// 20 of them; WarningCount counts all.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Warnings []Warning `json:"warnings,omitempty"`

	// WarningCount counts the warnings.
	// +optional
	WarningCount int32 `json:"warningCount,omitempty"`

	// History has the last 10 commits that were newest in Git, the latest first,
	// and what became of each.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +optional
	History []HistoryEntry `json:"history,omitempty"`

	// Inventory lists what this GitSync applied and therefore may prune.
	// +optional
	Inventory *Inventory `json:"inventory,omitempty"`

	// LastHandledReconcileAt is the last value of the annotation
	// rollcall.dev/reconcile-at that a pass has answered.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// Commit identifies one Git commit.
type Commit struct {
	// Commit is the full object name.
	Commit string `json:"commit"`
	// Author as "Name <address>".
	// +optional
	Author string `json:"author,omitempty"`
	// Subject is the first line of the message, at most 200 characters.
	// +optional
	Subject string `json:"subject,omitempty"`
	// Time the commit was made, by its committer's clock.
	// +optional
	Time metav1.Time `json:"time,omitempty"`
	// SignedBy is the key, and its owner, whose signature was verified; empty where
	// none was asked for, and while the commit is held for want of one.
	// +optional
	SignedBy string `json:"signedBy,omitempty"`
	// Ref is the full name of the ref that led to the commit: of a range of
	// versions, the tag that was chosen.
	// +optional
	Ref string `json:"ref,omitempty"`
	// MovedFrom is the commit that the tag named before somebody moved it.
	// +optional
	MovedFrom string `json:"movedFrom,omitempty"`
	// Note is what else there is to say of the ref.
	// +optional
	Note string `json:"note,omitempty"`
}

// RolloutSummary is one DaemonSet's row in a GitSync's status.
type RolloutSummary struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// +optional
	Reason string `json:"reason,omitempty"`
}

// MaxHistory is how many commits a status remembers.
const MaxHistory = 10

// HistoryEntry is what became of one commit.
type HistoryEntry struct {
	// Commit is the full object name.
	Commit string `json:"commit"`
	// Subject is the first line of the message, at most 200 characters.
	// +optional
	Subject string `json:"subject,omitempty"`
	// SignedBy is the key, and its owner, whose signature was verified.
	// +optional
	SignedBy string `json:"signedBy,omitempty"`
	// Fetched is when this cluster read the commit.
	// +optional
	Fetched metav1.Time `json:"fetched,omitempty"`
	// Applied is when everything but the node rollouts was in the cluster.
	// +optional
	Applied *metav1.Time `json:"applied,omitempty"`
	// Proven is when every DaemonSet was proven on every eligible node.
	// +optional
	Proven *metav1.Time `json:"proven,omitempty"`
	// Outcome is a constant: Proven; Rejected or Held, after its rollout;
	// Superseded, by a newer commit; or the last reason for which it does not, or
	// did not, get further.
	// +optional
	Outcome string `json:"outcome,omitempty"`
}

// Pending is what a commit would change.
type Pending struct {
	// Commit is the full object name.
	Commit string `json:"commit"`
	// Create, Update and Prune count the objects, DaemonSets among them.
	// +optional
	Create int32 `json:"create,omitempty"`
	// +optional
	Update int32 `json:"update,omitempty"`
	// +optional
	Prune int32 `json:"prune,omitempty"`
	// Blocked counts the objects that could not be applied; while there is one,
	// none would be.
	// +optional
	Blocked int32 `json:"blocked,omitempty"`
	// Objects names those that would change, at most 20 of them.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Objects []PendingObject `json:"objects,omitempty"`
}

// MaxPendingObjects is how many objects a Pending names.
const MaxPendingObjects = 20

// PendingObject is one object that would change.
type PendingObject struct {
	// ID is NAMESPACE_NAME_GROUP_KIND; the namespace and the group may be empty.
	ID string `json:"id"`
	// Operation is Create, Update, Delete or Release; or Conflict, Refused or
	// Foreign for what could not be applied.
	Operation string `json:"operation"`
}

// Inventory is the set of objects that a GitSync applied.
type Inventory struct {
	// +listType=atomic
	Entries []InventoryEntry `json:"entries"`
}

// InventoryEntry names one applied object.
type InventoryEntry struct {
	// ID is NAMESPACE_NAME_GROUP_KIND; the namespace and the group may be empty.
	ID string `json:"id"`
	// Version of the group that the object was applied with.
	Version string `json:"v"`
}

// GitSyncList is a list of GitSyncs.
//
// +kubebuilder:object:root=true
type GitSyncList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitSync `json:"items"`
}
