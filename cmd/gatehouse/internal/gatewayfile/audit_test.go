package gatewayfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// auditText is a file with an audit log at path.
func auditText(path string) string { return fmt.Sprintf("audit: {file: %q}\n", path) + minimal }

// event writes an audit event as the guard does.
func event(t *testing.T, l *Loader, message string) {
	t.Helper()
	loaded, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	loaded.Gateway.Endpoints[0].Guard.AuditLogger.Info(message)
}

// content returns the events of a file, or "" if the file does not exist.
func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// TestCheckOnlyAudit checks that a check leaves no audit file behind, which the user of the gateway
// could not write if root has made it, and that it leaves an existing one as it is.
func TestCheckOnlyAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	exists := func() bool { _, err := os.Lstat(path); return err == nil }
	load := func(check bool) {
		l := newTestLoader(t, auditText(path), nil)
		if check {
			l.CheckOnly()
		}
		if _, err := l.Load(); err != nil {
			t.Error(err)
		}
		l.Close()
	}
	if load(true); exists() {
		t.Error("a check made the audit file")
	}
	if load(false); !exists() {
		t.Error("the gateway did not make the audit file")
	}
	write(t, path, "old\n")
	if load(true); content(t, path) != "old\n" {
		t.Errorf("a check changed the audit file to %q", content(t, path))
	}
}

// renamedAuditFile returns a loader whose audit log at path has the event "first", and was renamed to
// old as programs do that rotate logs.
func renamedAuditFile(t *testing.T) (l *Loader, path, old string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.jsonl")
	old = path + ".1"
	l = newTestLoader(t, auditText(path), nil)
	event(t, l, "first")
	if err := os.Rename(path, old); err != nil {
		t.Skip("an open file cannot be renamed here:", err)
	}
	return l, path, old
}

// TestReopenAuditFiles checks in which file events are, before and after the files are opened again.
func TestReopenAuditFiles(t *testing.T) {
	l, path, old := renamedAuditFile(t)
	event(t, l, "second")
	if err := l.ReopenAuditFiles(); err != nil {
		t.Fatal(err)
	}
	event(t, l, "third")
	if got := content(t, old); !strings.Contains(got, "first") || !strings.Contains(got, "second") || strings.Contains(got, "third") {
		t.Errorf("the renamed file has %s", got)
	}
	if got := content(t, path); strings.Count(got, "\n") != 1 || !strings.Contains(got, "third") {
		t.Errorf("the new file has %s", got)
	}
}

// TestReopenAuditFilesFails checks that events go on to the old file if the new one cannot be
// opened.
func TestReopenAuditFilesFails(t *testing.T) {
	l, path, old := renamedAuditFile(t)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.ReopenAuditFiles(); err == nil {
		t.Error("a folder was opened as a file")
	}
	event(t, l, "second")
	if got := content(t, old); !strings.Contains(got, "second") {
		t.Errorf("the old file has %s", got)
	}
}

// TestAuditFileFault checks that a file that cannot be opened is one fault, not another of a key
// that no one wrote.
func TestAuditFileFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "audit.jsonl")
	got := faultsOf(t, auditText(path))
	if len(got) != 1 || !strings.HasPrefix(got[0], "1: file ") || !strings.HasSuffix(got[0], "; check the path and the permissions") {
		t.Errorf("got %q, want the audit file alone", got)
	}
}
