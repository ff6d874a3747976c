package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// bareFolder and cloneFolder are the folders of Options.Dir: the first is served.
	bareFolder  = "served"
	cloneFolder = "clones"

	branch = "main"
)

// Repo is a served repository with a working clone, in which a test acts as the people who push. It pushes through
// the file system, so that it can while the server is stopped, and its pushes are not counted.
type Repo struct {
	// URL is where the server serves the repository.
	URL string
	// Dir is the working clone, on branch main.
	Dir string

	commits int
}

// NewRepo makes an empty repository of that name and a clone of it.
func (s *Server) NewRepo(ctx context.Context, name string) (*Repo, error) {
	bare := filepath.Join(s.opts.Dir, bareFolder, name+".git")
	r := &Repo{URL: s.RepoURL(name), Dir: filepath.Join(s.opts.Dir, cloneFolder, name)}
	for _, dir := range []string{bare, r.Dir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("create repository %s: %w", name, err)
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch", branch, bare},
		// As the large Git services do: a client may ask for any commit that a branch or tag leads to.
		{"--git-dir", bare, "config", "uploadpack.allowReachableSHA1InWant", "true"},
		{"--git-dir", bare, "config", "uploadpack.allowFilter", "true"},
		{"init", "--quiet", "--initial-branch", branch},
		{"remote", "add", "origin", bare},
		// As a clone of a repository that has the branch: a plain git push works.
		{"config", "branch." + branch + ".remote", "origin"},
		{"config", "branch." + branch + ".merge", "refs/heads/" + branch},
	} {
		if _, err := r.Git(ctx, args...); err != nil {
			return nil, fmt.Errorf("create repository %s: %w", name, err)
		}
	}
	return r, nil
}

// Write writes a file of the clone and the folders that it needs.
func (r *Repo) Write(path, content string) error {
	full := filepath.Join(r.Dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Remove removes a file or folder of the clone, which must exist.
func (r *Repo) Remove(path string) error {
	full := filepath.Join(r.Dir, path)
	if _, err := os.Lstat(full); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if err := os.RemoveAll(full); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// Commit commits the clone as it is, even if nothing has changed, and returns the commit. Author and dates depend only
// on how many commits were made before, so that the same steps give the same commits.
func (r *Repo) Commit(ctx context.Context, message string) (sha string, err error) {
	if _, err := r.Git(ctx, "add", "--all"); err != nil {
		return "", err
	}
	r.commits++
	if _, err := r.Git(ctx, "commit", "--quiet", "--allow-empty", "--message", message); err != nil {
		return "", err
	}
	return r.Git(ctx, "rev-parse", "HEAD")
}

// Push pushes branch main and all tags.
func (r *Repo) Push(ctx context.Context) error {
	_, err := r.Git(ctx, "push", "--quiet", "--tags", "origin", branch)
	return err
}

// ForcePush does the same to a history that is not a descendant of what is served.
func (r *Repo) ForcePush(ctx context.Context) error {
	_, err := r.Git(ctx, "push", "--quiet", "--force", "--tags", "origin", branch)
	return err
}

// Git runs git in the clone and returns what it prints, for all that the other methods do not do.
func (r *Repo) Git(ctx context.Context, args ...string) (string, error) {
	date := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.commits) * time.Minute).Format(time.RFC3339)
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = r.Dir
	command.Env = append(append(os.Environ(), hermetic()...),
		"GIT_AUTHOR_NAME=Ada Author", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE="+date,
		"GIT_COMMITTER_NAME=Carl Committer", "GIT_COMMITTER_EMAIL=carl@example.com", "GIT_COMMITTER_DATE="+date)
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("run git %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("run git %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// hermetic is the environment in which git reads no configuration of this machine and never asks a question.
func hermetic() []string {
	return []string{"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_TERMINAL_PROMPT=0"}
}
