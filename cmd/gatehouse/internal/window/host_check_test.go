package window

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestHostCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	host := strings.TrimPrefix(r.page.URL, "http://")
	const json = "application/json"
	for _, test := range []struct {
		name, method, path string
		header             []string
		wantErr            string // "" for a control
	}{
		{"control: the page", "GET", "", nil, ""},
		{"control: a program reads", "GET", "api/state", nil, ""},
		{"control: a program changes", "POST", "api/faults", nil, ""},
		{
			name:    "control: the page changes",
			method:  "POST",
			path:    "api/faults",
			header:  []string{"Origin", r.page.URL, "Sec-Fetch-Site", "same-origin"},
			wantErr: "",
		},
		{
			name:    "control: localhost",
			method:  "POST",
			path:    "api/faults",
			header:  []string{"Host", "localhost:4000", "Origin", "http://localhost:4000"},
			wantErr: "",
		},
		{
			name:    "control: a link to the page",
			method:  "GET",
			path:    "",
			header:  []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"},
			wantErr: "",
		},
		{
			name:    "a name that resolves to this machine",
			method:  "GET",
			path:    "api/state",
			header:  []string{"Host", "evil.example:4000"},
			wantErr: `Host "evil.example:4000"`,
		},
		{"the page, with such a name", "GET", "", []string{"Host", "evil.example"}, `Host "evil.example"`},
		{"a name that begins like loopback", "GET", "api/state", []string{"Host", "127.0.0.1.evil.example"}, "Host"},
		{
			name:    "a foreign origin",
			method:  "POST",
			path:    "api/faults",
			header:  []string{"Origin", "https://evil.example"},
			wantErr: `Origin "https://evil.example"`,
		},
		{
			name:    "the MCP server's origin",
			method:  "POST",
			path:    "api/mint",
			header:  []string{"Origin", "http://localhost:3000"},
			wantErr: `Origin "http://localhost:3000"`,
		},
		{"an opaque origin", "POST", "api/mint", []string{"Origin", "null"}, `Origin "null"`},
		{"a foreign origin reads", "GET", "api/state", []string{"Origin", "https://evil.example"}, "Origin"},
		{"another scheme", "POST", "api/mint", []string{"Origin", "ftp://" + host}, "Origin"},
		{"across sites", "POST", "api/mint", []string{"Sec-Fetch-Site", "cross-site"}, `Sec-Fetch-Site "cross-site"`},
		{"of the same site", "POST", "api/mint", []string{"Sec-Fetch-Site", "same-site"}, `Sec-Fetch-Site "same-site"`},
		{"across sites, reading", "GET", "api/state", []string{"Sec-Fetch-Site", "cross-site"}, "Sec-Fetch-Site"},
		{
			name:    "a link into the API",
			method:  "GET",
			path:    "api/state",
			header:  []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"},
			wantErr: "Sec-Fetch-Site",
		},
		{
			name:    "a form across sites",
			method:  "POST",
			path:    "api/mint",
			header:  []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"},
			wantErr: "Sec-Fetch-Site",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp, body := do(t, test.method, r.page.URL+Path+test.path, "{}", append([]string{"Content-Type", json}, test.header...)...)
			if test.wantErr == "" {
				if resp.StatusCode != http.StatusOK {
					t.Errorf("got %d %s, want 200", resp.StatusCode, body)
				}
				return
			}
			want := strings.ReplaceAll(test.wantErr, `"`, `\"`)
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(body, want) {
				t.Errorf("got %d %s, want 403 with %s", resp.StatusCode, body, want)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("the answer may be read by another origin")
			}
		})
	}
}

func TestPageIsStrict(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	resp, page := do(t, "GET", r.page.URL+Path, "")
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy = %q, want %q in it", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy = %q, want nothing unsafe", policy)
	}
	for _, unwanted := range []string{"style=", "onclick=", "http://", "https://", "<script>"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page contains %q", unwanted)
		}
	}
	for file, want := range map[string]string{"window.js": "text/javascript", "window.css": "text/css", "mark.svg": "image/svg+xml"} {
		resp, _ := do(t, "GET", r.page.URL+Path+file, "")
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %d %q, want %q", file, resp.StatusCode, got, want)
		}
	}
	for _, path := range []string{"none.js", "..%2fdoc.go", "assets/index.html", "api/none"} {
		if resp, _ := do(t, "GET", r.page.URL+Path+path, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, resp.StatusCode)
		}
	}
	if resp, _ := do(t, "GET", r.page.URL+strings.TrimSuffix(Path, "/"), ""); resp.Header.Get("Location") != Path {
		t.Errorf("without the slash: got %d to %q, want a redirect to %s", resp.StatusCode, resp.Header.Get("Location"), Path)
	}
	if resp, _ := do(t, "GET", r.page.URL+"/.well-known/jwks.json", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the local Clerk next to it: got %d, want 200", resp.StatusCode)
	}
}

func FuzzHostCheck(f *testing.F) {
	for _, host := range []string{
		"localhost:4000", "127.0.0.1", "[::1]:4000", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost@evil", "[::1%25lo]",
	} {
		f.Add(host, "http://"+host)
	}
	f.Fuzz(func(t *testing.T, host, origin string) {
		req := httptest.NewRequest("POST", "/_window/api/mint", nil)
		req.Host = host
		req.Header.Set("Origin", origin)
		if checkSender(req) != "" || origin == "" {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, host) {
			t.Errorf("host %q: origin %q is accepted", host, origin)
		}
		name := strings.ToLower(u.Hostname())
		if name != "localhost" && !strings.HasSuffix(name, ".localhost") && !strings.HasPrefix(name, "127.") && !strings.Contains(name, ":") {
			t.Errorf("host %q is accepted", host)
		}
	})
}
