package render

// references calls rename for each name of a ConfigMap or Secret that the pods of a DaemonSet read, and puts
// its result in place of the name: volumes, projected volumes, env and envFrom of containers and init
// containers. Names of registry credentials and of what CSI drivers read are left alone: the agent itself
// does not see them.
func references(daemonSet map[string]any, rename func(kind, name string) string) {
	pod := child(daemonSet, "spec", "template", "spec")
	for _, volume := range children(pod, "volumes") {
		renameIn(child(volume, "configMap"), "name", "ConfigMap", rename)
		renameIn(child(volume, "secret"), "secretName", "Secret", rename)
		for _, source := range children(child(volume, "projected"), "sources") {
			renameIn(child(source, "configMap"), "name", "ConfigMap", rename)
			renameIn(child(source, "secret"), "name", "Secret", rename)
		}
	}
	for _, list := range []string{"initContainers", "containers"} {
		for _, container := range children(pod, list) {
			for _, env := range children(container, "env") {
				renameIn(child(env, "valueFrom", "configMapKeyRef"), "name", "ConfigMap", rename)
				renameIn(child(env, "valueFrom", "secretKeyRef"), "name", "Secret", rename)
			}
			for _, from := range children(container, "envFrom") {
				renameIn(child(from, "configMapRef"), "name", "ConfigMap", rename)
				renameIn(child(from, "secretRef"), "name", "Secret", rename)
			}
		}
	}
}

func renameIn(source map[string]any, field, kind string, rename func(kind, name string) string) {
	if name, ok := source[field].(string); ok && name != "" {
		source[field] = rename(kind, name)
	}
}

// child follows the fields down; it is nil where one of them is missing or no mapping.
func child(node map[string]any, fields ...string) map[string]any {
	for _, field := range fields {
		node, _ = node[field].(map[string]any)
	}
	return node
}

// children returns the mappings of a list.
func children(node map[string]any, field string) []map[string]any {
	list, _ := node[field].([]any)
	found := make([]map[string]any, 0, len(list))
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}
