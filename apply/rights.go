package apply

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// denied is a right that the API server says somebody lacks.
type denied struct {
	user, verb, resource, group, namespace string
}

// deniedIn reads what right is missing from an answer (apiserver,
// pkg/endpoints/handlers/responsewriters/errors.go).
func deniedIn(words string) (denied, bool) {
	found := regexp.MustCompile(`[Uu]ser "([^"]+)" cannot ([a-z]+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`).FindStringSubmatch(words)
	if found == nil {
		return denied{}, false
	}
	return denied{user: found[1], verb: found[2], resource: found[3], group: found[4], namespace: found[5]}, true
}

// String says of it what can be shown of any object.
func (d denied) String() string {
	where := "at the cluster scope"
	if d.namespace != "" {
		where = fmt.Sprintf("in the namespace %q", d.namespace)
	}
	return fmt.Sprintf("User %q cannot %s resource %q in API group %q %s", d.user, d.verb, d.resource, d.group, where)
}

// grant is how an administrator gives the right to a ServiceAccount, with what else
// is needed to keep an object of the kind as Git declares it; empty for users of
// another sort.
func (d denied) grant() string {
	parts := strings.Split(d.user, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" {
		return ""
	}
	namespace, name := parts[2], parts[3]
	kind, scope := "clusterrole", ""
	if d.namespace != "" {
		kind, scope = "role", " -n "+d.namespace
	}
	role := name + "-" + strings.ReplaceAll(d.resource, "/", "-")
	resource := d.resource
	if d.group != "" {
		resource, _, _ = strings.Cut(resource, "/")
		resource += "." + d.group + strings.TrimPrefix(d.resource, resource)
	}
	return fmt.Sprintf("kubectl create %[1]s %[2]s%[3]s --verb=%[4]s --resource=%[5]s && kubectl create %[1]sbinding %[2]s%[3]s --%[1]s=%[2]s --serviceaccount=%[6]s:%[7]s",
		kind, role, scope, strings.Join(d.verbs(), ","), strings.TrimSuffix(resource, "."), namespace, name)
}

// verbs are those that an account needs. Who may list or watch Secrets reads all of
// them, so these are asked about one by one.
func (d denied) verbs() []string {
	out := []string{"get", "list", "watch", "create", "patch", "delete"}
	switch {
	case d.verb == "impersonate":
		return []string{d.verb}
	case d.group == "" && d.resource == "secrets":
		out = []string{"get", "create", "patch", "delete"}
	}
	if !slices.Contains(out, d.verb) {
		out = append(out, d.verb)
	}
	return out
}
