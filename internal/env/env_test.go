package env_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// writeFile writes text to a .env file and returns its directory.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoadFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       map[string]string
	}{
		{
			"control",
			"MCP_URL=https://mcp.example.com\nPORT=3000\n",
			map[string]string{"MCP_URL": "https://mcp.example.com", "PORT": "3000"},
		},
		{"empty", "", map[string]string{}},
		{"comments", "# one\n\nA=1 # two\n  # three\n", map[string]string{"A": "1"}},
		{"export", "export A=1\n", map[string]string{"A": "1"}},
		{"quotes", "A=\"a # b\"\nB='$C'\n", map[string]string{"A": "a # b", "B": "$C"}},
		{
			"several lines",
			"A=\"-----BEGIN\nxyz\n-----END\"\nB=2",
			map[string]string{"A": "-----BEGIN\nxyz\n-----END", "B": "2"},
		},
		{"expansion", "A=1\nB=${A}2\n", map[string]string{"A": "1", "B": "12"}},
		{"Windows", "\ufeffA=1\r\nB=2\r\n", map[string]string{"A": "1", "B": "2"}},
		{"no value", "A=\nB=2\n", map[string]string{"A": "", "B": "2"}},
		{"twice", "A=1\nA=2\n", map[string]string{"A": "2"}},
		{
			"publishable key",
			"CLERK_PUBLISHABLE_KEY=pk_test_ZXhhbXBsZS5hY2NvdW50cy5kZXYk==\n",
			map[string]string{"CLERK_PUBLISHABLE_KEY": "pk_test_ZXhhbXBsZS5hY2NvdW50cy5kZXYk=="},
		},
		{"largest", "A=" + strings.Repeat("x", env.MaxBytes-2), map[string]string{"A": strings.Repeat("x", env.MaxBytes-2)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			settings, err := env.Load(writeFile(t, tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, settings.File); diff != "" {
				t.Errorf("File (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadInvalidFile(t *testing.T) {
	t.Parallel()
	const invalid = ` line %d is not a setting; write NAME=value, and close every quote`
	tests := []struct{ name, text, wantErr string }{
		{"control", "A=1\nS=hush\n", ""},
		{"no equals", "A=1\nS hush\nB=2\n", fmt.Sprintf(invalid, 2)},
		{"no equals at the end", "A=1\nhush", fmt.Sprintf(invalid, 2)},
		{"no name", "A=1\n=hush\n", fmt.Sprintf(invalid, 2)},
		{"space in name", "A=1\n\nA B=hush\n", fmt.Sprintf(invalid, 3)},
		{"hyphen in name", "A-B=hush\n", fmt.Sprintf(invalid, 1)},
		{"letter outside ASCII", "\u00c4=hush\n", fmt.Sprintf(invalid, 1)},
		{"open quote", "A=\"1\n2\"\nB=\"hush\nC=3\n", fmt.Sprintf(invalid, 3)},
		{"text after a quote", "A='1'\nB='2' hush\nC=3\n", fmt.Sprintf(invalid, 2)},
		{
			"many lines",
			strings.Repeat("A=\n", 9999) + "hush\n" + strings.Repeat("B=\n", 9999),
			fmt.Sprintf(invalid, 10000),
		},
		{"too large", "A=" + strings.Repeat("x", env.MaxBytes-1), " is larger than 65536 bytes; keep only settings in it"},
		{"UTF-16", "\xff\xfeA\x00=\x001\x00", " is not UTF-8 text; save it as UTF-8"},
		{"NUL", "A=1\x00", " is not UTF-8 text; save it as UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := writeFile(t, tt.text)
			settings, err := env.Load(dir)
			if tt.wantErr == "" {
				if err != nil || settings == nil {
					t.Errorf("Load = %v, %v, want settings", settings, err)
				}
				return
			}
			want := filepath.Join(dir, ".env") + tt.wantErr
			if err == nil || err.Error() != want {
				t.Errorf("Load: %v, want %s", err, want)
			}
			if settings != nil {
				t.Errorf("Load = %v with an error, want nil", settings)
			}
		})
	}
}

func TestLoadNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".env"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"empty folder": t.TempDir(), "no folder": filepath.Join(dir, "missing"), "folder of that name": dir,
	} {
		settings, err := env.Load(dir)
		if err != nil || len(settings.File) > 0 {
			t.Errorf("%s: Load = %v, %v, want no settings", name, settings, err)
		}
	}
}

func TestLoadUnreadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	if err := os.Symlink(path, path); err != nil {
		t.Skip("this machine has no symbolic links:", err)
	}
	if _, err := env.Load(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Load: %v, want an error that names %s", err, path)
	}
}

func TestLoadWorkingDirectory(t *testing.T) {
	t.Chdir(writeFile(t, "GATEHOUSE_TEST=here"))
	for _, dir := range []string{"", "."} {
		settings, err := env.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := settings.Get("GATEHOUSE_TEST"); got != "here" {
			t.Errorf("Load(%q): Get = %q, want %q", dir, got, "here")
		}
	}
}

func TestGet(t *testing.T) {
	const name = "GATEHOUSE_TEST"
	tests := []struct {
		name, environment, file string
		want                    string
	}{
		{"neither", "", "", ""},
		{"environment", "a", "", "a"},
		{"file", "", "b", "b"},
		{"both", "a", "b", "a"},
		{"white space around", " \ta\r\n", "b", "a"},
		{"white space around in the file", "", "'\t b c '", "b c"},
		{"only white space", " ", "b", "b"},
		{"only white space in both", " ", "' '", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(name, tt.environment)
			settings, err := env.Load(writeFile(t, name+"="+tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if got := settings.Get(name); got != tt.want {
				t.Errorf("Get = %q, want %q", got, tt.want)
			}
			if got := os.Getenv(name); got != tt.environment {
				t.Errorf("Load changed the environment to %q, want %q", got, tt.environment)
			}
		})
	}
}

func TestList(t *testing.T) {
	for value, want := range map[string][]string{
		"":         nil,
		" ":        nil,
		"a":        {"a"},
		" a , b\t": {"a", "b"},
		"a,":       {"a", ""},
		",":        {"", ""},
	} {
		if got := (env.Env{File: map[string]string{"KEYS": value}}).List("KEYS"); !slices.Equal(got, want) {
			t.Errorf("List of %q = %q, want %q", value, got, want)
		}
	}
}

func TestFromMap(t *testing.T) {
	t.Setenv("GATEHOUSE_TEST", "from outside")
	settings := env.Env{File: map[string]string{"PORT": " 3000 "}}
	if got := settings.Get("PORT"); got != "3000" {
		t.Errorf("Get = %q, want %q", got, "3000")
	}
	if got := settings.Get("GATEHOUSE_TEST"); got != "" {
		t.Errorf("Get = %q, want only the settings of the map", got)
	}
	if got := (env.Env{}).Get("GATEHOUSE_TEST"); got != "" {
		t.Errorf("Get of the zero value = %q, want nothing", got)
	}
}

func TestValuesAreNotPrinted(t *testing.T) {
	t.Parallel()
	settings := env.Env{File: map[string]string{"PORT": "hush", "CLERK_SECRET_KEY": "hush"}}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "env", settings, "pointer", &settings)
	for _, text := range []string{
		fmt.Sprint(settings), fmt.Sprintf("%+v", &settings), fmt.Sprintf("%#v", settings), fmt.Sprintf("%q", settings), log.String(),
	} {
		if strings.Contains(text, "hush") || !strings.Contains(text, ".env: CLERK_SECRET_KEY PORT") {
			t.Errorf("got %s, want names without values", text)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"A=1\nB=2", "export A='x'", "A=\"1\n2\"\n", "A=\"1", "lol$wut", "A", "=x", "A: 1", "A=${B}",
		"\ufeffA=1\r\n", "A='1' b", "A=\\", "#",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	path := filepath.Join(dir, ".env")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		settings, err := env.Load(dir)
		if err != nil {
			if !strings.HasPrefix(err.Error(), path) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("Load: %q, want one line that names %s", err, path)
			}
			return
		}
		for name := range settings.File {
			value := env.Env{File: settings.File}.Get(name)
			if name == "" || strings.ContainsAny(name, " \n=") || value != strings.TrimSpace(value) {
				t.Errorf("setting %q is %q, want a valid name and no white space around the value", name, value)
			}
		}
	})
}
