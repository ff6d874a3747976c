package e2e

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const withConfig = `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: example-daemonset
  labels:
    app: example
spec:
  selector:
    matchLabels:
      app: example
  template:
    metadata:
      labels:
        app: example
    spec:
      terminationGracePeriodSeconds: 1
      volumes:
      - name: config
        configMap:
          name: agent-config
      containers:
      - name: example-container
        image: example-image:v1
        volumeMounts:
        - name: config
          mountPath: /etc/agent
`

func config(level string) string {
	return `apiVersion: v1
kind: ConfigMap
metadata:
  name: agent-config
data:
  level: ` + level + "\n"
}

func TestConfigRollsInWavesAndOldCopiesAreprunedAfterProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9)
	w.policy(quick())
	first := w.push("first", map[string]string{"daemonset.yaml": withConfig, "config.yaml": config("info")})
	w.follow()
	w.waitProven(first, time.Minute)
	mounts := func() map[string]int {
		out := map[string]int{}
		for _, p := range w.pods() {
			out[p.Spec.Volumes[0].ConfigMap.Name]++
		}
		return out
	}
	before := mounts()
	r := record(t, w.cluster.Client)

	second := w.push("debug", map[string]string{"config.yaml": config("debug")})
	w.poke()
	w.waitProven(second, time.Minute)

	after := mounts()
	if len(before) != 1 || len(after) != 1 {
		t.Fatalf("pods mount %v, then %v: want one copy each", before, after)
	}
	for name := range before {
		if after[name] > 0 {
			t.Errorf("after the change pods still mount %s", name)
		}
	}
	r.wantWorst(t, 3)
	list, err := w.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	w.must(err, "list ConfigMaps")
	for _, cm := range list.Items {
		t.Logf("%s immutable=%v %v", cm.Name, cm.Immutable != nil && *cm.Immutable, cm.Data["level"])
	}
}
