package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/rollcall-dev/rollcall/apply/kinds"
)

// kubeFlags say which cluster and namespace a command talks to, as kubectl's do.
type kubeFlags struct {
	kubeconfig, context, namespace string
	allNamespaces                  bool
}

func (k *kubeFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&k.kubeconfig, "kubeconfig", "", "path of the kubeconfig; default $KUBECONFIG, then ~/.kube/config, then the pod's own account")
	f.StringVar(&k.context, "context", "", "context of the kubeconfig")
	f.StringVarP(&k.namespace, "namespace", "n", "", "namespace; default the context's")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("namespace", k.completeNamespaces))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("context", k.completeContexts))
}

// config returns the client configuration and the namespace.
func (k *kubeFlags) config() (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: k.context})
	config, err := loader.ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) {
			err = errors.New("no kubeconfig found: set --kubeconfig or $KUBECONFIG")
		}
		return nil, "", fmt.Errorf("load kubeconfig: %w", err)
	}
	config.UserAgent = "rollcall/" + version
	// What the API server warns of is for the person, once and without log headers.
	config.WarningHandler = rest.NewWarningWriter(os.Stderr, rest.WarningWriterOptions{Deduplicate: true})
	config.QPS, config.Burst = 50, 100 // a person waits for the answer
	namespace := k.namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, "", fmt.Errorf("read namespace of the context: %w", err)
		}
	}
	if k.allNamespaces {
		namespace = ""
	}
	return config, namespace, nil
}

// kinds returns a client of rollcall's own kinds, and the namespace.
func (k *kubeFlags) kinds() (*kinds.Client, string, error) {
	config, namespace, err := k.config()
	if err != nil {
		return nil, "", err
	}
	c, err := kinds.NewClient(config)
	return c, namespace, err
}
