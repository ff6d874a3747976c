// Package kinds has typed clients of rollcall's own kinds.
package kinds

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// The clients, one for each kind.
type (
	// GitSyncs reads and writes GitSyncs of one namespace.
	GitSyncs = gentype.ClientWithList[*v1alpha1.GitSync, *v1alpha1.GitSyncList]
	// RolloutPolicies reads RolloutPolicies.
	RolloutPolicies = gentype.ClientWithList[*v1alpha1.RolloutPolicy, *v1alpha1.RolloutPolicyList]
	// NodeRollouts reads and writes NodeRollouts of one namespace.
	NodeRollouts = gentype.ClientWithList[*v1alpha1.NodeRollout, *v1alpha1.NodeRolloutList]
)

// Client talks to the API server about rollcall's own kinds.
type Client struct {
	rest  rest.Interface
	codec runtime.ParameterCodec
}

// NewClient makes a client for the cluster of the config.
func NewClient(config *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	c := rest.CopyConfig(config)
	gv := v1alpha1.GroupVersion()
	c.GroupVersion, c.APIPath, c.ContentType = &gv, "/apis", runtime.ContentTypeJSON
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("make client for %s: %w", gv, err)
	}
	return &Client{rest: client, codec: runtime.NewParameterCodec(scheme)}, nil
}

// GitSyncs of a namespace; of all namespaces when it is empty.
func (c *Client) GitSyncs(namespace string) *GitSyncs {
	return gentype.NewClientWithList("gitsyncs", c.rest, c.codec, namespace,
		func() *v1alpha1.GitSync { return &v1alpha1.GitSync{} }, func() *v1alpha1.GitSyncList { return &v1alpha1.GitSyncList{} })
}

// RolloutPolicies of the cluster.
func (c *Client) RolloutPolicies() *RolloutPolicies {
	return gentype.NewClientWithList("rolloutpolicies", c.rest, c.codec, "",
		func() *v1alpha1.RolloutPolicy { return &v1alpha1.RolloutPolicy{} }, func() *v1alpha1.RolloutPolicyList { return &v1alpha1.RolloutPolicyList{} })
}

// NodeRollouts of a namespace; of all namespaces when it is empty.
func (c *Client) NodeRollouts(namespace string) *NodeRollouts {
	return gentype.NewClientWithList("noderollouts", c.rest, c.codec, namespace,
		func() *v1alpha1.NodeRollout { return &v1alpha1.NodeRollout{} }, func() *v1alpha1.NodeRolloutList { return &v1alpha1.NodeRolloutList{} })
}
