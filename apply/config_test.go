package apply

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/rollcall-dev/rollcall/diff"
)

// TestEveryVolumeSourceCounts fills every field by which a volume source of the
// API can name a ConfigMap or Secret, those of later Kubernetes versions too.
func TestEveryVolumeSourceCounts(t *testing.T) {
	t.Parallel()
	sources := reflect.TypeFor[corev1.VolumeSource]()
	for i := range sources.NumField() {
		field := sources.Field(i)
		t.Run(field.Name, func(t *testing.T) {
			t.Parallel()
			source := reflect.New(field.Type.Elem())
			want := referring(source.Elem(), field.Name)
			var volume corev1.Volume
			reflect.ValueOf(&volume.VolumeSource).Elem().Field(i).Set(source)
			got := configOf("agents", &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Volumes: []corev1.Volume{volume}}})
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// referring gives each name of a ConfigMap or Secret in a volume source a value and
// returns what they refer to. It is dumb: it knows the API's names, no source.
func referring(v reflect.Value, source string) []diff.Reference {
	var out []diff.Reference
	refer := func(kind string, name reflect.Value) {
		name.SetString(strings.ToLower(kind) + "-of-" + strings.ToLower(source))
		out = append(out, diff.Reference{Kind: kind, Namespace: "agents", Name: name.String()})
	}
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch {
		case name == "SecretName":
			refer("Secret", f)
		case f.Type() == reflect.TypeFor[*corev1.LocalObjectReference]():
			f.Set(reflect.ValueOf(&corev1.LocalObjectReference{}))
			refer("Secret", f.Elem().Field(0))
		case f.Type() == reflect.TypeFor[corev1.LocalObjectReference]():
			kind := "Secret"
			if strings.Contains(v.Type().Name(), "ConfigMap") {
				kind = "ConfigMap"
			}
			refer(kind, f.Field(0))
		case f.Type() == reflect.TypeFor[[]corev1.VolumeProjection]():
			f.Set(reflect.ValueOf([]corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{}}, {Secret: &corev1.SecretProjection{}}}))
			out = append(out, referring(f.Index(0).Field(2).Elem(), source)...)
			out = append(out, referring(f.Index(1).Field(0).Elem(), source)...)
		}
	}
	return out
}
