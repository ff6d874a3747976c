package e2e

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// TestOverSSH follows a repository over OpenSSH's sshd once an hour. What happens sooner is what rollcall notices by
// itself: that somebody has made the Secret, and has corrected it.
func TestOverSSH(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.policy(hurried())
	n := newTenant(t, w, "over ssh")
	ssh, err := w.git.StartSSH(t.Context())
	n.must(err, "start sshd")
	identity, err := ssh.Identity()
	n.must(err, "read identity")
	fingerprint := func() string {
		out, err := ssh.Fingerprint(t.Context())
		n.must(err, "read fingerprint")
		return out
	}
	secrets := w.cluster.Client.CoreV1().Secrets(n.namespace)
	secret := func() *corev1.Secret {
		known, err := ssh.KnownHosts()
		n.must(err, "read host key")
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git-ssh"}, StringData: map[string]string{"identity": identity, "known_hosts": known}}
	}

	first := n.push("first", map[string]string{"daemonset.yaml": manifest("v1")})
	n.follow(func(gs *v1alpha1.GitSync) {
		gs.Spec.Source.URL, gs.Spec.Source.InsecureHTTP = ssh.RepoURL(n.namespace), false
		gs.Spec.Source.SecretRef = &corev1.LocalObjectReference{Name: "git-ssh"}
		gs.Spec.Source.Interval = metav1.Duration{Duration: time.Hour}
	})
	n.waitHeld("fleet", "SecretNotFound", n.namespace+"/git-ssh", "create it")
	_, err = secrets.Create(t.Context(), secret(), metav1.CreateOptions{})
	n.must(err, "create Secret")
	n.waitProven(first)
	n.waitProven(n.deliver("second", map[string]string{"daemonset.yaml": manifest("v2")}))

	old, before := fingerprint(), n.state()
	n.must(ssh.ChangeHostKey(t.Context()), "change host key")
	third := n.push("third", map[string]string{"fixed.yaml": plainConfig("fixed", "1")})
	n.poke()
	n.waitHeld("fleet", "HostKeyInvalid", old, fingerprint(), "known_hosts of secretRef", "ssh-keyscan -p ")
	n.wantStill(before)
	if n.hasConfigMap("fixed") {
		t.Error("a commit of a server with another key was applied")
	}
	_, err = secrets.Update(t.Context(), secret(), metav1.UpdateOptions{})
	n.must(err, "update Secret")
	delete(before, "secret git-ssh")
	n.waitRecovered(third, before)
	n.wantUnsaid(strings.Split(identity, "\n")[2])
}
