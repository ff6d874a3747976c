package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// substituted has a commit whose image is a variable and whose Secret is encrypted. Another value of the variable is
// another version of the same commit, and moves in waves; one that is gone holds nothing that runs; what is secret is
// said nowhere.
func substituted(n *tenant) {
	const canary = "canary-substituted-3b91c7"
	core := n.w.cluster.Client.CoreV1()
	create := func(o *corev1.Secret) {
		_, err := core.Secrets(n.namespace).Create(n.t.Context(), o, metav1.CreateOptions{})
		n.must(err, "create Secret")
	}
	values := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cluster-values"}, Data: map[string]string{"tag": "v1"}}
	_, err := core.ConfigMaps(n.namespace).Create(n.t.Context(), values, metav1.CreateOptions{})
	n.must(err, "create ConfigMap")
	create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cluster-passwords"}, StringData: map[string]string{"password": canary}})
	encrypted := filepath.Join("..", "sync", "render", "sops", "testdata")
	key, err := os.ReadFile(filepath.Join(encrypted, "test.agekey"))
	n.must(err, "read key")
	create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "age"}, Data: map[string][]byte{"test.agekey": key}})
	secret, err := os.ReadFile(filepath.Join(encrypted, "secret.yaml"))
	n.must(err, "read encrypted Secret")

	commit := n.push("first", map[string]string{
		"daemonset.yaml": reader(agent, "${tag}", "[{name: a, secret: {secretName: agent}}, {name: b, secret: {secretName: plain}}]", ""),
		"encrypted.yaml": string(secret),
		"plain.yaml":     plainSecret("plain", "${password}"),
	})
	n.follow(func(gs *v1alpha1.GitSync) {
		gs.Spec.Substitute = &v1alpha1.Substitute{From: []v1alpha1.SubstituteSource{{Kind: "ConfigMap", Name: "cluster-values"}, {Kind: "Secret", Name: "cluster-passwords"}}}
	})
	n.waitHeld("fleet", "DecryptionFailed", "encrypted.yaml", "spec.decryption.secretRef")
	n.edit(func(gs *v1alpha1.GitSync) {
		gs.Spec.Decryption = &v1alpha1.Decryption{SecretRef: corev1.LocalObjectReference{Name: "age"}}
	})
	gs := n.waitProven(commit)
	n.wantImages("example-image:v1")
	if len(gs.Status.Warnings) == 0 || int(gs.Status.WarningCount) < len(gs.Status.Warnings) || gs.Status.Warnings[0].Object == "" {
		n.t.Errorf("warnings are %d %+v, want some", gs.Status.WarningCount, gs.Status.Warnings)
	}
	for name, want := range map[string]string{"plain": canary, "agent": "yes"} {
		o, err := core.Secrets(n.namespace).Get(n.t.Context(), name, metav1.GetOptions{})
		n.must(err, "get Secret "+name)
		if got := string(o.Data["key"]) + string(o.Data["password"]); got != want {
			n.t.Errorf("Secret %s has %q, want %q", name, got, want)
		}
	}

	values.Data["tag"] = "v2"
	_, err = core.ConfigMaps(n.namespace).Update(n.t.Context(), values, metav1.UpdateOptions{})
	n.must(err, "update ConfigMap")
	n.waitRollout("the other value is proven in waves", func(r *v1alpha1.NodeRollout) bool {
		return r.Status.Phase == v1alpha1.PhaseProven && n.images()["example-image:v2"] == 6
	})

	n.must(core.ConfigMaps(n.namespace).Delete(n.t.Context(), "cluster-values", metav1.DeleteOptions{}), "delete ConfigMap")
	before := n.state()
	n.waitHeld("fleet", "SubstituteInvalid", "cluster-values", "create it, or set optional")
	n.wantStill(before)
	_, err = core.ConfigMaps(n.namespace).Create(n.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cluster-values"}, Data: map[string]string{"other": "x"}}, metav1.CreateOptions{})
	n.must(err, "create ConfigMap")
	before = n.state()
	n.waitHeld("fleet", "SubstitutionFailed", "daemonset.yaml", "spec.template.spec.containers[0].image", "the variable tag has no value")
	n.wantStill(before)

	if text := n.surfaces(); strings.Contains(text, canary) || strings.Contains(text, "AGE-SECRET-KEY") {
		n.t.Error("a secret value or key is in what rollcall says")
	}
	code, stdout, stderr := n.rollcall("plan", n.directory(map[string]string{"plain.yaml": plainSecret("plain", "x-${password}")}), "--namespace", n.namespace, "--gitsync", "fleet", "-o", "json")
	if code != 2 || strings.Contains(stdout+stderr, canary) {
		n.t.Errorf("the plan exits with %d:\n%s", code, strings.ReplaceAll(fmt.Sprint(stdout, stderr), canary, "(THE SECRET)"))
	}
}
