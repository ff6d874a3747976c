package apply

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// Every field of the state has to come back from where it is recorded: one that
// is forgotten is lost with the process. The state is filled by reflection, so
// that a new field is not forgotten here as well.
func TestStateSurvivesItsRecording(t *testing.T) {
	t.Parallel()
	var state rollout.State
	fill(reflect.ValueOf(&state).Elem(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	state.Waves[0].Select = "zone in (a,b)"
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
	case reflect.Uint32:
		v.SetUint(4)
	default:
		panic("a kind that states have not had so far: " + v.Kind().String())
	}
}

// Of a node without a pod nothing in the cluster tells since when: the status does,
// and begins anew with another reason.
func TestSinceIsRemembered(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	seen, known := now.Add(-time.Hour), now.Add(-time.Minute)
	before := []v1alpha1.NodeProblem{{Node: "n1", Reason: "NoPod", Since: metav1.NewTime(seen)}}
	for sentence, c := range map[string]struct {
		problem health.Problem
		want    time.Time
	}{
		"what the cluster tells":     {health.Problem{Node: "n1", Reason: "NoPod", Since: known}, known},
		"what was seen before":       {health.Problem{Node: "n1", Reason: "NoPod"}, seen},
		"another reason is new":      {health.Problem{Node: "n1", Reason: "Tainted"}, now},
		"so is that of another node": {health.Problem{Node: "n2", Reason: "NoPod"}, now},
	} {
		if got := since(c.problem, before, now); !got.Time.Equal(c.want) {
			t.Errorf("%s: since %s, want %s", sentence, got, c.want)
		}
	}
}

func TestUnproven(t *testing.T) {
	t.Parallel()
	before := metav1.NewTime(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	now := before.Add(time.Hour)
	version := func(digest string) *v1alpha1.Version { return &v1alpha1.Version{Digest: digest} }
	since := func(candidate string, superseded int32, rejected ...string) v1alpha1.NodeRolloutStatus {
		s := v1alpha1.NodeRolloutStatus{Candidate: version(candidate), UnprovenSince: &before, Superseded: superseded}
		for _, d := range rejected {
			s.Rejected = append(s.Rejected, v1alpha1.Rejection{Digest: d})
		}
		return s
	}
	tests := map[string]struct {
		old       v1alpha1.NodeRolloutStatus
		candidate *v1alpha1.Version
		at        time.Time
		count     int32
	}{
		"nothing is on its way":                        {since("a", 2), nil, time.Time{}, 0},
		"the first version on its way begins the time": {v1alpha1.NodeRolloutStatus{}, version("a"), now, 0},
		"the same one goes on":                         {since("a", 2), version("a"), before.Time, 2},
		"another one counts, and begins nothing anew":  {since("a", 2), version("b"), before.Time, 3},
		"what was rejected was not superseded":         {since("a", 2, "a"), version("b"), before.Time, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, count := unproven(test.old, test.candidate, now)
			if count != test.count {
				t.Errorf("%d superseded, want %d", count, test.count)
			}
			if at.IsZero() != test.at.IsZero() || at != nil && !at.Time.Equal(test.at) {
				t.Errorf("since %v, want %v", at, test.at)
			}
		})
	}
}
