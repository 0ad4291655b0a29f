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

// goBuild runs "go build" in a folder that does not belong to this workspace.
func goBuild(t testing.TB, folder string, env map[string]string, args ...string) {
	t.Helper()
	argv := []string{"env", "GOWORK=off"}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		argv = append(argv, name+"="+env[name])
	}
	run(t, folder, append(append(argv, "go", "build", "-buildvcs=false"), args...)...)
}
