package main

import (
	"bytes"
	"cmp"
	"context"
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
)

const (
	maxSignInFile  = 256 << 10 // bytes; a sign-in takes two or three thousand
	maxSignInFiles = 1000
	lockPoll       = 20 * time.Millisecond
	lockPatience   = time.Minute // more than one refresh may take, see httpTimeout

	privateDir  fs.FileMode = 0o700
	privateFile fs.FileMode = 0o600
	others      fs.FileMode = 0o077
)

// account says who signs in where: sign-ins of different accounts are kept
// apart. The zero value of a field means that the choice was not made.
type account struct {
	Resource     string `json:"resource"`               // the URL of the MCP endpoint, as typed
	User         string `json:"user,omitempty"`         // --user, at a local Clerk
	Organization string `json:"organization,omitempty"` // --org, at a local Clerk
	ClientID     string `json:"client_id,omitempty"`    // --client-id
}

// kept is one sign-in on disk: the registered client, and its tokens if they
// were not given up. There is one file for each account and issuer.
type kept struct {
	Account            account   `json:"account"`
	Issuer             string    `json:"issuer"`
	Client             client    `json:"client"`
	TokenEndpoint      string    `json:"token_endpoint,omitempty"`
	TokenEndpointStyle int       `json:"token_endpoint_style,omitempty"` // an oauth2.AuthStyle
	RevocationEndpoint string    `json:"revocation_endpoint,omitempty"`
	Tokens             *tokens   `json:"tokens,omitempty"`
	SavedAt            time.Time `json:"saved_at"`
}

// tokens are what the token endpoint answered.
type tokens struct {
	Access  secret    `json:"access_token"`
	Type    string    `json:"token_type,omitempty"`
	Refresh secret    `json:"refresh_token,omitempty"`
	Expiry  time.Time `json:"expiry,omitzero"` // zero: not told
	Scope   string    `json:"scope,omitempty"` // what was granted, or asked for where the answer did not say
}

// store keeps sign-ins in a directory that only its owner can read. Files are
// replaced in one step, so that a reader sees the old or the new one and an
// interrupted write leaves nothing behind; of two programs that write at the
// same time the last one wins, with a sign-in that works. Only a refresh needs
// more: see [store.lock].
type store struct {
	dir string
	con *console
}

// openStore returns the store of this user, which may not exist yet.
func openStore(con *console) (*store, error) {
	dir, err := con.configDir()
	if err != nil {
		return nil, fail("set HOME or XDG_CONFIG_HOME: sign-ins are kept there", "finding the place for sign-ins: %w", err)
	}
	return &store{dir: filepath.Join(dir, "gatehouse"), con: con}, nil
}

// path returns the file of a sign-in: the host for people, a hash for the rest.
func (s *store) path(a account, issuer string) string {
	host := "server"
	if u, err := url.Parse(a.Resource); err == nil && u.Host != "" {
		host = strings.Map(fileLetter, u.Host)
	}
	id := sha256.Sum256([]byte(strings.Join([]string{a.Resource, a.User, a.Organization, a.ClientID, issuer}, "\x00")))
	return filepath.Join(s.dir, fmt.Sprintf("%.64s-%s.json", host, hex.EncodeToString(id[:8])))
}

func fileLetter(r rune) rune {
	if r == '.' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '-'
}

// load returns the sign-in of an account at an issuer, or nil if none is kept.
func (s *store) load(a account, issuer string) (*kept, error) {
	k, err := s.read(s.path(a, issuer))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if k.Account != a || k.Issuer != issuer {
		return nil, nil
	}
	return k, nil
}

// find returns the newest sign-in of an account at any issuer, or nil.
func (s *store) find(a account) (*kept, error) {
	all, err := s.at(a.Resource)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.Account == a {
			return k, nil
		}
	}
	return nil, nil
}

// at returns every sign-in at a resource, the newest first. Files that cannot be
// read are named to the user and left out.
func (s *store) at(resource string) ([]*kept, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kept sign-ins: %w", err)
	}
	var found []*kept
	files := 0
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".json" {
			continue
		}
		if files++; files > maxSignInFiles {
			return nil, fail("delete the ones you do not need", "%q holds more than %d sign-ins", s.dir, maxSignInFiles)
		}
		path := filepath.Join(s.dir, entry.Name())
		k, err := s.read(path)
		if err != nil {
			s.con.note("warning: leaving out the sign-in in %q: %v", path, err)
			continue
		}
		if k.Account.Resource == resource {
			found = append(found, k)
		}
	}
	slices.SortStableFunc(found, func(a, b *kept) int { return cmp.Compare(b.SavedAt.UnixNano(), a.SavedAt.UnixNano()) })
	return found, nil
}

func (s *store) read(path string) (*kept, error) {
	if err := s.guard(s.dir, privateDir); err != nil {
		return nil, err
	}
	if err := s.guard(path, privateFile); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSignInFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSignInFile {
		return nil, fmt.Errorf("file is longer than %d bytes", maxSignInFile)
	}
	return decodeKept(data)
}

// decodeKept reads what [store.save] wrote.
func decodeKept(data []byte) (*kept, error) {
	var k kept
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&k); err != nil {
		return nil, fmt.Errorf("file is not the JSON that gatehouse writes: %w", err)
	}
	if k.Account.Resource == "" || k.Issuer == "" || k.Client.ID == "" {
		return nil, errors.New("file names no resource, issuer or client")
	}
	return &k, nil
}

// guard takes away what permissions others have on path, and says so. A path
// that is not there, or on a system without such permissions, is fine.
func (s *store) guard(path string, want fs.FileMode) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() != (want == privateDir) || info.Mode()&(fs.ModeSymlink|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return fmt.Errorf("%q is a %s, want a plain file in a plain directory", path, info.Mode().Type())
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&others == 0 {
		return nil
	}
	if err := os.Chmod(path, want); err != nil {
		return err
	}
	s.con.note("warning: %q had mode %04o, which lets other users in; made it %04o; if somebody may have read it, sign out with --logout",
		path, info.Mode().Perm(), want)
	return nil
}

// save writes a sign-in in the place of the one that was kept.
func (s *store) save(k *kept) error {
	k.SavedAt = time.Now().UTC()
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping the sign-in: %w", err)
	}
	if err := s.replace(s.path(k.Account, k.Issuer), append(data, '\n')); err != nil {
		return fmt.Errorf("keeping the sign-in: %w", err)
	}
	return nil
}

func (s *store) replace(path string, data []byte) (err error) {
	if err := s.makeDir(); err != nil {
		return err
	}
	file, err := os.CreateTemp(s.dir, filepath.Base(path)+".new*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func (s *store) makeDir() error {
	if err := os.MkdirAll(s.dir, privateDir); err != nil {
		return err
	}
	return s.guard(s.dir, privateDir)
}

// remove forgets a sign-in. One that is not kept is forgotten already.
func (s *store) remove(k *kept) error {
	path := s.path(k.Account, k.Issuer)
	err := os.Remove(path)
	if lockErr := os.Remove(path + ".lock"); !errors.Is(lockErr, fs.ErrNotExist) {
		err = errors.Join(err, lockErr)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting the sign-in: %w", err)
	}
	return nil
}

// lock waits until no other program refreshes the tokens of a sign-in, and keeps
// others from it until unlock is called or this program ends. Two programs that
// spent one refresh token would look like a thief and its victim to an
// authorization server that rotates them, and lose the sign-in (OAuth 2.1,
// section 4.3.1).
func (s *store) lock(ctx context.Context, a account, issuer string) (unlock func(), err error) {
	if err := s.makeDir(); err != nil {
		return nil, fmt.Errorf("locking the sign-in: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		unlock, busy, err := tryLock(s.path(a, issuer) + ".lock")
		if err != nil {
			return nil, fmt.Errorf("locking the sign-in: %w", err)
		}
		if !busy {
			return unlock, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another gatehouse to refresh the sign-in: %w", ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}
