package render_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// commitOf commits files to a repository of its own and reads the commit as the controller does. A file whose text
// begins with "-> " is a symbolic link, and one of the text "module" is a submodule.
func commitOf(t *testing.T, files map[string]string) *git.Snapshot {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "-q")
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "-> "); link {
			err = os.Symlink(target, file)
		} else if content != "module" {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run("add", "-A")
	for name, content := range files {
		if content == "module" {
			run("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("a", 40)+","+name)
		}
	}
	run("commit", "-q", "-m", "x")
	snapshot, err := git.Local(filepath.Join(dir, ".git"), run("rev-parse", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// TestWhatIsNoFileIsNeverSkipped reaches symbolic links, submodules and files of Git LFS in every way in which a build
// reaches a file.
func TestWhatIsNoFileIsNeverSkipped(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	strange := map[string]struct {
		content string
		reason  git.Reason
	}{
		"a symbolic link":           {"-> real.yaml", git.SymlinkUnsupported},
		"a link that leads nowhere": {"-> nowhere", git.SymlinkUnsupported},
		"a link to a directory":     {"-> ../real", git.SymlinkUnsupported},
		"a link out of the tree":    {"-> /etc", git.SymlinkUnsupported},
		"a submodule":               {"module", git.SubmoduleUnsupported},
		"Git LFS":                   {pointer, git.LFSUnsupported},
	}
	ways := map[string]string{
		"a plain directory":               "",
		"a resource":                      "resources: [strange.yaml]\n",
		"a resource in another directory": "resources: [../other/strange.yaml]\n",
		"a resource of a base":            "resources: [../other]\n",
		"a base":                          "resources: [../strange]\n",
		"a component":                     "components: [../strange]\n",
		"below it":                        "resources: [../strange/real.yaml]\n",
		"a patch":                         "resources: [real.yaml]\npatches: [{path: strange.yaml}]\n",
		"an old kind of patch":            "resources: [real.yaml]\npatchesStrategicMerge: [strange.yaml]\n",
		"a file of a generator":           "configMapGenerator: [{name: g, files: [strange.yaml]}]\n",
		"a file of a secret":              "secretGenerator: [{name: g, files: [key=../other/strange.yaml]}]\n",
		"variables of a generator":        "configMapGenerator: [{name: g, envs: [strange.yaml]}]\n",
		"a replacement":                   "resources: [real.yaml]\nreplacements: [{path: strange.yaml}]\n",
		"a transformer":                   "resources: [real.yaml]\ntransformers: [strange.yaml]\n",
		"a configuration":                 "resources: [real.yaml]\nconfigurations: [strange.yaml]\n",
		"a schema":                        "resources: [real.yaml]\nopenapi: {path: strange.yaml}\n",
	}
	for what, s := range strange {
		for way, fields := range ways {
			t.Run(way+": "+what, func(t *testing.T) {
				t.Parallel()
				files := map[string]string{
					"prod/real.yaml": object, "prod/strange.yaml": s.content, "other/strange.yaml": s.content, "other/kustomization.yaml": "resources: [strange.yaml]\n",
					"real/real.yaml": object, "real/kustomization.yaml": "resources: [real.yaml]\n", "strange": s.content,
				}
				if fields != "" {
					files["prod/kustomization.yaml"] = fields
				}
				declared, err := render.Build(commitOf(t, files), render.Options{Path: "prod"})
				if err == nil {
					t.Fatalf("it declares %d objects", len(declared.Objects))
				}
				// A file of Git LFS is no directory, whatever its content is.
				if !errors.Is(err, s.reason) && (s.reason != git.LFSUnsupported || strings.Contains(fields, "strange.yaml")) {
					t.Errorf("%v has not the reason %s", err, s.reason)
				}
				if !strings.Contains(err.Error(), "strange") {
					t.Errorf("%v does not name the file", err)
				}
			})
		}
	}
}

// TestAPathThroughALink asks for directories that lie behind links and submodules, or are such.
func TestAPathThroughALink(t *testing.T) {
	snapshot := commitOf(t, map[string]string{
		"real/prod/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "link": "-> real", "real/link": "-> prod", "module": "module",
		"kustomized/kustomization.yaml": "-> ../real/prod/a.yaml", "kustomized/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
	})
	for path, reason := range map[string]git.Reason{
		"link/prod": git.SymlinkUnsupported, "link": git.SymlinkUnsupported, "real/link": git.SymlinkUnsupported, "link/nowhere": git.SymlinkUnsupported,
		"module": git.SubmoduleUnsupported, "module/prod": git.SubmoduleUnsupported, "kustomized": git.SymlinkUnsupported,
	} {
		declared, err := render.Build(snapshot, render.Options{Path: path})
		if !errors.Is(err, reason) || declared != nil {
			t.Errorf("path %s gives %v, %v; want %s", path, declared, err, reason)
		}
	}
	// What is left out by name is no matter.
	if _, err := render.Build(snapshot, render.Options{Path: "real", Ignore: []string{"/real/link"}}); err != nil {
		t.Errorf("with the link left out: %v", err)
	}
}
