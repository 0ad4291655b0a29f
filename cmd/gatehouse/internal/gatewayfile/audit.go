package gatewayfile

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// CheckOnly makes the loader leave no new file behind. It is for commands that read the file of a
// gateway that runs as another user: an audit log that root has made cannot be written by the
// gateway. It must be called before [Loader.Load].
func (l *Loader) CheckOnly() { l.checkOnly = true }

// ReopenAuditFiles opens the audit files at their paths again, so that a file that was renamed gets
// no more events. A file that cannot be opened is an error, and events go on to the old one.
// It may be called while events are written and the file is loaded.
func (l *Loader) ReopenAuditFiles() error { return l.audits.reopen() }

// auditLogger returns where audit events are written, or nil.
func (b *builder) auditLogger() *slog.Logger {
	a := b.file.Audit
	switch {
	case a == nil:
		return nil
	case a.File == "":
		return b.logger
	}
	logger, err := b.audits.logger(a.File, b.checkOnly)
	if err != nil {
		b.report(a.lineOf("file"), fmt.Sprintf("file %q cannot be opened: %v", a.File, withoutPath(err)),
			"check the path and the permissions")
	}
	return logger
}

// audits are the audit logs that a loader has opened, by path. The zero value has none.
type audits struct {
	mu      sync.Mutex
	loggers map[string]*slog.Logger
	files   []*auditFile
}

// logger returns the logger of a path, or of standard output if the path is "-". It is the same each
// time. With checkOnly, a file that did not exist before is removed again.
func (a *audits) logger(path string, checkOnly bool) (*slog.Logger, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if logger := a.loggers[path]; logger != nil {
		return logger, nil
	}
	if a.loggers == nil {
		a.loggers = map[string]*slog.Logger{}
	}
	if path == "-" {
		a.loggers[path] = slog.New(slog.NewJSONHandler(os.Stdout, nil))
		return a.loggers[path], nil
	}
	_, missing := os.Lstat(path)
	f, err := openAuditFile(path)
	if err != nil {
		return nil, err
	}
	if checkOnly && errors.Is(missing, fs.ErrNotExist) {
		f.close()
		os.Remove(path)
	} else {
		a.files = append(a.files, f)
	}
	a.loggers[path] = slog.New(slog.NewJSONHandler(f, nil))
	return a.loggers[path], nil
}

func (a *audits) reopen() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, f := range a.files {
		errs = append(errs, f.reopen())
	}
	return errors.Join(errs...)
}

func (a *audits) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.files {
		f.close()
	}
}

// auditFile is a file to which events are appended, and that can be opened again at its path. Its
// methods may be called at the same time.
type auditFile struct {
	path string
	mu   sync.Mutex
	file *os.File
}

func openAuditFile(path string) (*auditFile, error) {
	f := &auditFile{path: path}
	return f, f.reopen()
}

// Write appends one event.
func (f *auditFile) Write(event []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(event)
}

func (f *auditFile) reopen() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		f.file.Close()
	}
	f.file = file
	return nil
}

func (f *auditFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file.Close()
}
