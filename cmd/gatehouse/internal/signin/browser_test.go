package signin

import (
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
	env := func(value string) func(string) string { return func(string) string { return value } }
	wantErr(t, OpenBrowser(env(missing), "https://x"), missing)
	wantErr(t, OpenBrowser(env(" "), "https://x"), "no display")
}
