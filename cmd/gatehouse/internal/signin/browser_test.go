package signin

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBrowserCommands(t *testing.T) {
	t.Parallel()
	const url = "https://x/?a=b&c=%25"
	for _, test := range []struct {
		name, goos string
		env        map[string]string
		want       [][]string
	}{
		{"display", "linux", map[string]string{"DISPLAY": ":0"}, [][]string{{"xdg-open", url}, {"x-www-browser", url}}},
		{
			"wayland",
			"linux",
			map[string]string{"WAYLAND_DISPLAY": "w"},
			[][]string{{"xdg-open", url}, {"x-www-browser", url}},
		},
		{"no display", "linux", nil, nil},
		{"chosen without display", "linux", map[string]string{"BROWSER": "lynx"}, [][]string{{"lynx", url}}},
		{
			"list",
			"linux",
			map[string]string{"BROWSER": "a -x:b %s -y::c"},
			[][]string{{"a", "-x", url}, {"b", url, "-y"}, {"c", url}},
		},
		{"nothing chosen", "linux", map[string]string{"BROWSER": " "}, nil},
		{
			"forwarded display",
			"linux",
			map[string]string{"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "a b"},
			[][]string{{"xdg-open", url}, {"x-www-browser", url}},
		},
		{"SSH without display", "linux", map[string]string{"SSH_CONNECTION": "a b"}, nil},
		{"SSH on mac", "darwin", map[string]string{"SSH_CONNECTION": "a b"}, nil},
		{"SSH on windows", "windows", map[string]string{"SSH_CONNECTION": "a b"}, nil},
		{"chosen over SSH", "darwin", map[string]string{"SSH_CONNECTION": "a b", "BROWSER": "lynx"}, [][]string{{"lynx", url}}},
		{"mac", "darwin", nil, [][]string{{"open", url}}},
		{"windows", "windows", nil, [][]string{{"rundll32", "url.dll,FileProtocolHandler", url}}},
		{
			"chosen on windows",
			"windows",
			map[string]string{"BROWSER": `C:\a.exe;b`},
			[][]string{{`C:\a.exe`, url}, {"b", url}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := browserCommands(test.goos, func(name string) string { return test.env[name] }, url)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("browserCommands (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOpenBrowserFails(t *testing.T) {
	t.Parallel()
	missing := "/nonexistent/" + strings.Repeat("x", 10)
	open := func(env map[string]string) error {
		return OpenBrowser(func(name string) string { return env[name] }, "https://issuer.example.com")
	}
	wantErr(t, open(map[string]string{"BROWSER": missing}), missing)
	wantErr(t, open(map[string]string{"BROWSER": " "}), "no display and no $BROWSER")
	wantErr(t, open(map[string]string{"SSH_CONNECTION": "a b"}), "SSH session without a display")
	if runtime.GOOS == "windows" {
		return
	}
	wantErr(t, open(map[string]string{"BROWSER": "false"}), "exit status 1")
	wantErr(t, open(map[string]string{"BROWSER": "false:true"}), "")
}
