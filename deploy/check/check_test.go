package check

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// update says that golden files are rewritten.
var update = flag.Bool("update", false, "rewrite the golden files")

// The versions of the programs that the tests install.
const (
	helmModule       = "helm.sh/helm/v4/cmd/helm@v4.3.1"
	goreleaserModule = "github.com/goreleaser/goreleaser/v2@v2.15.0" // later ones need modules that not every proxy has
)

// commandTime bounds one command. The first run compiles the tools.
const commandTime = 40 * time.Minute

// deploy and repository are absolute paths.
var (
	deploy     = must(filepath.Abs(".."))
	repository = must(filepath.Abs("../.."))
)

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}

// command is a program that runs to its end.
type command struct {
	dir  string
	env  []string
	argv []string
}

// output runs the command and returns what it writes to both outputs.
func (c command) output() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(c.argv, " "), err, out)
	}
	return string(out), err
}

// run runs the command and returns what it writes. The test fails if the command does.
func (c command) run(t testing.TB) string {
	t.Helper()
	out, err := c.output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// goTool returns the path of a program that is built from a Go module, once for each version.
func goTool(t testing.TB, module string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	name, version, _ := strings.Cut(module, "@")
	name = filepath.Base(strings.TrimSuffix(name, "/v2"))
	folder := filepath.Join(cache, "gatehouse-e2e", name+"-"+version)
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		command{env: []string{"GOWORK=off", "GOFLAGS=", "GOBIN=" + folder}, argv: []string{"go", "install", module}}.run(t)
	}
	return path
}

// debianTool returns the path of a program, and installs its package if the tests run as root.
// It returns "" if neither is possible.
func debianTool(t testing.TB, name, pkg string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return ""
	}
	command{argv: []string{"apt-get", "update", "-qq"}}.run(t)
	command{
		env:  []string{"DEBIAN_FRONTEND=noninteractive"},
		argv: []string{"apt-get", "install", "-y", "-qq", "--no-install-recommends", pkg},
	}.run(t)
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// gatehouse returns the path of the program, which is built once.
func gatehouse(t testing.TB) string {
	t.Helper()
	path, err := buildGatehouse()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildGatehouse = sync.OnceValues(func() (string, error) {
	path := filepath.Join(temporary, "gatehouse")
	_, err := command{dir: repository, env: []string{"GOWORK="}, argv: []string{"go", "build", "-o", path, "./cmd/gatehouse"}}.output()
	return path, err
})

// temporary is a folder that TestMain removes.
var temporary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "gatehouse-deploy-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		temporary = folder
		return m.Run()
	}())
}

// read returns the content of a file below deploy.
func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// golden compares text with a file below testdata.
func golden(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -run %s -update makes it", err, t.Name())
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s is out of date; run go test -run %s -update (-want +got):\n%s", path, t.Name(), diff)
	}
}

// writeFile writes a file below a folder, and returns its path.
func writeFile(t testing.TB, folder, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}
