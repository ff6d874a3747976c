package health

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Node is one node as one DaemonSet sees it, with the DaemonSet's pods on it.
type Node struct {
	Name string
	UID  types.UID
	// Groups are the values of the policy's groupBy labels, in their order.
	Groups []string
	// Labels are the node's own. They belong to whoever watches it: read only.
	Labels map[string]string
	// Created is when the Node object was made.
	Created time.Time
	// Ready is the node's Ready condition; ReadySince is when it last changed.
	Ready      bool
	ReadySince time.Time
	// Unreported nodes have a kubelet that says nothing: Ready is Unknown, or not
	// there yet.
	Unreported bool
	// Cordoned nodes still get agents, but are no canaries.
	Cordoned bool
	// Leaving nodes were announced to go: cordoned, being deleted, or tainted
	// by an autoscaler.
	Leaving bool
	// Held nodes carry the label rollcall.dev/hold: "true".
	Held bool
	// Eligible nodes should have an agent: selector and affinity match, no lasting
	// taint keeps it out, and the node is not virtual unless that is asked for.
	Eligible bool
	// Lost nodes are eligible by the version that is proven and not by the one on its
	// way, and Won nodes the other way round: whoever takes one in makes it eligible.
	Lost, Won bool
	// Virtual nodes stand for a service that runs pods one by one, and are eligible only
	// for a DaemonSet that asks for them. A pod that one is to have is not put there.
	Virtual bool
	// Schedulable nodes would get a new pod from the DaemonSet controller now.
	// Deleting the agent of a node that is not leaves it with none.
	Schedulable bool
	// Taint is what makes an eligible node unschedulable, as key=value:effect.
	Taint string
	// Agents are the DaemonSet's pods for this node, oldest first.
	Agents []Agent
}

// Agent is one pod of the DaemonSet, bound to a node or meant for it.
type Agent struct {
	Name string
	UID  types.UID
	// Version is its resourceVersion.
	Version string
	// Digest of the template it was made from; empty when that is neither the
	// proven nor the candidate one.
	Digest string
	// Revision is its controller-revision-hash label.
	Revision string
	Created  time.Time
	// Gated pods still carry rollcall's scheduling gate: they run nowhere.
	Gated bool
	// Unbound pods are meant for the node, and no scheduler has put them there.
	Unbound bool
	// Terminating pods have been deleted but are not gone; Deleted is when that was
	// asked for.
	Terminating bool
	Deleted     time.Time
	// Ready is the pod's Ready condition; ReadySince is when it last changed.
	Ready      bool
	ReadySince time.Time
	// Failed is whether the pod's phase is Failed.
	Failed bool
	// Restarts over all containers, init containers too.
	Restarts int32
	// Trouble is the worst waiting or terminated reason of a container, or why
	// the pod cannot be scheduled; empty when there is none.
	Trouble Trouble
}

// Trouble is why a pod does not run, in the words of the API.
type Trouble struct {
	Reason  string
	Message string
}

// Agent returns the pod that serves the node: the oldest that is not
// terminating, or nil.
func (n *Node) Agent() *Agent {
	for i := range n.Agents {
		if !n.Agents[i].Terminating {
			return &n.Agents[i]
		}
	}
	return nil
}

// Pod returns the node's pod with that UID, or nil.
func (n *Node) Pod(uid types.UID) *Agent {
	for i := range n.Agents {
		if n.Agents[i].UID == uid {
			return &n.Agents[i]
		}
	}
	return nil
}

// Present is whether the node has a Ready agent that is not on its way out.
func (n *Node) Present() bool {
	a := n.Agent()
	return n.Ready && a != nil && a.Ready && !a.Gated
}
