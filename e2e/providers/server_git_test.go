//go:build providers && sources && unix

package providers

import (
	"os"
	"path/filepath"
	"testing"
)

// The build tag sources selects the servers that are built from a Git repository:
//
//	go test -tags providers,sources ./e2e/providers
//
// They need more than the module proxy, so the tag providers alone leaves them out. Git's
// setting url.MIRROR.insteadOf takes the sources from a mirror.

// gitProgram is a program that is built from a tag of a Git repository, because no version
// of its module with that tag exists.
type gitProgram struct {
	name       string // of the program and of its cache folder
	repository string // URL
	tag        string
	pkg        string // folder of the command in the repository: "./cmd/name"
	tags       string // build tags, separated by commas
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
	goBuild(t, source, nil, "-tags="+p.tags, "-ldflags="+p.ldflags, "-o", program, p.pkg)
	return program
}
