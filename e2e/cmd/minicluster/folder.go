package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The files of a cluster's folder, beside the folders of the control plane. The first marks the folder as one of ours,
// holds the process id, and is locked for as long as that process lives. The logs outlive it.
const (
	pidFile        = "minicluster.pid"
	logFile        = "minicluster.log"
	auditLog       = "audit.log"
	kubeconfigFile = "kubeconfig"
)

// folder is the folder of one living cluster.
type folder struct {
	path string
	lock *os.File
}

// claimFolder takes path for this process. It removes what a cluster that has ended left there, and nothing else: a
// folder with other content, or of a living cluster, is an error.
func claimFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find folder %s: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("create folder %s: %w", path, err)
	}
	f := &folder{path: path}
	if _, err := os.Stat(f.file(pidFile)); errors.Is(err, os.ErrNotExist) {
		if err := f.requireEmpty(); err != nil {
			return nil, err
		}
	}
	if err := f.takeLock(); err != nil {
		return nil, err
	}
	if err := f.remove(logFile, auditLog); err != nil {
		return nil, err
	}
	if err := f.requireEmpty(); err != nil {
		return nil, err
	}
	return f, nil
}

// takeLock locks the pid file, which the kernel unlocks when this process ends, in whatever way.
func (f *folder) takeLock() error {
	lock, err := os.OpenFile(f.file(pidFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("open lock of folder %s: %w", f.path, err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid, _ := os.ReadFile(f.file(pidFile))
		return fmt.Errorf("folder %s is in use by a living minicluster, process %s: end that process, or choose another --dir",
			f.path, strings.TrimSpace(string(pid)))
	}
	if err != nil {
		return fmt.Errorf("lock folder %s: %w", f.path, err)
	}
	f.lock = lock
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("write lock of folder %s: %w", f.path, err)
	}
	if _, err := fmt.Fprintln(lock, os.Getpid()); err != nil {
		return fmt.Errorf("write lock of folder %s: %w", f.path, err)
	}
	return nil
}

// requireEmpty fails if there is anything but the lock in the folder.
func (f *folder) requireEmpty() error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("read folder %s: %w", f.path, err)
	}
	for _, entry := range entries {
		if entry.Name() != pidFile {
			return fmt.Errorf("folder %s is not empty (it has %s): empty it, or choose another --dir", f.path, entry.Name())
		}
	}
	return nil
}

// release removes everything but the logs, and lets the next cluster have the folder.
func (f *folder) release() error {
	err := f.remove()
	return errors.Join(err, f.lock.Close())
}

// remove removes the files of which nothing is left when a cluster has ended, and those named.
func (f *folder) remove(names ...string) error {
	for _, name := range append(names, kubeconfigFile, "pki", "etcd") {
		if err := os.RemoveAll(f.file(name)); err != nil {
			return fmt.Errorf("remove files of folder %s: %w", f.path, err)
		}
	}
	return nil
}

// file returns the path of a file in the folder.
func (f *folder) file(name string) string {
	return filepath.Join(f.path, name)
}

// redirectLogs sends the standard error of the process, where every component logs, to the log file.
func (f *folder) redirectLogs() error {
	log, err := os.Create(f.file(logFile))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer log.Close()
	if err := unix.Dup3(int(log.Fd()), unix.Stderr, 0); err != nil {
		return fmt.Errorf("redirect logs to %s: %w", log.Name(), err)
	}
	return nil
}
