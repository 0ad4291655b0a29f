// Package atomicfile replaces files in one step.
package atomicfile

import (
	"os"
	"path/filepath"
)

// Write replaces the file at path, or creates it, with mode 0600. A reader sees the
// old content or the new, never a part of it, also after a crash: Write writes a
// hidden temporary file in the same folder, flushes it to the disk and renames it
// over path. If any step fails, Write removes the temporary file and leaves path as
// it was. A symbolic link at path is itself replaced.
//
// Of concurrent calls for one path, the last to finish wins. The folder must exist.
func Write(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
