//go:build providers && unix

package providers

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goProgram is a program that is built from a Go module of a module proxy.
type goProgram struct {
	name    string // of the program and of its cache folder
	module  string // path and version: "example.com/m/v2@v2.3.0"
	pkg     string // import path of the command
	replace string // replace directives of the module, which a build from outside does not read
	tags    string // build tags, separated by commas
}

// version returns the version of the module.
func (p goProgram) version() string {
	_, version, _ := strings.Cut(p.module, "@")
	return version
}

// build builds the program unless an earlier run did, and returns its path.
func (p goProgram) build(t testing.TB) string {
	t.Helper()
	folder := cacheFolder(t, p.name)
	program := filepath.Join(folder, p.name)
	goMod := "module build\n\ngo 1.26\n\ntool " + p.pkg + "\n\n" +
		"require " + strings.Replace(p.module, "@", " ", 1) + "\n\n" + p.replace
	installed(t, folder, []byte(goMod+p.tags), func() {
		requireProgram(t, "gcc", "build-essential")
		if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte(goMod), 0o644); err != nil {
			t.Fatal(err)
		}
		goBuild(t, folder, map[string]string{"GOFLAGS": "-mod=mod"}, "-tags="+p.tags, "-o", program, p.pkg)
	})
	return program
}

// gitProgram is a program that is built from a tag of a Git repository, because no version
// of its module with that tag exists.
type gitProgram struct {
	name       string // of the program and of its cache folder
	repository string // URL
	tag        string
	pkg        string // folder of the command in the repository: "./cmd/name"
	ldflags    string
}

// source returns the folder of the repository's files at the tag.
func (p gitProgram) source(t testing.TB) string {
	t.Helper()
	requireProgram(t, "git", "git")
	folder := cacheFolder(t, p.name)
	source := filepath.Join(folder, p.tag)
	installed(t, folder, []byte(p.repository+" "+p.tag), func() {
		if err := os.RemoveAll(source); err != nil {
			t.Fatal(err)
		}
		run(t, folder, "git", "clone", "--quiet", "--depth=1", "--branch="+p.tag, p.repository, source)
	})
	return source
}

// build builds the program unless an earlier run did, and returns its path.
func (p gitProgram) build(t testing.TB) string {
	t.Helper()
	source := p.source(t)
	program := filepath.Join(source, "gatehouse-e2e-"+p.name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	goBuild(t, source, nil, "-ldflags="+p.ldflags, "-o", program, p.pkg)
	return program
}

// goBuild runs "go build" in a folder that does not belong to this workspace.
func goBuild(t testing.TB, folder string, env map[string]string, args ...string) {
	t.Helper()
	argv := []string{"env", "GOWORK=off"}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		argv = append(argv, name+"="+env[name])
	}
	run(t, folder, append(append(argv, "go", "build", "-buildvcs=false"), args...)...)
}
