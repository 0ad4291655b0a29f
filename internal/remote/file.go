package remote

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

const (
	maxEnvelope = 16 << 10 // what a kept file holds besides the body
	othersWrite = 0o022
)

var errNoFile = errors.New("no copy on disk")

// keptFile is the last good copy on disk. The zero value, without a path,
// keeps nothing.
type keptFile struct {
	path, url string
	maxBytes  int64
	loaded    bool // guarded by Document.mu

	mu    sync.Mutex // one writer
	saved uint64     // Sequence of the copy on disk
}

// envelope is the content of the file.
type envelope struct {
	URL         string    `json:"url"`
	FetchedAt   time.Time `json:"fetched_at"`
	ContentType string    `json:"content_type,omitempty"`
	ETag        string    `json:"etag,omitempty"`
	SHA256      []byte    `json:"sha256"` // of Body
	Body        []byte    `json:"body"`
}

// load returns the copy on disk, without Sequence and Expires. It does not
// judge its age or its body.
func (k *keptFile) load() (Copy, error) {
	if k.path == "" {
		return Copy{}, errNoFile
	}
	text, err := k.read()
	if err != nil {
		return Copy{}, err
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return Copy{}, fmt.Errorf("file is damaged: %w", err)
	}
	sum := sha256.Sum256(e.Body)
	switch {
	case e.URL != k.url:
		return Copy{}, fmt.Errorf("file holds a copy of %q, want %q", e.URL, k.url)
	case string(e.SHA256) != string(sum[:]):
		return Copy{}, errors.New("file is damaged: checksum differs")
	case int64(len(e.Body)) > k.maxBytes:
		return Copy{}, fmt.Errorf("body is %d bytes, want at most %d", len(e.Body), k.maxBytes)
	}
	return Copy{
		Body:        e.Body,
		ContentType: bounded(e.ContentType),
		ETag:        bounded(e.ETag),
		FetchedAt:   e.FetchedAt,
	}, nil
}

func (k *keptFile) read() ([]byte, error) {
	f, err := os.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoFile
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	limit := 2*k.maxBytes + maxEnvelope // base64 takes 4/3
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("file is a %s, want a regular file", info.Mode().Type())
	case info.Mode().Perm()&othersWrite != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("file mode is %#o, others may write it; want 0600", info.Mode().Perm())
	case info.Size() > limit:
		return nil, fmt.Errorf("file is %d bytes, want at most %d", info.Size(), limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// save replaces the copy on disk, unless a newer one is there already.
func (k *keptFile) save(c Copy) error {
	if k.path == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.Sequence <= k.saved {
		return nil
	}
	sum := sha256.Sum256(c.Body)
	text, err := json.Marshal(envelope{
		URL:         k.url,
		FetchedAt:   c.FetchedAt.UTC(),
		ContentType: c.ContentType,
		ETag:        c.ETag,
		SHA256:      sum[:],
		Body:        c.Body,
	})
	if err != nil {
		return err
	}
	if err := replaceFile(k.path, text); err != nil {
		return err
	}
	k.saved = c.Sequence
	return nil
}

// replaceFile writes a new file of mode 0600 beside path and renames it over
// path, so that a reader sees the old text or the new one, never half.
func replaceFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
