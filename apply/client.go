package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/rollcall-dev/rollcall/apply/account"
	"github.com/rollcall-dev/rollcall/apply/owned"
	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// establishTimeout is the default of Applier.EstablishTimeout: a CustomResourceDefinition takes under 2 s.
const establishTimeout = 30 * time.Second

// requestTimeout bounds one request, unless the config says otherwise: a little more than the API server gives it.
const requestTimeout = 70 * time.Second

// attempts is how often a write is tried that somebody else's write overtakes.
const attempts = 5

// Applier observes, applies and prunes the objects of GitSyncs, but for the DaemonSets, which Rollouts moves. It keeps
// nothing but what Mapper caches, and may be used by many at once.
type Applier struct {
	// Dynamic reaches the cluster; every call of one Applier about an object is made by it.
	Dynamic dynamic.Interface
	// Accounts are the clients for As; nil if this Applier acts as nobody else.
	Accounts *account.Clients
	// Mapper knows the kinds of the cluster. When it is a meta.ResettableRESTMapper it is reset once when a kind is
	// missing, for a CustomResourceDefinition may have come since.
	Mapper meta.RESTMapper
	// Discovery tells a kind that is gone for good from one that Mapper could not learn of; nil to take it for the second.
	Discovery discovery.ServerResourcesInterface
	// FieldManager of every write; empty for v1alpha1.FieldManager.
	FieldManager string
	// AdoptFrom are the field managers whose fields may be taken over; nil for defaultAdoptFrom.
	AdoptFrom []string
	// Owners lists the owner labels of the GitSyncs that exist; nil when that cannot be known, and then every label counts
	// as that of one.
	Owners func(context.Context) ([]string, error)
	// HandsOver foretells whether the GitSync of an owner label will hand an object over; nil where nothing is foretold,
	// as in a pass, which has the GitSync itself do so.
	HandsOver func(owner string, id diff.ID) bool
	// Owned watches the objects that were applied; nil to ask about each object every time.
	Owned *owned.Watch
	// Logger gets a line for each write; nil for none.
	Logger *slog.Logger
	// EstablishTimeout is how long to wait for the API server to serve a CustomResourceDefinition that was just applied;
	// 0 for 30 s.
	EstablishTimeout time.Duration

	// as is whom Dynamic acts as.
	as account.Account
}

// As returns an Applier that acts as the account: it reads, tries, writes and watches with the rights of that, and with no
// others. Only which kinds there are, which everybody may know, is asked by this process itself.
func (a *Applier) As(as account.Account) (*Applier, error) {
	if as == a.as {
		return a, nil
	}
	if as.Own() || a.Accounts == nil {
		return nil, fmt.Errorf("act as %s: there is no client for that", as)
	}
	client, err := a.Accounts.As(as)
	if err != nil {
		return nil, err
	}
	out := *a
	out.Dynamic, out.as = client.Dynamic, as
	return &out, nil
}

// NewApplier returns an Applier for the cluster of the config. Without a limit of requests in the config there is none:
// an Applier makes a few at a time, and the API server knows best how many it can bear. The API server's warnings are
// not logged, for they would come again with every pass.
func NewApplier(config *rest.Config, logger *slog.Logger) (*Applier, error) {
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{}
	if config.QPS == 0 {
		config.QPS = -1
	}
	if config.Timeout == 0 {
		config.Timeout = requestTimeout
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make dynamic client: %w", err)
	}
	discover, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make discovery client: %w", err)
	}
	return &Applier{
		Dynamic:   client,
		Accounts:  account.New(config),
		Mapper:    restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discover)),
		Discovery: discover,
		Logger:    logger,
	}, nil
}

// defaultAdoptFrom are the field managers of tools by which people install node agents by hand: whoever points rollcall
// at their objects wants rollcall to have them.
func defaultAdoptFrom() []string {
	return []string{"kubectl-client-side-apply", "kubectl", "kubectl-create", "kubectl-edit", "helm", "before-first-apply"}
}

// Adopting is the same Applier with other field managers whose fields may be taken over; with the same ones for nil.
func (a *Applier) Adopting(managers []string) *Applier {
	if managers == nil {
		return a
	}
	out := *a
	out.AdoptFrom = managers
	return &out
}

func (a *Applier) fieldManager() string {
	if a.FieldManager == "" {
		return v1alpha1.FieldManager
	}
	return a.FieldManager
}

func (a *Applier) adoptFrom() []string {
	if a.AdoptFrom == nil {
		return defaultAdoptFrom()
	}
	return a.AdoptFrom
}

func (a *Applier) logger() *slog.Logger {
	if a.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Logger
}

// target is an object and where the cluster keeps it.
type target struct {
	object  *unstructured.Unstructured
	source  string
	mapping *meta.RESTMapping
	// ignored are the fields that are left to others; whole is the object with them, nil if it has none.
	ignored []diff.Pointer
	whole   *unstructured.Unstructured
}

// String names the object and the file that it came from.
func (t target) String() string {
	return describe(t.object, t.source)
}

func (t target) namespaced() bool {
	return t.mapping.Scope.Name() == meta.RESTScopeNameNamespace
}

func (a *Applier) client(t target) dynamic.ResourceInterface {
	all := a.Dynamic.Resource(t.mapping.Resource)
	if t.namespaced() {
		return all.Namespace(t.object.GetNamespace())
	}
	return all
}

// get returns the live object; nil when there is none.
func (a *Applier) get(ctx context.Context, t target) (*unstructured.Unstructured, error) {
	live, err := a.client(t).Get(ctx, t.object.GetName(), metav1.GetOptions{})
	switch {
	case notServed(err):
		return nil, err
	case apierrors.IsNotFound(err):
		return nil, nil
	default:
		return live, err
	}
}

// notServed tells a kind that the API server does not serve from an object that it does not have: the first answer comes
// from no resource, and is no Status.
func notServed(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// request is one server-side apply.
type request struct {
	dryRun bool
	// force takes the fields of others. It goes with a resourceVersion, so that it takes nothing but from the managers that
	// were looked at.
	force bool
	// resourceVersion refuses the request when the object is another one by now; empty to apply to whatever there is.
	resourceVersion string
}

// send makes a server-side apply. A field that the kind does not have is an error.
func (a *Applier) send(ctx context.Context, t target, r request) (*unstructured.Unstructured, error) {
	payload := t.object
	if r.resourceVersion != "" {
		payload = payload.DeepCopy()
		payload.SetResourceVersion(r.resourceVersion)
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", t, err)
	}
	o := a.patchOptions(r.dryRun)
	o.Force = &r.force
	return a.client(t).Patch(ctx, t.object.GetName(), types.ApplyPatchType, raw, o)
}

// unborn is a resourceVersion that no object has: the first revision of etcd is that of an empty store. An apply that
// names it makes an object, for there is no version to compare it with, and is refused when there is one
// (k8s.io/apiserver, pkg/registry/generic/registry/store.go, Update).
const unborn = "1"

// sendNew applies an object that does not exist, as far as is known. One that somebody has made all the same is a write
// that overtakes it, whoever manages its fields: whose it is has to be looked at first.
func (a *Applier) sendNew(ctx context.Context, t target, dryRun bool) (*unstructured.Unstructured, error) {
	made, err := a.send(ctx, t, request{dryRun: dryRun, resourceVersion: unborn})
	if apierrors.IsConflict(err) {
		err = apierrors.NewConflict(t.mapping.Resource.GroupResource(), t.object.GetName(), errors.New("somebody has made it meanwhile"))
	}
	return made, err
}

func (a *Applier) patchOptions(dryRun bool) metav1.PatchOptions {
	o := metav1.PatchOptions{FieldManager: a.fieldManager(), FieldValidation: metav1.FieldValidationStrict}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	return o
}

// kindOf finds out where the cluster keeps the objects of a kind.
func (a *Applier) kindOf(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	return a.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
}

// forgetKinds makes the next question about a kind go to the API server.
func (a *Applier) forgetKinds() {
	if m, ok := a.Mapper.(meta.ResettableRESTMapper); ok {
		m.Reset()
	}
}

// extinct reports whether the API server itself says that it serves no such kind. While an extension server is away its
// kinds are missing from a Mapper, and its objects are not gone.
func (a *Applier) extinct(gvk schema.GroupVersionKind) bool {
	if a.Discovery == nil {
		return false
	}
	served, err := a.Discovery.ServerResourcesForGroupVersion(gvk.GroupVersion().String())
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	return !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Kind == gvk.Kind })
}
