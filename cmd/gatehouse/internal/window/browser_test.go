package window

import (
	"net/http"
	"testing"
)

const chromeAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"

func TestBrowsersAreRedirectedToTheWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	const page = "text/html,application/xhtml+xml,*/*;q=0.8"
	for _, test := range []struct {
		name, method, path, accept string
		want                       int
	}{
		{"browser", "GET", "/", page, http.StatusFound},
		{"browser, HEAD", "HEAD", "/", page, http.StatusFound},
		{"second media type", "GET", "/", "application/xml, text/html;q=0.5", http.StatusFound},
		{"program", "GET", "/", "*/*", http.StatusNotFound},
		{"program without Accept", "GET", "/", "", http.StatusNotFound},
		{"browser, POST", "POST", "/", page, http.StatusNotFound},
		{"browser, other path", "GET", "/x", page, http.StatusNotFound},
	} {
		resp, body := do(t, test.method, r.page.URL+test.path, "", "Accept", test.accept)
		if resp.StatusCode != test.want {
			t.Errorf("%s: got %d %s, want %d", test.name, resp.StatusCode, body, test.want)
		}
		if location := resp.Header.Get("Location"); test.want == http.StatusFound && location != Path {
			t.Errorf("%s: redirected to %q, want %q", test.name, location, Path)
		}
	}
}

func TestAgentName(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"":                                  "",
		"node":                              "node",
		"claude-code/2.1.0 (external, cli)": "claude-code/2.1.0",
		chromeAgent:                         "A page in Chrome",
		chromeAgent + " Edg/143.0":          "A page in Edge",
		"Mozilla/5.0 (X11; rv:140.0) Gecko/20100101 Firefox/140.0": "A page in Firefox",
		"Mozilla/5.0 (compatible)":                                 "A page in a browser",
	} {
		if got := agentName(agent); got != want {
			t.Errorf("agentName(%q) = %q, want %q", agent, got, want)
		}
	}
}
