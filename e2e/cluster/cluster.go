// Package cluster gives a test a whole Kubernetes cluster: it starts the binary minicluster as a process of its own,
// reaches it as an administrator, and moves its fake nodes.
//
// How pods fail by the tag of their image is in the documentation of package kubelets.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// binaryVariable is the environment variable that names the binary.
const binaryVariable = "ROLLCALL_MINICLUSTER"

// Options say what cluster to start. The zero value is a cluster without nodes, in a temporary folder.
type Options struct {
	Nodes int
	// Zones are dealt to the nodes in turn; 0 is 1.
	Zones int
	// Dir is the folder of the cluster's files, which stays when the cluster ends, for its logs. Empty: a temporary one.
	Dir string
	// Port of the API server; 0 picks a free one.
	Port int
	// Audit logs every request to the file Cluster.AuditLog.
	Audit bool
	// Binary is the path of minicluster. Empty: what the environment variable ROLLCALL_MINICLUSTER says, or else
	// bin/minicluster in the nearest folder above the working directory that has it.
	Binary string
}

// Cluster is a running cluster.
type Cluster struct {
	// Kubeconfig is the file by which an administrator reaches the cluster.
	Kubeconfig string
	// AuditLog has one line of JSON for each request, an audit.k8s.io/v1 Event at level Metadata, if Options.Audit.
	AuditLog string
	// Log is where all components log.
	Log string

	// Config, Client and Dynamic are an administrator's, and have no limit of requests.
	Config  *rest.Config
	Client  kubernetes.Interface
	Dynamic dynamic.Interface

	dir     string
	zones   int
	process *process
	cleanup func() error
}

// Start starts a cluster and returns when its API server is ready and its nodes are Ready and untainted. The cluster
// ends when ctx does, when Stop is called, or with this process, whichever comes first.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	binary, err := findBinary(opts.Binary)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: opts.Dir, zones: max(opts.Zones, 1), cleanup: func() error { return nil }}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "minicluster-"); err != nil {
			return nil, fmt.Errorf("create folder of cluster: %w", err)
		}
		c.cleanup = func() error { return os.RemoveAll(c.dir) }
	}
	args := []string{
		"up", "--dir", c.dir, "--nodes", strconv.Itoa(opts.Nodes), "--zones", strconv.Itoa(c.zones),
		"--port", strconv.Itoa(opts.Port), "--audit=" + strconv.FormatBool(opts.Audit),
	}
	if c.process, err = startProcess(ctx, binary, args); err != nil {
		return nil, c.abandon(fmt.Errorf("start cluster: %w", err))
	}
	c.Kubeconfig = filepath.Join(c.dir, "kubeconfig")
	c.AuditLog = filepath.Join(c.dir, "audit.log")
	c.Log = filepath.Join(c.dir, "minicluster.log")
	if err := c.connect(); err != nil {
		return nil, c.abandon(err)
	}
	return c, nil
}

// Stop ends the cluster and waits until its process is gone. Further calls do nothing more.
func (c *Cluster) Stop() error {
	err := c.process.stop()
	if err != nil {
		err = fmt.Errorf("%w; it logged:\n%s", err, lastWords(c.Log))
	}
	if cleanupErr := c.cleanup(); err == nil {
		err = cleanupErr
	}
	if err != nil {
		return fmt.Errorf("stop cluster: %w", err)
	}
	return nil
}

// connect makes the administrator's clients.
func (c *Cluster) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig of cluster: %w", err)
	}
	config.QPS = -1
	c.Config = config
	// Tests list pods and nodes ten times a second: protobuf costs both sides a fraction of JSON.
	compact := rest.CopyConfig(config)
	compact.ContentType = "application/vnd.kubernetes.protobuf"
	compact.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if c.Client, err = kubernetes.NewForConfig(compact); err != nil {
		return fmt.Errorf("make client of cluster: %w", err)
	}
	if c.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return fmt.Errorf("make dynamic client of cluster: %w", err)
	}
	return nil
}

// abandon ends what has been started, after err, which it returns.
func (c *Cluster) abandon(err error) error {
	if c.process != nil {
		err = errors.Join(err, c.process.stop())
	}
	return errors.Join(err, c.cleanup())
}

// findBinary finds minicluster where Options.Binary describes it.
func findBinary(path string) (string, error) {
	if path == "" {
		path = os.Getenv(binaryVariable)
	}
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("find minicluster: %w: build it with make build, or correct %s", err, binaryVariable)
		}
		return path, nil
	}
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find minicluster: %w", err)
	}
	for dir := start; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		candidate := filepath.Join(dir, "bin", "minicluster")
		if _, err := os.Stat(candidate); err == nil {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("find minicluster: no bin/minicluster in %s or above: build it with make build, or name it in %s",
		start, binaryVariable)
}
