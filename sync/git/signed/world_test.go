package signed_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// world is a repository with the real git, gpg and ssh-keygen. Whoever signs has every key; whoever verifies knows only
// the public keys that were trusted.
type world struct {
	t *testing.T
	// repo is the repository, and dir holds everything else.
	repo, dir string
	// secret and public are homes of gpg.
	secret, public string
	// keys are the public keys that count, by file, as a Secret has them.
	keys map[string][]byte
	// fingerprints are those of OpenPGP keys by the name of their owner.
	fingerprints map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// The socket of gpg's agent has to have a short name.
	dir, err := os.MkdirTemp("", "w") //nolint:usetesting // as the line above says
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, repo: filepath.Join(dir, "r"), secret: filepath.Join(dir, "s"), public: filepath.Join(dir, "p"), keys: map[string][]byte{}, fingerprints: map[string]string{}}
	for _, d := range []string{w.repo, w.secret, w.public} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, home := range []string{w.secret, w.public} {
			_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		}
		_ = os.RemoveAll(dir)
	})
	w.git(nil, "init", "-q", "-b", "main")
	return w
}

// run runs a program and returns what it writes.
func (w *world) run(stdin []byte, program string, args ...string) string {
	w.t.Helper()
	out, said, err := w.try(stdin, program, args...)
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out+said)
	}
	return out
}

func (w *world) try(stdin []byte, program string, args ...string) (out, said string, err error) {
	w.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdin = w.repo, bytes.NewReader(stdin)
	cmd.Env = append(os.Environ(),
		"GNUPGHOME="+w.public, "TZ=UTC", "LC_ALL=C", "HOME="+w.dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

func (w *world) git(stdin []byte, args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(w.run(stdin, "git", args...))
}

// gpg runs gpg with every key.
func (w *world) gpg(stdin []byte, args ...string) string {
	w.t.Helper()
	return w.run(stdin, "gpg", append([]string{"--homedir", w.secret, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
}

// made is when every OpenPGP key was made.
const made = "20240101T000000"

// key makes an OpenPGP key.
func (w *world) key(owner, algorithm, usage, expires string) {
	w.t.Helper()
	id := owner + " <" + owner + "@example.com>"
	w.gpg(nil, "--faked-system-time", made, "--quick-gen-key", id, algorithm, usage, expires)
	for line := range strings.SplitSeq(w.gpg(nil, "--with-colons", "--list-keys", "="+id), "\n") {
		if rest, ok := strings.CutPrefix(line, "fpr:::::::::"); ok {
			w.fingerprints[owner] = strings.TrimSuffix(rest, ":")
			return
		}
	}
	w.t.Fatalf("no fingerprint of %s", owner)
}

// revoke has the owner of a key revoke it.
func (w *world) revoke(owner string) {
	w.t.Helper()
	file := filepath.Join(w.secret, "openpgp-revocs.d", w.fingerprints[owner]+".rev")
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	w.gpg(bytes.ReplaceAll(text, []byte("\n:-----BEGIN"), []byte("\n-----BEGIN")), "--import")
}

// revokeSubkey has the owner of a key revoke its first subkey.
func (w *world) revokeSubkey(owner string) {
	w.t.Helper()
	w.run([]byte("key 1\nrevkey\ny\n0\n\ny\nsave\n"), "gpg", "--homedir", w.secret, "--quiet", "--no-tty", "--command-fd", "0",
		"--pinentry-mode", "loopback", "--passphrase", "", "--edit-key", w.fingerprints[owner])
}

// trust makes OpenPGP keys known to whoever verifies.
func (w *world) trust(owners ...string) {
	w.t.Helper()
	for _, owner := range owners {
		text := []byte(w.gpg(nil, "--armor", "--export", w.fingerprints[owner]))
		w.keys[owner+".asc"] = text
		w.run(text, "gpg", "--batch", "--quiet", "--import")
	}
}

// sign makes a detached OpenPGP signature as git does.
func (w *world) sign(payload []byte, owner string, args ...string) []byte {
	w.t.Helper()
	args = append([]string{"--armor", "-u", owner + "@example.com"}, args...)
	if !strings.Contains(strings.Join(args, " "), "--sign") {
		args = append(args, "--detach-sign")
	}
	return []byte(w.gpg(payload, args...))
}

// sshKey makes an SSH key and returns its public line.
func (w *world) sshKey(owner string, args ...string) string {
	w.t.Helper()
	w.run(nil, "ssh-keygen", append([]string{"-q", "-N", "", "-C", owner, "-f", w.file(owner)}, args...)...)
	return w.read(owner + ".pub")
}

// sshSign makes an SSH signature as git does.
func (w *world) sshSign(payload []byte, owner, namespace string, args ...string) []byte {
	w.t.Helper()
	w.write("payload", string(payload))
	_ = os.Remove(w.file("payload.sig"))
	w.run(nil, "ssh-keygen", append([]string{"-Y", "sign", "-n", namespace, "-f", w.file(owner)}, append(args, w.file("payload"))...)...)
	return []byte(w.read("payload.sig") + "\n")
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.file(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// tree is the empty tree.
func (w *world) tree() string { return w.git(nil, "hash-object", "-w", "-t", "tree", "/dev/null") }

// object writes an object as it is told, and returns its name.
func (w *world) object(kind string, raw []byte) string {
	w.t.Helper()
	return w.git(raw, "hash-object", "-w", "--literally", "-t", kind, "--stdin")
}

// accepts is whether git counts an object as signed by the allowed signers or the OpenPGP keys.
func (w *world) accepts(kind string, raw []byte, allowed string) (bool, string) {
	w.t.Helper()
	w.write("allowed_signers", allowed)
	out, said, err := w.try(nil, "git", "-c", "gpg.ssh.allowedSignersFile="+w.file("allowed_signers"), "verify-"+kind, "--raw", w.object(kind, raw))
	return err == nil, out + said
}

// at is a time in an object.
func at(day string) int64 {
	when, err := time.Parse("2006-01-02", day)
	if err != nil {
		panic(err)
	}
	return when.Unix()
}

// payload is a commit without a signature.
func (w *world) payload(day string) []byte {
	return fmt.Appendf(nil, "tree %s\nauthor Ann <ann@example.com> %d +0100\ncommitter Ann <ann@example.com> %d +0100\n\nsubject\n\nbody\n", w.tree(), at(day), at(day))
}

// with puts a header before the message, each line after the first behind a space.
func with(payload []byte, key string, value []byte) []byte {
	head, body, _ := bytes.Cut(payload, []byte("\n\n"))
	text := strings.ReplaceAll(strings.TrimSuffix(string(value), "\n"), "\n", "\n ")
	return []byte(string(head) + "\n" + key + " " + text + "\n\n" + string(body))
}

// tagPayload is a tag of an object without a signature.
func (w *world) tagPayload(target, kind, name string) []byte {
	return fmt.Appendf(nil, "object %s\ntype %s\ntag %s\ntagger Ann <ann@example.com> %d +0100\n\nmessage\n", target, kind, name, at("2024-06-01"))
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(w.file(name)); err != nil {
		w.t.Fatal(err)
	}
}
