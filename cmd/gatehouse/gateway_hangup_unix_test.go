//go:build unix

package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// lineWriter sends each line that is written to it.
type lineWriter chan string

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

// TestHangup checks that SIGHUP makes a new audit file where the old one was renamed, and does not
// end the process. A folder in its place is logged.
func TestHangup(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "audit.jsonl")
	file := filepath.Join(folder, "gateway.yaml")
	text := fmt.Sprintf(`provider: {name: oidc, issuer: "https://issuer.example.com"}
audit: {file: %q}
endpoints: [{url: "https://mcp.example.com/mcp", upstream: "http://localhost:8000"}]
`, path)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := make(lineWriter, 10)
	logger := slog.New(slog.NewTextHandler(lines, nil))
	loader := gatewayfile.NewLoader(file, &env.Env{}, logger)
	defer loader.Close()
	if _, err := loader.Load(); err != nil {
		t.Fatal(err)
	}
	defer reopenOnHangup(loader, logger)()
	hangup := func(want string) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case line := <-lines:
			if !strings.Contains(line, want) {
				t.Errorf("got the log line %q, want %q", line, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing was logged")
		}
	}
	os.Rename(path, path+".1")
	hangup("audit files opened again")
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	os.Rename(path, path+".2")
	os.Mkdir(path, 0o700)
	hangup("level=ERROR msg=\"audit file not opened again")
}
