package remote_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

// saveDocument fetches a document once and returns the file in which it is saved.
func saveDocument(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	d := newIssuer(validDoc).open(t, func(cfg *remote.Config) { cfg.File = path })
	_, err := d.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	return path
}

func TestSavedFileServesDuringAnOutage(t *testing.T) {
	edit := func(change func(map[string]any)) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var e map[string]any
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			change(e)
			text, err = json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, string(text))
		}
	}
	age := func(d time.Duration) func(*testing.T, string) {
		return func(*testing.T, string) { time.Sleep(d) }
	}
	for _, tc := range []struct {
		name    string
		mutate  func(t *testing.T, path string)
		wantLog string // "" if the saved copy is served
	}{
		{"control", age(0), ""},
		{"23 h old", age(23 * time.Hour), ""},
		{"rewritten unchanged", edit(func(map[string]any) {}), ""},

		{"24 h old", age(24 * time.Hour), "copy is 24h0m0s old, want less than 24h0m0s"},
		{
			"dated in the future",
			edit(func(e map[string]any) { e["fetched_at"] = time.Now().Add(time.Hour) }),
			"in the future",
		},
		{"no date", edit(func(e map[string]any) { delete(e, "fetched_at") }), "want less than 24h0m0s"},
		{
			"of another URL",
			edit(func(e map[string]any) { e["url"] = "https://other.example/" }),
			`holds a copy of \"https://other.example/\"`,
		},
		{"another body", edit(func(e map[string]any) { e["body"] = []byte(`{"keys":[1]}`) }), "checksum differs"},
		{"not a JSON object", edit(func(e map[string]any) {
			sum := sha256.Sum256([]byte("[]"))
			e["body"], e["sha256"] = []byte("[]"), sum[:]
		}), "body is not a JSON object"},
		{"no checksum", edit(func(e map[string]any) { delete(e, "sha256") }), "checksum differs"},
		{"broken off", func(t *testing.T, path string) { write(t, path, `{"url":"ht`) }, "file is damaged"},
		{"empty", func(t *testing.T, path string) { write(t, path, "") }, "file is damaged"},
		{"too large", func(t *testing.T, path string) { write(t, path, strings.Repeat(" ", 3<<20)) }, "want at most"},
		{"writable by others", func(t *testing.T, path string) {
			if runtime.GOOS == "windows" {
				t.Skip("Windows has no such mode")
			}
			if err := os.Chmod(path, 0o622); err != nil {
				t.Fatal(err)
			}
		}, "others may write it"},
		{"a directory", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "want a regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := saveDocument(t)
				tc.mutate(t, path)
				i := newIssuer(validDoc)
				i.down()
				var log bytes.Buffer
				d := i.open(t, func(cfg *remote.Config) {
					cfg.File = path
					cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				c, err := d.Get(t.Context())
				synctest.Wait()
				if tc.wantLog == "" {
					wantBody(t, c, err, validDoc)
					return
				}
				wantUnavailable(t, err, "connection refused")
				if !strings.Contains(log.String(), tc.wantLog) {
					t.Errorf("log is\n%s\nwant %q", &log, tc.wantLog)
				}
			})
		})
	}
}

// A file is believed only if its owner is the user of the process or root. Another user
// could have put keys of their own into it.
func TestSavedFileOfAnotherUser(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no user IDs")
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := remote.SaveFile(path, docURL, remote.Copy{Body: []byte(validDoc), Sequence: 1}); err != nil {
		t.Fatal(err)
	}
	own := os.Geteuid()
	for _, tc := range []struct {
		name    string
		owner   int
		known   bool
		wantErr string
	}{
		{"control: the user of the process", own, true, ""},
		{"root", 0, true, ""},
		{"another user", own + 1, true, fmt.Sprintf("file belongs to user %d; want %d, the user of this process, or root", own+1, own)},
		{"nobody", 65534, true, "file belongs to user 65534"},
		{"a system without owners", 65534, false, ""},
	} {
		c, err := remote.LoadFileOfUser(path, docURL, 1<<10, func(fs.FileInfo) (int, bool) { return tc.owner, tc.known })
		if tc.wantErr == "" {
			wantBody(t, c, err, validDoc)
		} else {
			checkErr(t, tc.name, err, tc.wantErr)
		}
	}
	if own == 0 { // only root can give a file to another user
		if err := os.Chown(path, 65534, -1); err != nil {
			t.Fatal(err)
		}
		_, err := remote.LoadFile(path, docURL, 1<<10)
		checkErr(t, "after chown", err, "file belongs to user 65534")
		if err := os.Chown(path, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	c, err := remote.LoadFile(path, docURL, 1<<10)
	wantBody(t, c, err, validDoc)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSavedFileExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := saveDocument(t)
		time.Sleep(23 * time.Hour)
		i := newIssuer(validDoc)
		i.down()
		d := i.open(t, func(cfg *remote.Config) { cfg.File = path })
		c, err := d.Get(t.Context())
		wantBody(t, c, err, validDoc)
		time.Sleep(time.Hour)
		_, err = d.Get(t.Context())
		wantUnavailable(t, err, "connection refused")
	})
}

func TestSavedFileIsRefreshedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := saveDocument(t)
		i := newIssuer(`{"new":1}`)
		i.Delay(time.Second)
		d := i.open(t, func(cfg *remote.Config) { cfg.File = path })
		first, err := d.Get(t.Context())
		wantBody(t, first, err, validDoc)
		time.Sleep(2 * time.Second)
		c, err := d.Get(t.Context())
		wantBody(t, c, err, `{"new":1}`)
		if got := d.Stats(); got.Fetches != 1 || got.Sequence <= first.Sequence {
			t.Errorf("Stats() = %+v, want 1 fetch, sequence beyond %d", got, first.Sequence)
		}
		d.Close()
		saved, err := remote.LoadFile(path, docURL, 1<<20)
		wantBody(t, saved, err, `{"new":1}`)
	})
}

// Two copies may be saved in the wrong order.
func TestSavedFileKeepsTheNewestCopy(t *testing.T) {
	t.Parallel()
	older := remote.Copy{Body: []byte(`{"v":1}`), Sequence: 1}
	newer := remote.Copy{Body: []byte(`{"v":2}`), Sequence: 2}
	for _, order := range [][]remote.Copy{{older, newer}, {newer, older}} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := remote.SaveFile(path, docURL, order...); err != nil {
			t.Fatal(err)
		}
		c, err := remote.LoadFile(path, docURL, 1<<10)
		wantBody(t, c, err, `{"v":2}`)
	}
}

func TestSavedBodyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := saveDocument(t)
		c, err := remote.LoadFile(path, docURL, int64(len(validDoc)))
		wantBody(t, c, err, validDoc)
		_, err = remote.LoadFile(path, docURL, int64(len(validDoc))-1)
		checkErr(t, "LoadFile", err, "body is 11 bytes, want at most 10")
	})
}

func TestSavedFileIsPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := saveDocument(t)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("mode is %#o, want 0600", got)
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 1 {
			t.Errorf("folder holds %v, %v, want one file", entries, err)
		}
	})
}

func TestFileThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newIssuer(validDoc).open(t, func(cfg *remote.Config) {
			cfg.File = filepath.Join(t.TempDir(), "missing", "keys.json")
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		c, err := d.Get(t.Context())
		wantBody(t, c, err, validDoc)
		synctest.Wait()
		if !strings.Contains(log.String(), "saving the document failed") {
			t.Errorf("log is\n%s\nwant a line about the file", &log)
		}
	})
}

func FuzzSavedFile(f *testing.F) {
	f.Add([]byte(`{"url":"https://issuer.example/keys","fetched_at":"2000-01-01T00:00:00Z","sha256":"RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=","body":"e30="}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := remote.LoadFile(path, docURL, 1<<10)
		if err == nil && (len(c.Body) > 1<<10 || !bytes.Contains(text, []byte("issuer.example"))) {
			t.Errorf("accepted %q", text)
		}
	})
}
