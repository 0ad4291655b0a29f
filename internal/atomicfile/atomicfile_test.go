package atomicfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/atomicfile"
)

// fileNames returns the names of what is in dir.
func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestWrite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(path string) error
	}{
		{"no file", func(string) error { return nil }},
		{"longer file", func(path string) error { return os.WriteFile(path, []byte("the old content"), 0o600) }},
		{"file that others can read", func(path string) error { return os.WriteFile(path, []byte("old"), 0o644) }},
		{"read-only file", func(path string) error { return os.WriteFile(path, []byte("old"), 0o400) }},
		{"link without a target", func(path string) error { return os.Symlink(path+"-target", path) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys.json")
			if err := tt.before(path); err != nil {
				t.Fatal(err)
			}
			if err := atomicfile.Write(path, []byte("new")); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "new" {
				t.Errorf("file holds %q, %v, want %q", got, err, "new")
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
				t.Errorf("mode is %s, want a regular file with mode 0600", info.Mode())
			}
			if got := fileNames(t, filepath.Dir(path)); !slices.Equal(got, []string{"keys.json"}) {
				t.Errorf("folder holds %q, want only the file", got)
			}
		})
	}
}

func TestFailedWriteLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	if err := os.MkdirAll(filepath.Join(path, "folder"), 0o700); err != nil { // cannot be renamed over
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("new")); err == nil {
		t.Error("Write over a folder returned no error")
	}
	if got := fileNames(t, dir); !slices.Equal(got, []string{"keys.json"}) {
		t.Errorf("folder holds %q, want only what was there before", got)
	}
	if err := atomicfile.Write(filepath.Join(dir, "missing", "keys.json"), []byte("new")); !os.IsNotExist(err) {
		t.Errorf("Write in a folder that does not exist: %v, want a not-exist error", err)
	}
}

func TestReadersNeverSeeAPart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	contents := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 50_000)}
	if err := atomicfile.Write(path, contents[0]); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, content := range contents {
		writers.Go(func() {
			for range 20 {
				if err := atomicfile.Write(path, content); err != nil && runtime.GOOS != "windows" {
					t.Error(err)
				}
			}
		})
	}
	for range 100 {
		got, err := os.ReadFile(path)
		if err != nil && runtime.GOOS != "windows" {
			t.Error(err)
		}
		if err == nil && !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Errorf("read %d bytes, want the whole content of one Write", len(got))
		}
	}
	writers.Wait()
	if got := fileNames(t, filepath.Dir(path)); !slices.Equal(got, []string{"keys.json"}) {
		t.Errorf("folder holds %q, want only the file", got)
	}
}
