package main

import (
	"fmt"
	"os"

	"github.com/rollcall-dev/rollcall/sync/git"
)

// Variables of the environment that hold what a repository asks for, and those that name files with it.
const (
	envUsername   = "ROLLCALL_GIT_USERNAME"
	envPassword   = "ROLLCALL_GIT_PASSWORD"
	envToken      = "ROLLCALL_GIT_TOKEN"
	envIdentity   = "ROLLCALL_GIT_IDENTITY_FILE"
	envKnownHosts = "ROLLCALL_GIT_KNOWN_HOSTS_FILE"
	envCA         = "ROLLCALL_GIT_CA_FILE"
)

// sourceOf is a repository with the credentials of the environment. An ssh URL takes nothing from ~/.ssh but what the
// variables name, as the controller would.
func sourceOf(url string, insecureHTTP bool) (git.Source, error) {
	source := git.Source{URL: url, InsecureHTTP: insecureHTTP, Auth: git.Auth{
		Username: os.Getenv(envUsername), Password: os.Getenv(envPassword), BearerToken: os.Getenv(envToken),
	}}
	identity, err := fileOf(envIdentity)
	if err != nil {
		return source, err
	}
	source.Auth.Identity = string(identity)
	if source.KnownHosts, err = fileOf(envKnownHosts); err != nil {
		return source, err
	}
	source.CA, err = fileOf(envCA)
	return source, err
}

// fileOf is the content of the file that a variable names; nil when it is not set.
func fileOf(variable string) ([]byte, error) {
	name := os.Getenv(variable)
	if name == "" {
		return nil, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the file of %s: %w", variable, err)
	}
	return content, nil
}
