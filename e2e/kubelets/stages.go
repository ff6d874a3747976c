package kubelets

import (
	_ "embed" // stages.yaml
	"fmt"
	"strings"

	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"

	"github.com/rollcall-dev/rollcall/e2e/fleet"
)

//go:embed stages.yaml
var ownStages string

const (
	tagKey = `.spec.containers[].image | split(":") | last`

	// slowReady is the time at which a pod of tag slow becomes Ready: 10 s after it was bound to its node.
	slowReady = `.status.conditions[] | select(.type == "PodScheduled") | .lastTransitionTime | fromdateiso8601 + 10 | todateiso8601`

	// slowDeath is the time at which a pod of tag slowdeath is gone: 15 s after its deletion was asked for, or at the
	// end of its grace period if that is shorter, when a kubelet kills it.
	slowDeath = `(.metadata.deletionGracePeriodSeconds // 0) as $grace
| (.metadata.deletionTimestamp | fromdateiso8601) - $grace + ([$grace, 15] | min) | todateiso8601`
)

// stages returns what KWOK plays, by the kind of the object. Nodes have no heartbeat stage: their leases prove that
// they live, and a heartbeat would turn a node Ready that is held not Ready.
func stages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	texts := []string{fast.DefaultNodeInit, podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete}
	texts = append(texts, strings.Split(ownStages, "\n---\n")[1:]...)
	byKind := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	add := func(stage *internalversion.Stage) {
		byKind[stage.Spec.ResourceRef] = append(byKind[stage.Spec.ResourceRef], stage)
	}
	for _, text := range texts {
		stage, err := parseStage(text)
		if err != nil {
			return nil, err
		}
		if text == fast.DefaultNodeInit {
			held := fmt.Sprintf(".metadata.annotations[%q]", fleet.NotReadyAnnotation)
			requireJQ(stage, internalversion.SelectorJQ{Key: held, Operator: internalversion.SelectorOpDoesNotExist})
		}
		add(stage)
	}
	for _, slow := range []struct{ text, tag, until string }{
		{podfast.DefaultPodReady, "slow", slowReady},
		{podfast.DefaultPodDelete, "slowdeath", slowDeath},
	} {
		stage, err := parseStage(slow.text)
		if err != nil {
			return nil, err
		}
		add(delayed(stage, slow.tag, slow.until))
	}
	return byKind, nil
}

func parseStage(text string) (*internalversion.Stage, error) {
	stage, err := config.UnmarshalWithType[*internalversion.Stage](text)
	if err != nil {
		return nil, fmt.Errorf("parse KWOK stage: %w", err)
	}
	return stage, nil
}

// delayed makes of one of KWOK's own stages the one for pods of that tag, which waits for the time that the jq
// expression until yields.
func delayed(stage *internalversion.Stage, tag, until string) *internalversion.Stage {
	stage.Name += "-" + tag
	stage.Spec.Weight = 1
	stage.Spec.Delay = &internalversion.StageDelay{
		DurationFrom: &internalversion.ExpressionFrom{JQ: &internalversion.ExpressionJQ{Expression: until}},
	}
	requireJQ(stage, internalversion.SelectorJQ{Key: tagKey, Operator: internalversion.SelectorOpIn, Values: []string{tag}})
	return stage
}

// requireJQ makes stage match only where the requirement holds as well.
func requireJQ(stage *internalversion.Stage, requirement internalversion.SelectorJQ) {
	selector := stage.Spec.Selector
	selector.MatchExpressions = append(selector.MatchExpressions, internalversion.MatchExpression{JQ: &requirement})
}
