package cluster_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-dev/rollcall/e2e/cluster"
)

// helperVariable makes this test binary a program that starts a cluster in the folder named, and then does nothing.
const helperVariable = "CLUSTER_TEST_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperVariable); dir != "" {
		startAndHang(dir)
	}
	// The cases wait for the cluster and compute next to nothing, so that more of them may run than there are cores.
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func startAndHang(dir string) {
	if _, err := cluster.Start(context.Background(), cluster.Options{Dir: dir}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("started")
	select {}
}

func TestStopEndsTheProcessAndFreesItsPort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := cluster.Start(t.Context(), cluster.Options{Nodes: 3, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	api, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(from); took > 2*time.Second {
		t.Errorf("the process took %s to end, want less than 2 s", took)
	}
	listener, err := net.Listen("tcp", api.Host)
	if err != nil {
		t.Fatalf("port is not free: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"minicluster.log", "minicluster.pid"}, names(t, dir)); diff != "" {
		t.Errorf("what is left of the cluster (-want +got):\n%s", diff)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("second stop: %v", err)
	}

	start(t, cluster.Options{Dir: dir}) // The folder of a cluster that has ended may be used again.
}

func TestClusterEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, patience, "the kubeconfig", func(context.Context) (bool, string) {
		_, err := os.Stat(c.Kubeconfig)
		return os.IsNotExist(err), "still there"
	})
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// TestClusterEndsWithItsParent kills a program that has started a cluster: no minicluster may stay behind.
func TestClusterEndsWithItsParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	helper := exec.CommandContext(t.Context(), self)
	helper.Env = append(os.Environ(), helperVariable+"="+dir)
	helper.Stderr = os.Stderr
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "started\n" {
		t.Fatalf("helper said %q (%v), want started", line, err)
	}
	pid, err := os.ReadFile(filepath.Join(dir, "minicluster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait() // It was killed, which is an error.
	eventually(t, patience, "minicluster", func(context.Context) (bool, string) {
		text, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "stat"))
		return err != nil || strings.Contains(string(text), ") Z "), "process is alive"
	})
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	living := t.TempDir()
	c := start(t, cluster.Options{Dir: living})
	api, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(api.Port(), &port); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(full, "minicluster")

	for name, test := range map[string]struct {
		opts cluster.Options
		want []string
	}{
		"a port that is taken": {
			cluster.Options{Dir: filepath.Join(t.TempDir(), "new"), Port: port},
			[]string{"exit status 1", fmt.Sprintf("port %d", port), "is taken", "choose another --port"},
		},
		"a folder that is not empty": {
			cluster.Options{Dir: full},
			[]string{"exit status 1", full, "is not empty", "thesis.txt", "choose another --dir"},
		},
		"a folder of a living cluster": {
			cluster.Options{Dir: living},
			[]string{"exit status 1", living, "in use by a living minicluster", "choose another --dir"},
		},
		"a binary that is missing": {
			cluster.Options{Binary: missing},
			[]string{missing, "make build", "ROLLCALL_MINICLUSTER"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := names(t, full)
			_, err := cluster.Start(t.Context(), test.opts)
			if err == nil {
				t.Fatal("want an error, got a cluster")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("want an error with %q, got: %v", part, err)
				}
			}
			if diff := cmp.Diff(before, names(t, full)); diff != "" {
				t.Errorf("the files of somebody else changed (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := c.Client.Discovery().ServerVersion(); err != nil {
		t.Errorf("the living cluster suffered: %v", err)
	}
}

// names returns the names in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}
