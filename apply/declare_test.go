package apply

import "testing"

// The name that the API server makes up for a dry-run is nobody's to look for.
func TestWithoutProbe(t *testing.T) {
	t.Parallel()
	in := `dry-run: daemonsets.apps "rollcall-dry-run-mkmxr" is forbidden: exceeded quota`
	if got, want := withoutProbe(in, "log-agent"), `dry-run: daemonsets.apps "log-agent" is forbidden: exceeded quota`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
