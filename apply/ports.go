package apply

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/rollcall-dev/rollcall/diff"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// Clashes are the DaemonSets that Git declares no more and that have a host port
// which a declared one wants, as after a change of name: on no node can both run.
// Whose template cannot be read clashes with none.
func Clashes(declared []render.DaemonSet, former []diff.Former) []diff.Clash {
	var out []diff.Clash
	for _, f := range former {
		var old appsv1.DaemonSet
		if f.ID.Group != appsv1.GroupName || f.ID.Kind != "DaemonSet" || f.Live == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(f.Live.Object, &old) != nil {
			continue
		}
		taken := hostPorts(&old.Spec.Template.Spec)
		for _, ds := range declared {
			var next appsv1.DaemonSet
			if runtime.DefaultUnstructuredConverter.FromUnstructured(ds.Object.Object, &next) != nil {
				continue
			}
			wanted := hostPorts(&next.Spec.Template.Spec)
			if i := slices.IndexFunc(wanted, func(p hostPort) bool { return slices.Contains(taken, p) }); i >= 0 {
				out = append(out, diff.Clash{ID: f.ID, With: diff.IDOf(ds.Unstructured), Port: wanted[i].port})
				break
			}
		}
	}
	return out
}

// hostPort is a port of the node. One of one address of it counts as one of all.
type hostPort struct {
	port     int32
	protocol corev1.Protocol
}

func hostPorts(spec *corev1.PodSpec) []hostPort {
	var out []hostPort
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, p := range c.Ports {
			port := p.HostPort
			if spec.HostNetwork {
				port = p.ContainerPort
			}
			if p.Protocol == "" {
				p.Protocol = corev1.ProtocolTCP
			}
			if port > 0 {
				out = append(out, hostPort{port, p.Protocol})
			}
		}
	}
	return out
}
