package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	t.Parallel()
	noise := strings.Repeat("I0101 00:00:00 all is well\n", 1000)
	for sentence, c := range map[string]struct{ log, want string }{
		"a panic is what counts, not the stacks of others": {noise + "panic: tx closed\n\ngoroutine 1:\n" + noise, "panic: tx closed"},
		"the runtime's own":          {noise + "fatal error: concurrent map writes\n" + noise, "fatal error: concurrent"},
		"a word about panic is none": {noise + "E0101 no panic: yet\n", "I0101 00:00:00 all is well"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(log, []byte(c.log), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := lastWords(log); !strings.Contains(got, c.want) || len(got) > 4096 || strings.HasPrefix(c.want, "panic") != strings.HasPrefix(got, "panic") {
				t.Errorf("%d bytes, beginning with %q, want %q in 4096", len(got), got[:min(len(got), 80)], c.want)
			}
		})
	}
}
