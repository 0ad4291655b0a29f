//go:build unix

package teststore

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program returns the path of a program: the one on PATH, or that of Debian's package, which is
// installed if the test runs as root. path is where the package has it, as a pattern of
// [filepath.Glob]; empty means a folder of PATH.
func Program(t testing.TB, name, debian, path string) string {
	t.Helper()
	if found := find(name, path); found != "" {
		return found
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		t.Fatalf("%s is not installed; install it (Debian: apt-get install %s)", name, debian)
	}
	for _, args := range [][]string{{"update", "-qq"}, {"install", "-y", "-qq", "--no-install-recommends", debian}} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	found := find(name, path)
	if found == "" {
		t.Fatalf("Debian's package %s has no program %s", debian, name)
	}
	return found
}

func find(name, path string) string {
	if path != "" {
		if found, _ := filepath.Glob(path); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return found
}

// RedisServer returns the path of redis-server.
func RedisServer(t testing.TB) string { return Program(t, "redis-server", "redis-server", "") }

// Initdb returns the path of PostgreSQL's initdb, in whose folder the other programs are.
func Initdb(t testing.TB) string {
	return Program(t, "initdb", "postgresql", "/usr/lib/postgresql/*/bin/initdb")
}
