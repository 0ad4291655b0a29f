//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// python returns the Python program of a virtual environment with the packages of one of the
// requirements files. Version 1 and version 2 of the SDK have the same name, so each has an
// environment of its own.
func python(t testing.TB, install func() (string, error)) string {
	t.Helper()
	program, err := install()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var (
	installPythonV1 = sync.OnceValues(func() (string, error) { return installPython("requirements-v1.txt") })
	installPythonV2 = sync.OnceValues(func() (string, error) { return installPython("requirements-v2.txt") })
)

// installPython installs the packages of a requirements file in a virtual environment, unless
// it did so before, and returns the Python of that environment.
func installPython(requirements string) (program string, err error) {
	folder := filepath.Join(repository, "e2e")
	want, err := os.ReadFile(filepath.Join(folder, requirements))
	if err != nil {
		return "", err
	}
	environment := filepath.Join(folder, ".venv", strings.TrimSuffix(requirements, ".txt"))
	program = filepath.Join(environment, "bin", "python")
	stamp := filepath.Join(environment, ".gatehouse-e2e")
	installed, err := os.ReadFile(stamp)
	if err == nil && bytes.Equal(installed, want) && exec.Command(program, "--version").Run() == nil {
		return program, nil
	}
	system, err := findPython()
	if err != nil {
		return "", err
	}
	if err := install(folder, system, "-m", "venv", "--clear", environment); err != nil {
		return "", err
	}
	if err := install(folder, program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
		"--require-hashes", "--only-binary", ":all:", "--requirement", requirements); err != nil {
		return "", err
	}
	return program, os.WriteFile(stamp, want, 0o644)
}

// wantPython is the oldest version of Python for which the requirements files name packages.
var wantPython = [2]int{3, 11}

// findPython returns the program of a Python that is new enough and can make virtual
// environments. Debian has the latter in a package of its own.
var findPython = sync.OnceValues(func() (string, error) {
	if program := os.Getenv("PYTHON"); program != "" {
		return program, checkPython(program)
	}
	const program = "python3"
	err := checkPython(program)
	if err == nil {
		return program, nil
	}
	if debianErr := installDebian("python3-venv"); debianErr != nil {
		return "", fmt.Errorf("%w: %w", err, debianErr)
	}
	return program, checkPython(program)
})

// checkPython checks that the tests can make virtual environments with a program.
func checkPython(program string) error {
	err := probePython(program)
	if err != nil {
		return fmt.Errorf("%w; want Python %d.%d or newer with the modules venv and ensurepip; put python3 on PATH, "+
			"or set PYTHON to its program (Debian: apt-get install python3-venv)", err, wantPython[0], wantPython[1])
	}
	return nil
}

func probePython(program string) error {
	out, err := exec.Command(program, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w%s", program, err, bytes.TrimRight(append([]byte("\n"), out...), "\n"))
	}
	var version [2]int
	if _, err := fmt.Sscan(string(out), &version[0], &version[1]); err != nil {
		return fmt.Errorf("reading the version of %s from %q: %w", program, out, err)
	}
	if version[0] < wantPython[0] || version[0] == wantPython[0] && version[1] < wantPython[1] {
		return fmt.Errorf("%s is Python %d.%d", program, version[0], version[1])
	}
	return nil
}
