package remote

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/atomicfile"
)

const (
	maxFileOverhead = 16 << 10        // what a saved file may hold in addition to the body
	maxClockStep    = 5 * time.Minute // that the date of a saved copy may be in the future

	writableByOthers fs.FileMode = 0o022

	rootUser = 0 // whose files every process can trust: root can change the process itself
)

var errNoFile = errors.New("no saved copy")

// savedFile is the file that holds the last valid copy. With an empty path, nothing is
// saved.
type savedFile struct {
	path, url string
	maxBytes  int64 // of the body

	// ownerOf returns the user ID of a file's owner, or false on a system without one.
	ownerOf func(fs.FileInfo) (uid int, ok bool)

	mu            sync.Mutex // held while writing
	savedSequence uint64     // of the copy in the file
}

// fileContent is the JSON in the file.
type fileContent struct {
	URL       string    `json:"url"`
	FetchedAt time.Time `json:"fetched_at"`
	SHA256    []byte    `json:"sha256"` // of Body
	Body      []byte    `json:"body"`
}

// load returns the copy in the file, without Sequence and Expires. It checks neither
// the age nor the content of the body. The error is errNoFile if there is no file.
func (s *savedFile) load() (Copy, error) {
	if s.path == "" {
		return Copy{}, errNoFile
	}
	text, err := s.read()
	if err != nil {
		return Copy{}, err
	}
	var content fileContent
	if err := json.Unmarshal(text, &content); err != nil {
		return Copy{}, fmt.Errorf("file is damaged: %w", err)
	}
	sum := sha256.Sum256(content.Body)
	switch {
	case content.URL != s.url:
		return Copy{}, fmt.Errorf("file holds a copy of %q, want %q", content.URL, s.url)
	case string(content.SHA256) != string(sum[:]):
		return Copy{}, errors.New("file is damaged: checksum differs")
	case int64(len(content.Body)) > s.maxBytes:
		return Copy{}, fmt.Errorf("body is %d bytes, want at most %d", len(content.Body), s.maxBytes)
	}
	return Copy{Body: content.Body, FetchedAt: content.FetchedAt}, nil
}

func (s *savedFile) read() ([]byte, error) {
	f, err := os.OpenFile(s.path, os.O_RDONLY|nonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoFile
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	limit := 2*s.maxBytes + maxFileOverhead // base64 needs 4/3 of maxBytes
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("file is a %s, want a regular file", info.Mode().Type())
	case info.Mode().Perm()&writableByOthers != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("file mode is %#o, others may write it; want 0600", info.Mode().Perm())
	case info.Size() > limit:
		return nil, fmt.Errorf("file is %d bytes, want at most %d", info.Size(), limit)
	}
	if err := s.checkOwner(info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// checkOwner rejects a file that belongs neither to the user of the process nor to root.
// Its owner can write it, whatever its mode, and so could choose the keys that verify
// tokens. In a folder that all users share, such as /tmp, anyone can create the file first.
func (s *savedFile) checkOwner(info fs.FileInfo) error {
	uid, ok := s.ownerOf(info)
	if user := processUser(); ok && uid != user && uid != rootUser {
		return fmt.Errorf("file belongs to user %d; want %d, the user of this process, or root", uid, user)
	}
	return nil
}

// save replaces the copy in the file, unless the file holds a newer one already.
func (s *savedFile) save(c Copy) error {
	if s.path == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Sequence <= s.savedSequence {
		return nil
	}
	sum := sha256.Sum256(c.Body)
	text, err := json.Marshal(fileContent{
		URL:       s.url,
		FetchedAt: c.FetchedAt.UTC(),
		SHA256:    sum[:],
		Body:      c.Body,
	})
	if err != nil {
		return err
	}
	if err := atomicfile.Write(s.path, text); err != nil {
		return err
	}
	s.savedSequence = c.Sequence
	return nil
}
