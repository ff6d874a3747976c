// Package account says as whom the objects of a GitSync are read and written, and
// keeps the clients that do it.
package account

import (
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	typedappsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// Account is a ServiceAccount. The zero value is this process's own identity.
type Account struct {
	Namespace, Name string
}

// Own is whether it is this process itself.
func (a Account) Own() bool { return a == Account{} }

// User is the name by which the API server knows the account.
func (a Account) User() string { return "system:serviceaccount:" + a.Namespace + ":" + a.Name }

// String is NAMESPACE/NAME.
func (a Account) String() string {
	if a.Own() {
		return "rollcall itself"
	}
	return a.Namespace + "/" + a.Name
}

// Client reaches the cluster as one account.
type Client struct {
	// Dynamic and Apps read and write, each request within a bounded time. Metadata
	// watches, for as long as that goes.
	Dynamic  dynamic.Interface
	Apps     typedappsv1.AppsV1Interface
	Metadata metadata.Interface
}

// Clients are those of all accounts that somebody acts as. They share connections
// and one limit of requests. They may be used by many at once.
type Clients struct {
	// patient has no limit of time for a request.
	patient, bounded *rest.Config

	mu    sync.Mutex
	known map[Account]*Client
}

// New returns Clients that act for others with the config's right to impersonate.
// The config's Timeout bounds every request but the watches.
func New(config *rest.Config) *Clients {
	bounded := rest.CopyConfig(config)
	if bounded.RateLimiter == nil && bounded.QPS > 0 {
		bounded.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(bounded.QPS, bounded.Burst)
	}
	patient := rest.CopyConfig(bounded)
	patient.Timeout = 0
	return &Clients{patient: patient, bounded: bounded, known: map[Account]*Client{}}
}

// As returns the client of an account other than this process. Whether there is
// such an account, and what it may, the API server says.
//
// Nothing but its user name is sent along: the API server itself puts a
// ServiceAccount into its groups (system:serviceaccounts, that of its namespace and
// system:authenticated), and the right to impersonate groups is not needed.
func (c *Clients) As(a Account) (*Client, error) {
	if a.Namespace == "" || a.Name == "" {
		return nil, fmt.Errorf("impersonate ServiceAccount %q in namespace %q: it needs both", a.Name, a.Namespace)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.known[a]; known != nil {
		return known, nil
	}
	made, err := c.client(a)
	if err != nil {
		return nil, fmt.Errorf("make clients of ServiceAccount %s: %w", a, err)
	}
	c.known[a] = made
	return made, nil
}

func (c *Clients) client(a Account) (out *Client, err error) {
	out = &Client{}
	bounded, patient := impersonating(c.bounded, a), impersonating(c.patient, a)
	if out.Dynamic, err = dynamic.NewForConfig(bounded); err != nil {
		return nil, err
	}
	if out.Metadata, err = metadata.NewForConfig(patient); err != nil {
		return nil, err
	}
	compact := rest.CopyConfig(bounded)
	compact.ContentType, compact.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	if out.Apps, err = typedappsv1.NewForConfig(compact); err != nil {
		return nil, err
	}
	return out, nil
}

func impersonating(config *rest.Config, a Account) *rest.Config {
	out := rest.CopyConfig(config)
	out.Impersonate = rest.ImpersonationConfig{UserName: a.User()}
	return out
}

// Keep forgets the clients of all accounts but these. Who still has one goes on
// with it.
func (c *Clients) Keep(accounts []Account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.known {
		if !slices.Contains(accounts, a) {
			delete(c.known, a)
		}
	}
}
