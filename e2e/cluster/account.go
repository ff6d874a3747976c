package cluster

import (
	"context"
	"fmt"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/rollcall-dev/rollcall/e2e/kubeconfig"
)

// tokenSeconds is longer than any test runs.
const tokenSeconds = 24 * 60 * 60

// LogIn makes a token for a ServiceAccount that exists, and returns the path of a kubeconfig file that uses it and the
// same as a configuration. The file ends with the cluster's folder.
func (c *Cluster) LogIn(ctx context.Context, namespace, account string) (path string, config *rest.Config, err error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenSeconds))}}
	token, err := c.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", nil, fmt.Errorf("create token of ServiceAccount %s/%s: %w", namespace, account, err)
	}
	config = rest.AnonymousClientConfig(c.Config)
	config.BearerToken = token.Status.Token
	path = filepath.Join(c.dir, "pki", namespace+"."+account+".kubeconfig")
	if err := kubeconfig.Write(path, config); err != nil {
		return "", nil, err
	}
	return path, config, nil
}
