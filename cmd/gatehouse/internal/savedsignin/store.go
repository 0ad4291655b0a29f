package savedsignin

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/atomicfile"
)

const (
	maxFileSize = 256 << 10 // bytes; a sign-in takes two or three thousand
	maxFiles    = 1000

	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	otherUsers fs.FileMode = 0o077 // the permissions of everyone but the owner
)

// Store keeps sign-ins in a directory that only its owner can read. It replaces a file
// in one step: a reader sees the old content or the new one, and an interrupted write
// leaves the old one. If two programs write at the same time, the last one wins, with
// a sign-in that works. A refresh needs more than that: see [Store.Lock].
type Store struct {
	dir  string
	warn func(format string, args ...any)
}

// NewStore returns a store in the directory dir, which may not exist yet. It reports
// to warn what it ignores or repairs.
func NewStore(dir string, warn func(format string, args ...any)) *Store {
	return &Store{dir: dir, warn: warn}
}

// path returns the file of a sign-in. Its name has the host, so that users recognize
// it, and a hash of everything that identifies the sign-in.
func (s *Store) path(a Account, issuer string) string {
	host := "server"
	if u, err := url.Parse(a.Resource); err == nil && u.Host != "" {
		host = strings.Map(fileNameRune, u.Host)
	}
	id := sha256.Sum256([]byte(strings.Join([]string{a.Resource, a.User, a.Organization, a.ClientID, issuer}, "\x00")))
	return filepath.Join(s.dir, fmt.Sprintf("%.64s-%s.json", host, hex.EncodeToString(id[:8])))
}

func fileNameRune(r rune) rune {
	if r == '.' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '-'
}

// Load returns the sign-in of an account at an issuer, or nil if there is none.
func (s *Store) Load(a Account, issuer string) (*SignIn, error) {
	saved, err := s.read(s.path(a, issuer))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if saved.Account != a || saved.Issuer != issuer {
		return nil, nil
	}
	return saved, nil
}

// Newest returns the newest sign-in of an account at any issuer, or nil if there is
// none.
func (s *Store) Newest(a Account) (*SignIn, error) {
	all, err := s.List(a.Resource)
	if err != nil {
		return nil, err
	}
	for _, saved := range all {
		if saved.Account == a {
			return saved, nil
		}
	}
	return nil, nil
}

// Covered returns the newest sign-in with tokens of each account at a.Resource that a
// covers, other than a itself.
func (s *Store) Covered(a Account) ([]*SignIn, error) {
	all, err := s.List(a.Resource)
	if err != nil {
		return nil, err
	}
	var found []*SignIn
	for _, saved := range all {
		known := slices.ContainsFunc(found, func(other *SignIn) bool { return other.Account == saved.Account })
		if saved.Tokens != nil && saved.Account != a && a.Covers(saved.Account) && !known {
			found = append(found, saved)
		}
	}
	return found, nil
}

// List returns every sign-in to a resource, the newest first. It warns about files
// that it cannot read, and leaves them out.
func (s *Store) List(resource string) ([]*SignIn, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the saved sign-ins: %w", err)
	}
	var found []*SignIn
	files := 0
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".json" {
			continue
		}
		if files++; files > maxFiles {
			return nil, failure.New("delete those that you do not need", "%q has more than %d sign-ins", s.dir, maxFiles)
		}
		path := filepath.Join(s.dir, entry.Name())
		saved, err := s.read(path)
		if err != nil {
			s.warn("warning: ignoring the sign-in in %q: %v", path, err)
			continue
		}
		if saved.Account.Resource == resource {
			found = append(found, saved)
		}
	}
	slices.SortStableFunc(found, func(a, b *SignIn) int { return cmp.Compare(b.SavedAt.UnixNano(), a.SavedAt.UnixNano()) })
	return found, nil
}

func (s *Store) read(path string) (*SignIn, error) {
	if err := s.restrict(s.dir, dirMode); err != nil {
		return nil, err
	}
	if err := s.restrict(path, fileMode); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("file is longer than %d bytes", maxFileSize)
	}
	return Decode(data)
}

// restrict removes the permissions that other users have on path, and warns about
// them. It does nothing if path does not exist, or on Windows, which has no such
// permissions.
func (s *Store) restrict(path string, want fs.FileMode) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() != (want == dirMode) || info.Mode()&(fs.ModeSymlink|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return fmt.Errorf("%q has type %s, want a regular file in a regular directory", path, info.Mode().Type())
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&otherUsers == 0 {
		return nil
	}
	if err := os.Chmod(path, want); err != nil {
		return err
	}
	s.warn(
		"warning: %q had mode %04o, which gives other users access; changed it to %04o; if someone may have read it, "+
			"sign out with --logout",
		path, info.Mode().Perm(), want)
	return nil
}

// Save writes a sign-in, and replaces the one of the same account and issuer. It sets
// SavedAt.
func (s *Store) Save(saved *SignIn) error {
	saved.SavedAt = time.Now().UTC()
	data, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return fmt.Errorf("saving the sign-in: %w", err)
	}
	if err := s.makeDir(); err != nil {
		return fmt.Errorf("saving the sign-in: %w", err)
	}
	if err := atomicfile.Write(s.path(saved.Account, saved.Issuer), append(data, '\n')); err != nil {
		return fmt.Errorf("saving the sign-in: %w", err)
	}
	return nil
}

func (s *Store) makeDir() error {
	if err := os.MkdirAll(s.dir, dirMode); err != nil {
		return err
	}
	return s.restrict(s.dir, dirMode)
}

// Remove deletes a sign-in. It returns no error if there is none.
func (s *Store) Remove(saved *SignIn) error {
	path := s.path(saved.Account, saved.Issuer)
	err := os.Remove(path)
	if lockErr := os.Remove(path + lockSuffix); !errors.Is(lockErr, fs.ErrNotExist) {
		err = errors.Join(err, lockErr)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting the saved sign-in: %w", err)
	}
	return nil
}
