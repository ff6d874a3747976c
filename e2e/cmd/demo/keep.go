package main

import (
	"cmp"
	"os/exec"
	"strings"
)

// try is a command that is worth trying.
type try struct {
	what, command string
}

// tries are five commands that end by themselves, to be run in their order, with
// KUBECONFIG set and in the repository's top folder. Who has no kubectl gets those
// of rollcall alone.
func tries(clone string, kubectl bool) []try {
	push := try{"push a version that crash-loops, and watch it stop at its canaries",
		"(cd " + clone + " && sed -i 's/image:.*/image: " + image + ":bad/' " + manifestFile + " && git commit -qam 'Try bad' && git push -q)"}
	grid := try{"the node grid of rollcall itself (--watch redraws it)", "bin/rollcall status"}
	pause := try{"stop every replacement; resume goes on", "bin/rollcall pause " + daemonSet}
	if !kubectl {
		return []try{
			grid,
			push,
			{"what is moving, how far, and why not further, for a script", "bin/rollcall status -o yaml"},
			pause,
			{"go on after the pause", "bin/rollcall resume " + daemonSet},
		}
	}
	return []try{
		{"what is moving, how far, and why not further", "kubectl get gsync,nroll -A"},
		push,
		grid,
		{"take a node its agent, in the middle of a rollout too: it comes back proven",
			"kubectl delete pod -l app=example --field-selector spec.nodeName=" + oneOfNodes},
		pause,
	}
}

// hasKubectl is whether kubectl is on the PATH.
func hasKubectl() bool {
	_, err := exec.LookPath("kubectl")
	return err == nil
}

// invitation says how to use what is running.
func invitation(st style, kubeconfig, url, clone string, kubectl bool) string {
	var b strings.Builder
	say := func(label, text string) {
		b.WriteString(margin + st.paint(bold, pad(label, 12)) + text + "\n")
	}
	b.WriteString(margin + "All of it runs on until Ctrl-C. In another terminal, in this folder:\n\n")
	say("cluster", "export KUBECONFIG="+kubeconfig)
	say("Git", url)
	say("clone", clone)
	b.WriteString("\n" + margin + st.paint(bold, "Where to look") + ", commit by commit (kubectl is yours to bring):\n\n")
	for _, a := range acts() {
		b.WriteString(margin + margin + pad(cmp.Or(a.label, "revert"), 8) + a.look + "\n")
	}
	b.WriteString("\n" + margin + st.paint(bold, "Worth trying") + ":\n")
	for _, t := range tries(clone, kubectl) {
		b.WriteString("\n" + margin + st.paint(dim, "# "+t.what) + "\n" + margin + t.command + "\n")
	}
	return b.String()
}
