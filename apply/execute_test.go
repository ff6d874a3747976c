package apply

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-dev/rollcall/apply/rollout"
	"github.com/rollcall-dev/rollcall/health"
)

// answering executes two deletions, and counts those that the API server got to
// see; it answers them in turn.
func answering(t *testing.T, age time.Duration, answers ...error) (asked int, err error) {
	t.Helper()
	client := fake.NewClientset()
	client.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		asked++
		return true, nil, answers[(asked-1)%len(answers)]
	})
	r := &Rollouts{Kube: client, Logger: slog.New(slog.DiscardHandler), Written: &Written{}, Metrics: NewMetrics(prometheus.NewRegistry())}
	v := &view{key: types.NamespacedName{Namespace: "ns", Name: "agent"}, input: rollout.Input{Now: time.Now().Add(-age)}}
	err = r.execute(t.Context(), v, rollout.Decision{Steps: []rollout.Step{
		{Action: rollout.DeletePod, Pod: "a", PodUID: "a", Why: rollout.ForReplace}, {Action: rollout.DeletePod, Pod: "b", PodUID: "b", Why: rollout.ForReplace},
	}})
	return asked, err
}

// A process that was stopped and goes on must not do what another one has decided
// anew meanwhile.
func TestAnOldDecisionIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	if asked, err := answering(t, rollout.Fresh-time.Second, nil); asked != 2 || err != nil {
		t.Errorf("a fresh decision: %d of 2 steps taken, %v", asked, err)
	}
	if asked, err := answering(t, rollout.Fresh+time.Second, nil); asked != 0 || err != nil {
		t.Errorf("an old decision: %d steps taken, %v", asked, err)
	}
}

func TestOneRefusedStepKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	pods := schema.GroupResource{Resource: "pods"}
	refused := apierrors.NewForbidden(pods, "a", errors.New("a webhook"))
	conflict := apierrors.NewConflict(pods, "a", errors.New("it has changed"))
	gone := apierrors.NewNotFound(pods, "a")
	for sentence, c := range map[string]struct {
		first error
		want  func(error) bool
	}{
		"a refusal is the error":             {refused, apierrors.IsForbidden},
		"a conflict is looked at again":      {conflict, apierrors.IsConflict},
		"a pod that is gone is what we want": {gone, func(err error) bool { return err == nil }},
	} {
		if asked, err := answering(t, 0, c.first, nil); asked != 2 || !c.want(err) {
			t.Errorf("%s: %d of 2 steps taken, %v", sentence, asked, err)
		}
	}
}

// A gate that somebody else's write kept closed is not taken for open: nobody would open it again.
func TestAConflictOpensNoGate(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "a", errors.New("it has changed"))
	})
	r := &Rollouts{Kube: client, Logger: slog.New(slog.DiscardHandler), Written: &Written{}}
	if err := r.openGate(t.Context(), "ns", rollout.Step{Action: rollout.OpenGate, Pod: "a", PodUID: "a"}); !apierrors.IsConflict(err) {
		t.Errorf("the error is %v, want the conflict, after which somebody looks again", err)
	}
	fleet := r.Written.overlay([]health.Node{{Agents: []health.Agent{{UID: "a", Gated: true}}}})
	if !fleet[0].Agents[0].Gated {
		t.Error("the pod is taken for open")
	}
}

// The pods of one pulse are written side by side, and nothing of another kind beside them.
func TestStepsThatAreTakenAtOnce(t *testing.T) {
	t.Parallel()
	step := func(kinds ...rollout.Action) (out []rollout.Step) {
		for _, k := range kinds {
			out = append(out, rollout.Step{Action: k})
		}
		return out
	}
	for sentence, c := range map[string]struct {
		steps []rollout.Step
		want  int
	}{
		"all deletions":                    {step(rollout.DeletePod, rollout.DeletePod, rollout.DeletePod), 3},
		"deletions until gates are opened": {step(rollout.DeletePod, rollout.DeletePod, rollout.OpenGate), 2},
		"gates until a template":           {step(rollout.OpenGate, rollout.WriteTemplate, rollout.OpenGate), 1},
		"a template alone":                 {step(rollout.WriteTemplate, rollout.WriteTemplate), 1},
		"labels":                           {step(rollout.Relabel, rollout.Relabel), 2},
		"one revision, then labels":        {step(rollout.NameRevision, rollout.Relabel), 1},
	} {
		if got := together(c.steps); got != c.want {
			t.Errorf("%s: %d, want %d", sentence, got, c.want)
		}
	}
}

// An API server that answers no request before a second one is there gets one.
func TestPodsAreDeletedSideBySide(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			close(second)
		}
		select {
		case <-second:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Success"}`))
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r := &Rollouts{Kube: client, Logger: slog.New(slog.DiscardHandler), Written: &Written{}, Metrics: NewMetrics(prometheus.NewRegistry())}
	v := &view{input: rollout.Input{Now: time.Now()}}
	if err := r.execute(t.Context(), v, rollout.Decision{Steps: []rollout.Step{{Action: rollout.DeletePod, Pod: "a"}, {Action: rollout.DeletePod, Pod: "b"}}}); err != nil {
		t.Error(err)
	}
}
