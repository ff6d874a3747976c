package controlplane

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"

	"github.com/rollcall-dev/rollcall/e2e/kubeconfig"
)

// mastersGroup is the group which RBAC lets do everything.
const mastersGroup = "system:masters"

// files are the keys, certificates, kubeconfigs and configuration files of one control plane, all below one folder.
type files struct {
	folder string
	server string
	users  *authority
	err    error

	usersCA                   string
	serverCert, serverKey     string
	proxyCA                   string
	proxyCert, proxyKey       string
	accountKey, accountPublic string

	controllerManager, scheduler string
	schedulerConfig, auditPolicy string
}

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
enableProfiling: false
parallelism: 4
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 2
clientConnection:
  kubeconfig: %q
  qps: 5000
  burst: 10000
  contentType: application/vnd.kubernetes.protobuf
`

// writeFiles makes a new set of identities for an API server at address and writes what the components read to folder.
func writeFiles(folder, address string) (*files, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create folder %s: %w", folder, err)
	}
	users, err := newAuthority("minicluster")
	if err != nil {
		return nil, err
	}
	proxy, err := newAuthority("front-proxy")
	if err != nil {
		return nil, err
	}
	f := &files{folder: folder, server: "https://" + address, users: users}
	f.usersCA = f.write("ca.crt", users.pem)
	f.serverCert, f.serverKey = f.writeIdentity("apiserver", users, "kube-apiserver",
		"127.0.0.1", "10.96.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
	f.proxyCA = f.write("front-proxy-ca.crt", proxy.pem)
	f.proxyCert, f.proxyKey = f.writeIdentity("front-proxy", proxy, "front-proxy-client")
	f.writeAccountKey()
	f.controllerManager = f.writeKubeconfig("system:kube-controller-manager")
	f.scheduler = f.writeKubeconfig("system:kube-scheduler")
	f.schedulerConfig = f.write("scheduler.yaml", fmt.Appendf(nil, schedulerConfig, f.scheduler))
	f.auditPolicy = f.write("audit-policy.yaml", []byte(auditPolicy))
	return f, f.err
}

// write writes one file and returns its path. The first error is kept in f.err, and ends all further work.
func (f *files) write(name string, content []byte) string {
	path := filepath.Join(f.folder, name)
	if f.err == nil {
		f.err = os.WriteFile(path, content, 0o600)
	}
	return path
}

func (f *files) writeIdentity(name string, by *authority, user string, hosts ...string) (certificate, key string) {
	issued, err := by.issue(pkix.Name{CommonName: user}, hosts...)
	if f.err == nil {
		f.err = err
	}
	return f.write(name+".crt", issued.certificate), f.write(name+".key", issued.key)
}

// writeAccountKey writes the key pair by which tokens of ServiceAccounts are signed and checked.
func (f *files) writeAccountKey() {
	key, private, err := newKey()
	if err != nil {
		f.err = err
		return
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		f.err = fmt.Errorf("encode public key of service accounts: %w", err)
		return
	}
	f.accountKey = f.write("service-accounts.key", private)
	f.accountPublic = f.write("service-accounts.pub", encodePEM("PUBLIC KEY", public))
}

// writeKubeconfig writes the kubeconfig of a component.
func (f *files) writeKubeconfig(user string) string {
	path := filepath.Join(f.folder, user+".kubeconfig")
	config, err := f.access(pkix.Name{CommonName: user})
	if err == nil {
		err = kubeconfig.Write(path, config)
	}
	if f.err == nil {
		f.err = err
	}
	return path
}

// administrator makes access for a user who may do everything.
func (f *files) administrator(user string) (*rest.Config, error) {
	return f.access(pkix.Name{CommonName: user, Organization: []string{mastersGroup}})
}

// access returns how subject, with a new certificate, reaches the API server, at any rate of requests.
func (f *files) access(subject pkix.Name) (*rest.Config, error) {
	issued, err := f.users.issue(subject)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            f.server,
		TLSClientConfig: rest.TLSClientConfig{CAData: f.users.pem, CertData: issued.certificate, KeyData: issued.key},
		QPS:             -1,
	}, nil
}
