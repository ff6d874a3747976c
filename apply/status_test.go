package apply

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Every field of the state has to come back from where it is recorded: one that
// is forgotten is lost with the process. The state is filled by reflection, so
// that a new field is not forgotten here as well.
func TestStateSurvivesItsRecording(t *testing.T) {
	t.Parallel()
	var state rollout.State
	fill(reflect.ValueOf(&state).Elem(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	v := &view{rollout: &v1alpha1.NodeRollout{}}
	d := rollout.Decision{Phase: rollout.Replacing, Next: state, Waves: 9}
	next := v.nextRecorded(d)
	read := recorded{Candidate: next.Candidate}
	for i, p := range next.parts() {
		raw, err := json.Marshal(p.value)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, read.parts()[i].value); err != nil {
			t.Fatal(err)
		}
	}

	got := stateOf(&v1alpha1.NodeRollout{Status: v.status(d)}, read)

	if diff := cmp.Diff(state, got); diff != "" {
		t.Errorf("state changed by recording it (-recorded +read):\n%s", diff)
	}
}

// fill sets every field to a value that is not its zero.
func fill(v reflect.Value, at time.Time) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), at)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), at)
	case reflect.Struct:
		switch v.Type() {
		case reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(at))
			return
		case reflect.TypeFor[intstr.IntOrString]():
			v.Set(reflect.ValueOf(intstr.FromString("30%")))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), at)
		}
	case reflect.String:
		v.SetString("sha256:" + v.Type().Name())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	default:
		panic("a kind that states have not had so far: " + v.Kind().String())
	}
}
