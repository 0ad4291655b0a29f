//go:build e2e

// Package e2e drives real clients through the whole of Gatehouse over real
// sockets: from a 401 to a tool that knows who called. The clients are those
// that people use, in Go, in Node and in Chromium, each as its makers publish
// it; only the person who signs in is played.
//
// The tests install what they need: npm packages in this folder by "npm ci", a
// newer Node from one of them where the installed one is too old, and Chromium
// with apt-get where that may be done. What is then still missing fails the test
// that needs it, and is named.
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
	// buildTime bounds building the programs, stepTime one step of a client.
	buildTime = 5 * time.Minute
	stepTime  = 2 * time.Minute
)

// What TestMain built, as absolute paths.
var (
	repository   string
	gatehouse    string
	exampleClerk string
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
	status := m.Run()
	fmt.Print(results.String())
	return status
}

// build builds the programs under test once for all tests.
func build(folder string) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	repository = filepath.Dir(here)
	gatehouse = filepath.Join(folder, "gatehouse")
	exampleClerk = filepath.Join(folder, "example-clerk")
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	for program, source := range map[string]string{gatehouse: "./cmd/gatehouse", exampleClerk: "./examples/clerk"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", program, source)
		cmd.Dir = repository
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", source, err, out)
		}
	}
	return nil
}
