package apply

import (
	"fmt"
	"regexp"
	"strings"
)

// immutable is whether an answer of the API server says that a field cannot be changed. It
// has no reason for that, and each kind says it in its own words.
func immutable(err error) bool {
	return regexp.MustCompile(`field is immutable|may not change once set|is immutable after creation|cannot change roleRef|may not be changed in an update|[uU]pdates to [a-z]+ spec for fields other than|updates to [a-zA-Z]+ are forbidden`).MatchString(err.Error())
}

// deleteCommand deletes an object, so that the next pass makes it again.
func deleteCommand(kind, namespace, name string) string {
	command := fmt.Sprintf("kubectl delete %s %s", strings.ToLower(kind), name)
	if namespace != "" {
		command += " -n " + namespace
	}
	return command
}
