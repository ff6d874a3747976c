package watch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// placed is the placement of a template.
func placed(change ...func(*corev1.PodSpec)) Placement {
	var t corev1.PodTemplateSpec
	for _, c := range change {
		c(&t.Spec)
	}
	return NewPlacement(&t)
}

func tolerating(tolerations ...corev1.Toleration) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) { s.Tolerations = tolerations }
}

func selecting(key, value string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{key: value} }
}

func requiringZone(op corev1.NodeSelectorOperator, values ...string) func(*corev1.PodSpec) {
	return requiring("zone", op, values...)
}

func requiring(key string, op corev1.NodeSelectorOperator, values ...string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}},
		}}}
	}
}

func preferring(s *corev1.PodSpec) {
	s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
		Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"b"}}}},
	}}}}
}

func hostNetwork(s *corev1.PodSpec) { s.HostNetwork = true }

func TestPlacement(t *testing.T) {
	const (
		noSchedule = corev1.TaintEffectNoSchedule
		noExecute  = corev1.TaintEffectNoExecute
		exists     = corev1.TolerationOpExists
	)
	everything := tolerating(corev1.Toleration{Operator: exists})
	aci, fargate := tainted("virtual-kubelet.io/provider", "azure", noSchedule), tainted("eks.amazonaws.com/compute-type", "fargate", noSchedule)
	gpu := node("n1", tainted("dedicated", "gpu", noSchedule))
	for sentence, c := range map[string]struct {
		placement             Placement
		node                  *corev1.Node
		eligible, schedulable bool
		taint                 string
	}{
		"a node without taints":                               {placed(), node("n1"), true, true, ""},
		"a selector that matches":                             {placed(selecting("zone", "a")), node("n1"), true, true, ""},
		"a selector that does not":                            {placed(selecting("zone", "b")), node("n1"), false, false, ""},
		"required affinity that matches":                      {placed(requiringZone(corev1.NodeSelectorOpIn, "a", "b")), node("n1"), true, true, ""},
		"required affinity that does not":                     {placed(requiringZone(corev1.NodeSelectorOpNotIn, "a")), node("n1"), false, false, ""},
		"a selector and affinity have both to":                {placed(selecting("arch", "amd64"), requiringZone(corev1.NodeSelectorOpIn, "a")), node("n1"), false, false, ""},
		"affinity that cannot be read":                        {placed(requiringZone(corev1.NodeSelectorOpGt, "a")), node("n1"), false, false, ""},
		"preferred affinity keeps no node out":                {placed(preferring), node("n1"), true, true, ""},
		"a selector that does not, and a taint":               {placed(selecting("zone", "b")), gpu, false, false, ""},
		"NoSchedule":                                          {placed(), gpu, false, false, "dedicated=gpu:NoSchedule"},
		"NoExecute":                                           {placed(), node("n1", tainted("dedicated", "gpu", noExecute)), false, false, "dedicated=gpu:NoExecute"},
		"PreferNoSchedule keeps nobody out":                   {placed(), node("n1", tainted("dedicated", "gpu", corev1.TaintEffectPreferNoSchedule)), true, true, ""},
		"the first taint that is not tolerated":               {placed(tolerating(corev1.Toleration{Key: "a", Operator: exists})), node("n1", tainted("a", "", noSchedule), tainted("b", "x", noExecute)), false, false, "b=x:NoExecute"},
		"tolerated by key, value and effect":                  {placed(tolerating(corev1.Toleration{Key: "dedicated", Value: "gpu", Effect: noSchedule})), gpu, true, true, ""},
		"tolerated by an Equal that is written":               {placed(tolerating(corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "gpu"})), gpu, true, true, ""},
		"tolerated by key alone":                              {placed(tolerating(corev1.Toleration{Key: "dedicated", Operator: exists})), gpu, true, true, ""},
		"tolerated whatever it is":                            {placed(tolerating(corev1.Toleration{Operator: exists})), gpu, true, true, ""},
		"tolerated for every effect":                          {placed(tolerating(corev1.Toleration{Key: "dedicated", Operator: exists})), node("n1", tainted("dedicated", "gpu", noExecute)), true, true, ""},
		"not tolerated with another value":                    {placed(tolerating(corev1.Toleration{Key: "dedicated", Value: "cpu"})), gpu, false, false, "dedicated=gpu:NoSchedule"},
		"not tolerated with another key":                      {placed(tolerating(corev1.Toleration{Key: "other", Operator: exists})), gpu, false, false, "dedicated=gpu:NoSchedule"},
		"not tolerated for another effect":                    {placed(tolerating(corev1.Toleration{Key: "dedicated", Operator: exists, Effect: noExecute})), gpu, false, false, "dedicated=gpu:NoSchedule"},
		"not tolerated by an operator to come":                {placed(tolerating(corev1.Toleration{Key: "dedicated", Operator: "Like", Value: "gpu"})), gpu, false, false, "dedicated=gpu:NoSchedule"},
		"what Kubernetes tolerates: NotReady":                 {placed(), node("n1", tainted(corev1.TaintNodeNotReady, "", noExecute)), true, true, ""},
		"what Kubernetes tolerates: unreachable":              {placed(), node("n1", tainted(corev1.TaintNodeUnreachable, "", noExecute)), true, true, ""},
		"what Kubernetes tolerates: disk":                     {placed(), node("n1", tainted(corev1.TaintNodeDiskPressure, "", noSchedule)), true, true, ""},
		"what Kubernetes tolerates: memory":                   {placed(), node("n1", tainted(corev1.TaintNodeMemoryPressure, "", noSchedule)), true, true, ""},
		"what Kubernetes tolerates: PIDs":                     {placed(), node("n1", tainted(corev1.TaintNodePIDPressure, "", noSchedule)), true, true, ""},
		"what Kubernetes tolerates: a cordon":                 {placed(), node("n1", cordoned), true, true, ""},
		"no network yet: wanted, and absent":                  {placed(), node("n1", tainted(corev1.TaintNodeNetworkUnavailable, "", noSchedule)), true, false, "node.kubernetes.io/network-unavailable=:NoSchedule"},
		"no network yet, for an agent on the host's":          {placed(hostNetwork), node("n1", tainted(corev1.TaintNodeNetworkUnavailable, "", noSchedule)), true, true, ""},
		"NotReady by NoSchedule: wanted, and absent":          {placed(), node("n1", tainted(corev1.TaintNodeNotReady, "", noSchedule)), true, false, "node.kubernetes.io/not-ready=:NoSchedule"},
		"an autoscaler's: wanted, and absent":                 {placed(), node("n1", tainted("ToBeDeletedByClusterAutoscaler", "9", noSchedule)), true, false, "ToBeDeletedByClusterAutoscaler=9:NoSchedule"},
		"an autoscaler's, tolerated":                          {placed(tolerating(corev1.Toleration{Operator: exists})), node("n1", tainted("ToBeDeletedByClusterAutoscaler", "9", noSchedule)), true, true, ""},
		"a cloud that has not set it up yet":                  {placed(), node("n1", tainted("node.cloudprovider.kubernetes.io/uninitialized", "true", noSchedule)), true, false, "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule"},
		"a passing taint hides no lasting one":                {placed(), node("n1", tainted("karpenter.sh/disrupted", "", noSchedule), tainted("dedicated", "gpu", noSchedule)), false, false, "karpenter.sh/disrupted=:NoSchedule"},
		"a virtual node and no taint":                         {placed(), node("n1", labelled("type", "virtual-kubelet")), false, true, ""},
		"a virtual node, though every taint is tolerated":     {placed(everything), node("n1", labelled("type", "virtual-kubelet"), aci), false, true, ""},
		"a virtual node known by its taint alone":             {placed(everything), node("n1", aci), false, true, ""},
		"Fargate, though every taint is tolerated":            {placed(everything), node("n1", labelled("eks.amazonaws.com/compute-type", "fargate"), fargate), false, true, ""},
		"another compute type of EKS":                         {placed(), node("n1", labelled("eks.amazonaws.com/compute-type", "ec2")), true, true, ""},
		"another type":                                        {placed(), node("n1", labelled("type", "metal")), true, true, ""},
		"a virtual node that a toleration names":              {placed(tolerating(corev1.Toleration{Key: "virtual-kubelet.io/provider", Operator: exists})), node("n1", aci), true, true, ""},
		"a virtual node that the selector names":              {placed(everything, selecting("type", "virtual-kubelet")), node("n1", labelled("type", "virtual-kubelet"), aci), true, true, ""},
		"a virtual node that affinity names":                  {placed(everything, requiring("type", corev1.NodeSelectorOpIn, "virtual-kubelet", "metal")), node("n1", labelled("type", "virtual-kubelet"), aci), true, true, ""},
		"a virtual node that affinity only does not shut out": {placed(everything, requiring("type", corev1.NodeSelectorOpNotIn, "metal")), node("n1", labelled("type", "virtual-kubelet"), aci), false, true, ""},
		"a virtual node that is named, but its taint is not":  {placed(selecting("type", "virtual-kubelet")), node("n1", labelled("type", "virtual-kubelet"), aci), false, false, "virtual-kubelet.io/provider=azure:NoSchedule"},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := c.placement.Eligible(c.node); got != c.eligible {
				t.Errorf("eligible is %t, want %t", got, c.eligible)
			}
			schedulable, taint := c.placement.Schedulable(c.node)
			if schedulable != c.schedulable || taint != c.taint {
				t.Errorf("schedulable is %t for %q, want %t for %q", schedulable, taint, c.schedulable, c.taint)
			}
		})
	}
}

func TestLostAndWon(t *testing.T) {
	nodes := []*corev1.Node{
		node("a2"), node("a1"), node("b2", labelled("zone", "b")), node("b1", labelled("zone", "b")),
		node("gpu", labelled("zone", "c"), tainted("dedicated", "gpu", corev1.TaintEffectNoSchedule)),
		node("going", labelled("zone", "c"), tainted("ToBeDeletedByClusterAutoscaler", "1", corev1.TaintEffectNoSchedule)),
		node("out", labelled("zone", "d"), tainted("node.kubernetes.io/out-of-service", "", corev1.TaintEffectNoExecute)),
	}
	all := tolerating(corev1.Toleration{Operator: corev1.TolerationOpExists})
	for sentence, c := range map[string]struct {
		before, after Placement
		lost, won     []string
	}{
		"the same placement":                            {placed(), placed(), nil, nil},
		"a selector that comes":                         {placed(), placed(selecting("zone", "a")), []string{"b1", "b2", "going", "out"}, nil},
		"a selector that goes":                          {placed(selecting("zone", "b")), placed(), nil, []string{"a1", "a2", "going", "out"}},
		"from one zone to another":                      {placed(selecting("zone", "a")), placed(selecting("zone", "b")), []string{"a1", "a2"}, []string{"b1", "b2"}},
		"a toleration wins a node with a lasting taint": {placed(), placed(all), nil, []string{"gpu"}},
		"a passing taint makes no difference":           {placed(selecting("zone", "c")), placed(selecting("zone", "c"), all), nil, []string{"gpu"}},
		"a toleration that goes loses agents at once":   {placed(selecting("zone", "d"), all), placed(selecting("zone", "d")), []string{"out"}, nil},
		"another toleration that no node asks for":      {placed(), placed(tolerating(corev1.Toleration{Key: "x", Operator: corev1.TolerationOpExists})), nil, nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			var lost, won []string
			for _, n := range Join(nodes, nil, c.before.Towards(c.after), nil, nil) {
				switch {
				case n.Lost && !n.Won:
					lost = append(lost, n.Name)
				case n.Won && !n.Lost && !n.Eligible:
					won = append(won, n.Name)
				}
			}
			if d := cmp.Diff([][]string{c.lost, c.won}, [][]string{lost, won}); d != "" {
				t.Errorf("lost and won (-want +got):\n%s", d)
			}
		})
	}
}
