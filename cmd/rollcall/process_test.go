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
		identity, err := newIdentity("")
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

// TestAReplicaIsReachedByItsNameInTheLease follows an address from the flags to whoever
// wants to hand something on.
func TestAReplicaIsReachedByItsNameInTheLease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ bind, ip, want string }{
		"a pod":                 {":8081", "10.1.2.3", "10.1.2.3:8081"},
		"a pod of IPv6":         {":8081", "fd00::1", "[fd00::1]:8081"},
		"bound to one address":  {"0.0.0.0:9000", "10.1.2.3", "10.1.2.3:9000"},
		"no pod":                {":8081", "", ""},
		"no page":               {noAddress, "10.1.2.3", ""},
		"a port that is chosen": {":0", "10.1.2.3", ""},
		"a host and no address": {":8081", "example.com", ""},
	} {
		f := &controllerFlags{pageAddress: c.bind, podIP: c.ip}
		identity, err := newIdentity(f.reachedAt())
		if err != nil {
			t.Fatal(err)
		}
		p := &process{}
		if got := p.leaderAddress(); got != "" {
			t.Errorf("%s: before anybody leads, the leader is at %q", name, got)
		}
		p.holder.Store(&identity)
		if got := p.leaderAddress(); got != c.want {
			t.Errorf("%s: %q is reached at %q, want %q", name, identity, got, c.want)
		}
	}
}
