//go:build e2e

// Package e2e tests Gatehouse with real clients over real sockets, from the first 401 to a
// tool that knows its caller. The clients are the published ones, in Go, in Node, in Python
// and in Chromium. Only the user who signs in is simulated.
//
// The tests install what they need: npm packages in this folder with "npm ci", a newer Node
// as one of these packages if the installed Node is too old, Python packages in virtual
// environments in the folder .venv, and Chromium and Debian's python3-venv with apt-get if
// the tests run as root. A test fails if something that it needs is still missing, and
// names it.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	// buildTime bounds the builds of the programs, stepTime one step of a client.
	buildTime = 5 * time.Minute
	stepTime  = 2 * time.Minute
)

// Absolute paths of the repository, and of the programs that TestMain builds.
var (
	repository          string
	gatehouseProgram    string
	exampleOrganization string
	exampleClerk        string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "gatehouse-e2e-")
	if err == nil {
		defer os.RemoveAll(folder)
		err = build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	failed, stop, err := readOutput()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	status := m.Run()
	stop()
	fmt.Print(results.String())
	fmt.Print(failed.String())
	return status
}

// build builds the programs under test, once for all tests.
func build(folder string) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	repository = filepath.Dir(here)
	gatehouseProgram = filepath.Join(folder, "gatehouse")
	exampleClerk = filepath.Join(folder, "example-clerk")
	exampleOrganization = filepath.Join(folder, "example-organization")
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	for program, source := range map[string]string{
		gatehouseProgram:    "./cmd/gatehouse",
		exampleClerk:        "./examples/clerk",
		exampleOrganization: "./examples/organization",
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", program, source)
		cmd.Dir = repository
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", source, err, out)
		}
	}
	return nil
}
