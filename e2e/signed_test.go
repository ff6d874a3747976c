package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestUnverifiedCommitIsHeld has a signed commit proven, and everything that nobody signed, or somebody else did, held:
// nothing restarts, what drifts is put right, also by a process that has never seen the signed one as the newest.
func TestUnverifiedCommitIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.policy(hurried())
	n := newTenant(t, w, "signed")
	signers := n.w.cluster.Client.CoreV1().Secrets(n.namespace)
	ann, bob := n.signer("ann"), n.signer("bob")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "signers"}, StringData: map[string]string{"allowed_signers": ann}}
	secret, err := signers.Create(t.Context(), secret, metav1.CreateOptions{})
	n.must(err, "create Secret")

	n.signAs("ann")
	first := n.push("first", map[string]string{"daemonset.yaml": manifest("v1"), "extra.yaml": plainConfig("extra", "1")})
	n.follow(func(gs *v1alpha1.GitSync) {
		gs.Spec.Source.Verify = &v1alpha1.GitVerify{Mode: v1alpha1.VerifyHead, SecretRef: corev1.LocalObjectReference{Name: "signers"}}
	})
	gs := n.waitProven(first)
	if by := gs.Status.Fetched.SignedBy; !strings.HasPrefix(by, "SSH ssh-ed25519 SHA256:") || !strings.HasSuffix(by, "ann@example.com") {
		t.Errorf("the commit is signed by %q", by)
	}
	before := n.state()

	n.signAs("")
	unsigned := n.deliver("nobody's", map[string]string{"daemonset.yaml": manifest("v2"), "extra.yaml": ""})
	n.wantUnverified(first, unsigned, "it has no signature", "signed/signers", "meanwhile commit "+first[:8])
	n.wantStill(before)

	n.must(w.control.Kill(), "kill rollcall")
	n.write("extra", "kubectl-edit")
	w.startController()
	n.waitValue("1")
	n.wantUnverified(first, unsigned)
	n.wantStill(before)

	n.signAs("bob")
	other := n.deliver("bob's", map[string]string{"daemonset.yaml": manifest("v3"), "extra.yaml": plainConfig("extra", "3")})
	n.wantUnverified(first, other, "SSH ssh-ed25519 SHA256:", "not among the signers")
	// The keys change and nobody asks: it is looked at again by itself.
	secret.StringData = map[string]string{"allowed_signers": ann + bob}
	_, err = signers.Update(t.Context(), secret, metav1.UpdateOptions{})
	n.must(err, "update Secret")
	gs = n.waitProven(other)
	if by := gs.Status.History[0].SignedBy; !strings.HasSuffix(by, "bob@example.com") {
		t.Errorf("the history says that it is signed by %q", by)
	}

	_, err = n.repo.Git(t.Context(), "reset", "--quiet", "--hard", first)
	n.must(err, "go back")
	n.must(n.repo.ForcePush(t.Context()), "push")
	n.waitProven(first)
}

// wantUnverified waits until the commit is held, and wants the one before to be applied.
func (n *tenant) wantUnverified(applied, held string, words ...string) {
	n.t.Helper()
	n.waitSync("fleet", "commit "+held[:8]+" is read", func(gs *v1alpha1.GitSync) bool { return gs.Status.Fetched.Commit == held })
	gs := n.waitHeld("fleet", "UnverifiedCommit", append(words, held[:12], "it goes no further")...)
	s := gs.Status
	if s.Fetched.Commit != held || s.Fetched.SignedBy != "" || s.Applied != applied || s.Proven != applied {
		n.t.Errorf("fetched %+v, applied %s and proven %s; want %s fetched and %s applied", s.Fetched, s.Applied, s.Proven, held, applied)
	}
	if e := s.History[0]; e.Commit != held || e.Outcome != "UnverifiedCommit" {
		n.t.Errorf("the history begins with %+v", e)
	}
	n.wantKstatus(gs)
}

// signer makes an SSH key and returns its line for the allowed signers.
func (n *tenant) signer(owner string) string {
	n.t.Helper()
	key := n.keyOf(owner)
	out, err := exec.CommandContext(n.t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", owner, "-f", key).CombinedOutput()
	n.must(err, "run ssh-keygen: "+string(out))
	public, err := os.ReadFile(key + ".pub")
	n.must(err, "read key")
	return owner + "@example.com " + string(public)
}

func (n *tenant) keyOf(owner string) string {
	return filepath.Join(filepath.Dir(n.repo.Dir), "key-"+owner)
}

// signAs has commits signed by the key of somebody from now on, or by nobody's.
func (n *tenant) signAs(owner string) {
	n.t.Helper()
	for _, args := range [][]string{
		{"config", "gpg.format", "ssh"}, {"config", "user.signingKey", n.keyOf(owner)}, {"config", "commit.gpgSign", map[bool]string{true: "true", false: "false"}[owner != ""]},
	} {
		_, err := n.repo.Git(n.t.Context(), args...)
		n.must(err, "configure git")
	}
}
