package apply

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestADeclarationThatIsMissingIsNotKnown(t *testing.T) {
	t.Parallel()
	v := &view{key: types.NamespacedName{Namespace: "ns", Name: "agent"}, want: &declared{},
		rollout: &v1alpha1.NodeRollout{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelOwner: "ns.fleet"}}}}
	if b := v.undeclared(); b != nil {
		t.Errorf("with a declaration: %+v", b)
	}
	v.want = nil
	b := v.undeclared()
	if b == nil || b.Reason != ReasonDeclarationMissing || !b.Until.IsZero() {
		t.Fatalf("without one: %+v, want a hold for %s", b, ReasonDeclarationMissing)
	}
	for _, words := range []string{"agent.rollcall-declared", "next pass of GitSync ns.fleet", "suspended", "refused", "delete this NodeRollout"} {
		if !strings.Contains(b.Message, words) {
			t.Errorf("the message is %q, want it to say %q", b.Message, words)
		}
	}
}

// Of a DaemonSet in Git that nobody can read the own budget may be the least that
// there is.
func TestBudgetOfAPolicy(t *testing.T) {
	t.Parallel()
	three := intstr.FromInt32(3)
	for sentence, c := range map[string]struct {
		want *declared
		most intstr.IntOrString
	}{
		"the policy's":                       {&declared{}, three},
		"the DaemonSet's own wins":           {&declared{MaxUnavailable: "2"}, intstr.FromInt32(2)},
		"one while no declaration is there":  {nil, intstr.FromInt32(1)},
		"the DaemonSet's own may be a share": {&declared{MaxUnavailable: "10%"}, intstr.FromString("10%")},
	} {
		if got, _ := (chosen{"p", v1alpha1.RolloutPolicySpec{MaxUnavailable: &three}}).read(c.want); got.MaxUnavailable != c.most {
			t.Errorf("%s: got %s, want %s", sentence, got.MaxUnavailable.String(), c.most.String())
		}
	}
}

// A rollout that knows its declaration is not held for the lack of one, and one
// that has lost it is, whatever it was at.
func TestWhatIsNotKnownBeginsNothing(t *testing.T) {
	t.Parallel()
	v1, v2 := &rollout.Version{Digest: "v1"}, &rollout.Version{Digest: "v2"}
	unknown := &rollout.Block{Reason: ReasonDeclarationMissing, Message: "it is missing"}
	live := rollout.Live{Digest: "v1", OnDelete: true, Observed: true}
	policy, _ := (chosen{"p", BuiltInPolicy()}).read(nil)
	for sentence, s := range map[string]rollout.State{
		"at rest":               {Proven: v1},
		"a candidate is on way": {Proven: v1, Candidate: v2, About: "v2"},
	} {
		in := rollout.Input{Policy: policy, State: s, Unknown: unknown, Live: live, Fleet: manyNodes(3)}
		d := rollout.Decide(in)
		if d.Phase != rollout.Held || d.Reason != ReasonDeclarationMissing || len(d.Steps) > 0 || d.Next.Candidate != s.Candidate {
			t.Errorf("%s: %s %s, steps %v, candidate %v", sentence, d.Phase, d.Reason, d.Steps, d.Next.Candidate)
		}
	}
}
