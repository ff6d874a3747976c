package controlplane

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdStartTimeout is generous: etcd is ready after 0.2 to 0.9 s on an idle machine.
const etcdStartTimeout = time.Minute

// store is a single etcd member that listens on a unix socket only.
type store struct {
	member *embed.Etcd
	folder *os.File // stays open: the socket's path goes through it
	socket string
}

// startStore runs etcd with its data in folder, which it creates. What it writes is not synced to the disk:
// the data need not outlive the process.
func startStore(folder string) (*store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create folder %s: %w", folder, err)
	}
	opened, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", folder, err)
	}
	// A socket's path has at most 107 bytes, which a test's folder often exceeds. Seen through the open folder it is short.
	s := &store{folder: opened, socket: fmt.Sprintf("/proc/self/fd/%d/socket", opened.Fd())}
	s.member, err = embed.StartEtcd(s.config(folder))
	if err != nil {
		return nil, fmt.Errorf("start etcd in %s: %w", folder, err)
	}
	select {
	case <-s.member.Server.ReadyNotify():
		return s, nil
	case err := <-s.member.Err():
		return nil, fmt.Errorf("start etcd in %s: %w", folder, err)
	case <-time.After(etcdStartTimeout):
		return nil, fmt.Errorf("start etcd in %s: not ready after %s", folder, etcdStartTimeout)
	}
}

func (s *store) config(folder string) *embed.Config {
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "data")
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: s.socket}}
	// The advertised address must have a port; nothing listens on it and nobody asks for it.
	config.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	config.ListenPeerUrls = nil
	config.ListenMetricsUrls = nil
	config.SnapshotCount = 100_000
	// Nothing looks for old files, which would be fatal once the folder is removed under etcd.
	config.MaxSnapFiles, config.MaxWalFiles = 0, 0
	config.QuotaBackendBytes = 8 << 30
	config.MaxRequestBytes = 10 << 20
	return config
}
