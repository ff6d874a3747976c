package apply

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

// fleetRecords are records as large as those of a fleet get: names of 63
// characters, 20 of them at random, each node touched in a nanosecond of its own,
// and every tenth failed.
func fleetRecords(nodes int, touched bool) []rollout.Record {
	r := rand.New(rand.NewPCG(1, 2))
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	random := func(n int) string {
		var out strings.Builder
		for range n {
			out.WriteByte(letters[r.IntN(len(letters))])
		}
		return out.String()
	}
	began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	out := make([]rollout.Record, nodes)
	for i := range out {
		raw := make([]byte, 16)
		for j := range raw {
			raw[j] = byte(r.UintN(256))
		}
		id := hex.EncodeToString(raw)
		out[i] = rollout.Record{
			Node: "gke-production-europe-west4-highmem-16-pool-" + random(19), Wave: i % 4,
			UID: types.UID(strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")),
		}
		if !touched {
			continue
		}
		out[i].Touched, out[i].Ran, out[i].Well, out[i].Tries = began.Add(time.Duration(r.Int64N(int64(8*time.Hour)))), true, true, 1
		if i%10 == 0 {
			out[i].Failed = "CannotStart"
			out[i].FailedMessage = "CrashLoopBackOff: back-off 5m0s restarting failed container=agent pod=agent-" + random(5) + "_kube-system(" + string(out[i].UID) + ")"
		}
	}
	return out
}

func stateStore() (store, *v1alpha1.NodeRollout) {
	return store{fake.NewClientset(), types.NamespacedName{Namespace: "kube-system", Name: "agent"}},
		&v1alpha1.NodeRollout{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent", UID: "n-1"}}
}

// large is a template of about 10 kB, as an agent with a few containers has.
func large(image string) corev1.PodTemplateSpec {
	out := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: image}}}}
	for i := range 150 {
		out.Spec.Containers[0].Env = append(out.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_NUMBER_%d", i), Value: "a value of some thirty letters"})
	}
	return out
}

func TestStateOfALargeFleet(t *testing.T) {
	const nodes = 15000
	state := recorded{
		Templates: templates{"proven": large("agent:1"), "candidate": large("agent:2")},
		Spellings: []spelling{{"proven", large("agent:1")}, {"candidate", large("agent:2")}},
		Records:   fleetRecords(nodes, false),
		Candidate: "candidate",
	}
	s, owner := stateStore()
	if err := s.writeRecorded(t.Context(), owner, change{after: state, begins: true}); err != nil {
		t.Fatalf("the last wave cannot begin: %v", err)
	}
	before, cm, err := s.recorded(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state.Records = fleetRecords(nodes, true)
	if err := s.writeRecorded(t.Context(), owner, change{from: cm, before: before, after: state}); err != nil {
		t.Fatal(err)
	}
	got, cm, err := s.recorded(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(state.Records, got.Records); d != "" {
		t.Errorf("other records (-written +read):\n%s", d)
	}
	size := content{cm.Data, cm.BinaryData}.size()
	t.Logf("%d nodes: %d KiB", nodes, size>>10)
	if size > 900<<10 {
		t.Errorf("%d KiB, want at most 900", size>>10)
	}
}

// What there is no room for is never lost in silence: nothing of the decision is
// done, and the status says why.
func TestStateWithoutRoom(t *testing.T) {
	s, owner := stateStore()
	small := change{after: recorded{Records: fleetRecords(10, true)}}
	if err := s.writeRecorded(t.Context(), owner, small); err != nil {
		t.Fatal(err)
	}
	before, cm, err := s.recorded(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for sentence, c := range map[string]struct {
		nodes  int
		begins bool
		want   string
	}{
		"a wave begins with a quarter left": {19000, true, "the state of 19000 nodes takes 985 KiB, more than 768 KiB"},
		"one in progress may take all":      {19000, false, ""},
		"nothing takes more than there is":  {24000, false, "the state of 24000 nodes takes 1244 KiB, more than 1024 KiB"},
	} {
		err := s.writeRecorded(t.Context(), owner, change{from: cm, before: before, after: recorded{Records: fleetRecords(c.nodes, true)}, begins: c.begins})
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q", sentence, got, c.want)
		}
	}
}

// What is said to take the room is what does.
func TestStateWithoutRoomForTemplates(t *testing.T) {
	t.Parallel()
	c := content{text: map[string]string{keyRecords: "[]"}, packed: map[string][]byte{keyTemplates + packedSuffix: make([]byte, 849<<10)}}
	got := fmt.Sprint(c.room(1, 2, true))
	if want := "the templates of 2 versions take 849 of the 849 KiB of the state, which is more than 768 KiB"; !strings.Contains(got, want) || strings.Contains(got, "split") {
		t.Errorf("%s, want %q and no word of splitting", got, want)
	}
}

func records() *rapid.Generator[rollout.Record] {
	return rapid.Custom(func(t *rapid.T) rollout.Record {
		return rollout.Record{
			Node: rapid.StringMatching(`[a-z0-9]{1,63}`).Draw(t, "node"), UID: types.UID(rapid.StringMatching(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]+`).Draw(t, "uid")),
			Wave: rapid.IntRange(0, 20).Draw(t, "wave"), Touched: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "touched"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).UTC(),
			Ran: rapid.Bool().Draw(t, "ran"), Failed: rapid.StringMatching(`[A-Z][a-z]*`).Draw(t, "failed"), FailedMessage: rapid.String().Draw(t, "message"),
			Tries: rapid.IntRange(0, 9).Draw(t, "tries"), Well: rapid.Bool().Draw(t, "well"), Breaks: rapid.IntRange(0, 9).Draw(t, "breaks"),
		}
	})
}

// Whatever is recorded, of however many nodes, is read again, whether it was
// changed in part, in whole or not at all.
func TestStateIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var before recorded
		var cm *corev1.ConfigMap
		for range rapid.IntRange(1, 4).Draw(t, "writes") {
			after := recorded{Templates: templates{}, Candidate: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "candidate"), Records: before.Records}
			if rapid.Bool().Draw(t, "changed") {
				few := rapid.SliceOfN(records(), 0, 3).Draw(t, "records")
				after.Records = few
				for range rapid.SampledFrom([]int{0, 0, 300}).Draw(t, "times") {
					after.Records = append(after.Records, few...)
				}
			}
			c := change{from: cm, before: before, after: after}
			out, err := c.content()
			if err != nil {
				t.Fatal(err)
			}
			cm = &corev1.ConfigMap{Data: out.text, BinaryData: out.packed}
			if before, err = readRecorded(cm); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(after, before, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("(-written +read):\n%s", d)
			}
		}
	})
}

// A fleet that was recorded in the clear is read, and packed with the next
// change; what a person puts in the clear goes first.
func TestStateInTheClear(t *testing.T) {
	s, owner := stateStore()
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent" + stateSuffix},
		Data: map[string]string{keyTemplates: "{}", keySpellings: "null", keyOwed: "null",
			keyRecords: `[` + strings.Repeat(`{"n":"n1","u":"u1"},`, 5000) + `{"n":"n2","u":"u2"}]`},
	}
	if _, err := s.client.CoreV1().ConfigMaps("kube-system").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before, cm, err := s.recorded(t.Context())
	if err != nil || len(before.Records) != 5001 {
		t.Fatalf("read %d records, %v", len(before.Records), err)
	}
	after := before
	after.Records = append([]rollout.Record{{Node: "n0", UID: "u0"}}, before.Records...)
	if err := s.writeRecorded(t.Context(), owner, change{from: cm, before: before, after: after}); err != nil {
		t.Fatal(err)
	}
	got, cm, err := s.recorded(t.Context())
	if err != nil || len(got.Records) != 5002 || cm.Data[keyRecords] != "" || len(cm.BinaryData[keyRecords+packedSuffix]) == 0 {
		t.Fatalf("read %d records of %d bytes in the clear and %d packed, %v", len(got.Records), len(cm.Data[keyRecords]), len(cm.BinaryData[keyRecords+packedSuffix]), err)
	}
	cm.Data[keyRecords] = `[{"n":"by-hand","u":"u"}]`
	if _, err := s.client.CoreV1().ConfigMaps("kube-system").Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, _, err = s.recorded(t.Context()); err != nil || len(got.Records) != 1 {
		t.Errorf("read %d records, %v; want the one in the clear", len(got.Records), err)
	}
}

// BenchmarkState writes and reads the state of 15,000 nodes without an API server.
func BenchmarkState(b *testing.B) {
	all := fleetRecords(15000, true)
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			out := content{map[string]string{}, map[string][]byte{}}
			if err := out.add(keyRecords, all); err != nil {
				b.Fatal(err)
			}
		}
	})
	out := content{map[string]string{}, map[string][]byte{}}
	if err := out.add(keyRecords, all); err != nil {
		b.Fatal(err)
	}
	cm := &corev1.ConfigMap{Data: out.text, BinaryData: out.packed}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			var got []rollout.Record
			if _, err := partOf(cm, keyRecords, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
}
