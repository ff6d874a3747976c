package main

import (
	"os"
	"strings"
	"testing"
)

// Two processes of one host and one process number, as pods with the host's
// network have them, must not take each other's lease.
func TestNoTwoReplicasHaveOneIdentity(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 3 {
		identity, err := newIdentity()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(identity, host) {
			t.Errorf("identity %q does not say on which host %s it is", identity, host)
		}
		if seen[identity] {
			t.Errorf("identity %q is there twice", identity)
		}
		seen[identity] = true
	}
}
