package sync

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/rollcall-dev/rollcall/sync/render"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func inNS(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "agents", Name: name} }

func someInputs() []runtime.Object {
	return []runtime.Object{
		&corev1.ConfigMap{ObjectMeta: inNS("cluster"), Data: map[string]string{"cluster": "prod", "region": "eu", "a-file.txt": "x", "password": "shown"}},
		&corev1.Secret{ObjectMeta: inNS("passwords"), Data: map[string][]byte{"password": []byte("CANARY"), "region": []byte("secret")}},
		&corev1.ConfigMap{ObjectMeta: inNS("later"), Data: map[string]string{"region": "us"}},
		&corev1.Secret{ObjectMeta: inNS("keys"), Data: map[string][]byte{"b.agekey": []byte("2"), "a.agekey": []byte("1"), "other": []byte("3")}},
		&corev1.Secret{ObjectMeta: inNS("nokeys"), Data: map[string][]byte{"key.txt": []byte("CANARY")}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "foreign"}, Data: map[string]string{"x": "y"}},
	}
}

func TestInputs(t *testing.T) {
	from := func(kind, name string) v1alpha1.SubstituteSource {
		return v1alpha1.SubstituteSource{Kind: kind, Name: name}
	}
	optional := func(s v1alpha1.SubstituteSource) v1alpha1.SubstituteSource { s.Optional = true; return s }
	for sentence, c := range map[string]struct {
		substitute *v1alpha1.Substitute
		keys       string
		want       render.Options
		reason     string
		says       string
	}{
		"none": {want: render.Options{}},
		"what is named later, and the GitSync itself, come first, and an entry that is no variable is left out": {
			substitute: &v1alpha1.Substitute{
				Values: map[string]string{"cluster": "mine"},
				From:   []v1alpha1.SubstituteSource{from("ConfigMap", "cluster"), from("Secret", "passwords"), from("ConfigMap", "later"), optional(from("Secret", "gone"))},
			},
			want: render.Options{Substitute: true, Variables: map[string]string{"cluster": "mine", "region": "us"}, SecretVariables: map[string]string{"password": "CANARY"}},
		},
		"a value of a Secret stays one when a ConfigMap before it has it too": {
			substitute: &v1alpha1.Substitute{From: []v1alpha1.SubstituteSource{from("Secret", "passwords"), from("ConfigMap", "cluster")}},
			want:       render.Options{Substitute: true, Variables: map[string]string{"cluster": "prod", "region": "eu", "password": "shown"}, SecretVariables: map[string]string{}},
		},
		"nothing at all to substitute, and strictly so": {
			substitute: &v1alpha1.Substitute{},
			want:       render.Options{Substitute: true, Variables: map[string]string{}, SecretVariables: map[string]string{}},
		},
		"keys, in the order of their names": {keys: "keys", want: render.Options{AgeKeys: []string{"1", "2"}}},
		"an object that is not there": {
			substitute: &v1alpha1.Substitute{From: []v1alpha1.SubstituteSource{from("ConfigMap", "gone")}},
			reason:     ReasonSubstituteInvalid, says: "ConfigMap agents/gone, which spec.substitute.from names, does not exist: create it, or set optional",
		},
		"an object of another namespace": {
			substitute: &v1alpha1.Substitute{From: []v1alpha1.SubstituteSource{from("ConfigMap", "foreign")}},
			reason:     ReasonSubstituteInvalid, says: "ConfigMap agents/foreign",
		},
		"a name that is none": {
			substitute: &v1alpha1.Substitute{Values: map[string]string{"a-b": "CANARY"}},
			reason:     ReasonSubstituteInvalid, says: `"a-b" is no name of a variable`,
		},
		"keys that are not there":       {keys: "gone", reason: ReasonSecretNotFound, says: "correct spec.decryption.secretRef"},
		"a Secret that has no such key": {keys: "nokeys", reason: ReasonSecretInvalid, says: "has no entry whose name ends in .agekey"},
	} {
		t.Run(sentence, func(t *testing.T) {
			gs := &v1alpha1.GitSync{ObjectMeta: inNS("sync"), Spec: v1alpha1.GitSyncSpec{Substitute: c.substitute}}
			if c.keys != "" {
				gs.Spec.Decryption = &v1alpha1.Decryption{SecretRef: corev1.LocalObjectReference{Name: c.keys}}
			}
			got, err := Inputs(t.Context(), dynamicfake.NewSimpleDynamicClient(scheme.Scheme, someInputs()...), fake.NewClientset(someInputs()...), gs)
			var failure *Failure
			if c.reason != "" {
				if !errors.As(err, &failure) || failure.Reason != c.reason || !strings.Contains(failure.Message, c.says) || strings.Contains(failure.Message, "CANARY") {
					t.Errorf("got %v, want %s %q", err, c.reason, c.says)
				}
				return
			}
			c.want.Path, c.want.Namespace = ".", "agents"
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v, options (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestOtherInputsAreAnotherVersion: what is rendered is known by what it was rendered with, down to whether a value is
// secret, and shows none of it.
func TestOtherInputsAreAnotherVersion(t *testing.T) {
	seen := map[string]string{}
	for sentence, o := range map[string]render.Options{
		"nothing":               {},
		"nothing to substitute": {Substitute: true},
		"a variable":            {Substitute: true, Variables: map[string]string{"a": "CANARY"}},
		"another value":         {Substitute: true, Variables: map[string]string{"a": "c"}},
		"a secret variable":     {Substitute: true, SecretVariables: map[string]string{"a": "CANARY"}},
		"a key":                 {AgeKeys: []string{"CANARY"}},
	} {
		print, err := inputsPrint(o)
		if err != nil || strings.Contains(print, "CANARY") {
			t.Errorf("%s: %q, %v", sentence, print, err)
		}
		if other, twice := seen[print]; twice {
			t.Errorf("%s is taken for %s", sentence, other)
		}
		seen[print] = sentence
	}
}

// TestLastGoodOutlivesItsInputs: while variables cannot be read, what was rendered with the ones before keeps running.
func TestLastGoodOutlivesItsInputs(t *testing.T) {
	gs := &v1alpha1.GitSync{ObjectMeta: inNS("sync")}
	from := placeOf(gs).at("c1")
	from.inputs = "before"
	declared := &render.Declared{}
	if got := (&memory{declared: declared, from: from}).lastGood(placeOf(gs)); got != declared {
		t.Errorf("got %v", got)
	}
}
