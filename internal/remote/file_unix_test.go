//go:build unix

package remote_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

// Reading a named pipe would wait for another process to open it.
func TestSavedFileIsANamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := remote.LoadFile(path, docURL, 1<<10)
	checkErr(t, "LoadFile", err, "want a regular file")
}
