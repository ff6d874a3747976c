package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// decodePolicy reads one document; it returns nil and its kind for any other one,
// and neither for an empty one.
func decodePolicy(document []byte) (*v1alpha1.RolloutPolicy, []string, error) {
	raw, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, nil, err
	}
	var meta *metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &meta); err != nil {
		return nil, nil, errors.New("this is no Kubernetes object: begin with apiVersion and kind")
	}
	switch {
	case meta == nil:
		return nil, nil, nil
	case meta.Kind != "RolloutPolicy" || meta.APIVersion != v1alpha1.GroupVersion().String():
		return nil, []string{fmt.Sprintf("%q of %q", meta.Kind, meta.APIVersion)}, nil
	}
	p := &v1alpha1.RolloutPolicy{Spec: v1alpha1.RolloutPolicySpec{Health: v1alpha1.HealthSpec{
		ReadyFor: metav1.Duration{Duration: 30 * time.Second}, Deadline: metav1.Duration{Duration: 10 * time.Minute}}}}
	unknown, err := kjson.UnmarshalStrict(raw, p)
	if err != nil {
		return nil, nil, locate(raw, err)
	}
	if len(unknown) > 0 {
		return nil, nil, listErrors(unknown)
	}
	return p, nil, nil
}

// locate names the field that an error of decoding is about, which what decodes
// fields does not know: without it there is another error, or none.
func locate(raw []byte, wrong error) error {
	var object map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &object); err != nil {
		return wrong
	}
	helps := func() bool {
		raw, err := json.Marshal(object)
		if err == nil {
			_, err = kjson.UnmarshalStrict(raw, &v1alpha1.RolloutPolicy{})
		}
		return err == nil || err.Error() != wrong.Error()
	}
	if at := culprit(object, nil, helps); at != nil {
		return fmt.Errorf("%s: %w", at, inWords(wrong))
	}
	return wrong
}

// inWords is an error of decoding a value in the terms of the file, where it is in
// those of Go.
func inWords(err error) error {
	var other *json.UnmarshalTypeError
	var date *time.ParseError
	switch {
	case errors.As(err, &other):
		return fmt.Errorf("it must be %s, not %s", wanted(other.Type.Kind()), other.Value)
	case errors.As(err, &date):
		return fmt.Errorf("%s is no time: write it as in RFC 3339, such as 2026-03-02T09:00:00Z", date.Value)
	case strings.HasPrefix(err.Error(), "time: "):
		return fmt.Errorf("%w: write hours, minutes and seconds, such as 1h30m", err)
	default:
		return err
	}
}

// wanted names the values that are decoded into a kind of Go's.
func wanted(k reflect.Kind) string {
	switch k {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	default:
		return "a whole number"
	}
}

// culprit is the path of the innermost value that it helps to leave out; nil if
// there is none.
func culprit(v any, at *field.Path, helps func() bool) *field.Path {
	try := func(child any, at *field.Path, set func(any)) *field.Path {
		set(nil)
		found := helps()
		set(child)
		switch inner := culprit(child, at, helps); {
		case !found:
			return nil
		case inner != nil:
			return inner
		default:
			return at
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if found := try(v[key], at.Child(key), func(x any) { v[key] = x }); found != nil {
				return found
			}
		}
	case []any:
		for i := range v {
			if found := try(v[i], at.Index(i), func(x any) { v[i] = x }); found != nil {
				return found
			}
		}
	}
	return nil
}
