package gatehouse_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

const bareMetadata = "/.well-known/oauth-protected-resource"

// at returns a change of a configuration that serves path of localhost:3000.
func at(path string, hostDocuments bool) func(*gatehouse.Config) {
	return func(cfg *gatehouse.Config) {
		cfg.Resource, cfg.HostDocuments = "http://localhost:3000"+path, hostDocuments
	}
}

// Two guards of different issuers on one mux: each endpoint takes the tokens of its issuer.
func TestTwoGuardsOnOneMux(t *testing.T) {
	first, second := newIssuer(t), newIssuer(t)
	tests := []struct {
		name          string
		firstPath     string
		firstClaims   bool
		secondPath    string
		secondClaims  bool
		bare          string // path of the resource in the metadata without path
		serversIssuer *issuer
	}{
		{"first come", "/a", false, "/b", false, "/a", first},
		{"the first by setting", "/a", true, "/b", false, "/a", first},
		{"the second by setting", "/a", false, "/b", true, "/b", second},
		{"the second is at the root", "/a", false, "", false, "", first},
		{"the first is at the root", "", false, "/b", false, "", first},
	}
	for _, test := range tests {
		mux := http.NewServeMux()
		newGuard(t, first, at(test.firstPath, test.firstClaims)).Mount(mux, behind)
		newGuard(t, second, at(test.secondPath, test.secondClaims)).Mount(mux, behind)
		for _, endpoint := range []struct {
			path      string
			is, other *issuer
		}{{test.firstPath, first, second}, {test.secondPath, second, first}} {
			target, name := "/"+strings.TrimPrefix(endpoint.path, "/"), "http://localhost:3000"+endpoint.path
			if resp := send(mux, request{target: target, header: bearer(endpoint.is.token(name))}); resp.StatusCode != 200 {
				t.Errorf("%s: %s with a token of its issuer: got status %d, want 200", test.name, target, resp.StatusCode)
			}
			if resp := send(mux, request{target: target, header: bearer(endpoint.other.token(name))}); resp.StatusCode != 401 {
				t.Errorf("%s: %s with a token of the other issuer: got status %d, want 401", test.name, target, resp.StatusCode)
			}
			got := body(t, send(mux, request{method: "GET", target: bareMetadata + endpoint.path}))
			if !strings.Contains(got, `"resource":"`+name+`"`) || !strings.Contains(got, endpoint.is.URL()) {
				t.Errorf("%s: metadata of %s is %s", test.name, target, got)
			}
		}
		got := body(t, send(mux, request{method: "GET", target: bareMetadata}))
		if !strings.Contains(got, `"resource":"http://localhost:3000`+test.bare+`"`) {
			t.Errorf("%s: metadata without path is %s, want that of %q", test.name, got, test.bare)
		}
		got = body(t, send(mux, request{method: "GET", target: "/.well-known/oauth-authorization-server"}))
		if !strings.Contains(got, test.serversIssuer.URL()) {
			t.Errorf("%s: authorization server metadata is %s, want that of %s", test.name, got, test.serversIssuer.URL())
		}
	}
}

func TestGuardsThatConflict(t *testing.T) {
	is := newIssuer(t)
	const muxPanic = "conflicts with pattern"
	mount := func(mux *http.ServeMux, configure func(*gatehouse.Config)) (message string) {
		guard := newGuard(t, is, configure)
		return panicText(func() { guard.Mount(mux, behind) })
	}
	bothOwn := func(first, second string) string {
		return fmt.Sprintf("gatehouse: %s belongs to the guards of http://localhost:3000%s and of http://localhost:3000%s; "+
			"set HostDocuments for one of them only, and for none if the endpoint of one is the root of the host",
			bareMetadata, first, second)
	}
	tests := []struct {
		name      string
		before    func(*http.ServeMux)
		config    func(*gatehouse.Config)
		wantPanic string // a part of its text; empty for none
	}{
		{"control", func(mux *http.ServeMux) { mount(mux, at("/a", true)) }, at("/b", false), ""},
		{"both by setting", func(mux *http.ServeMux) { mount(mux, at("/a", true)) }, at("/b", true), bothOwn("/a", "/b")},
		{"the root, and another by setting", func(mux *http.ServeMux) { mount(mux, at("", false)) }, at("/b", true), bothOwn("", "/b")},
		{"another by setting, and the root", func(mux *http.ServeMux) { mount(mux, at("/b", true)) }, at("", false), bothOwn("/b", "")},
		{"one endpoint twice", func(mux *http.ServeMux) { mount(mux, at("/a", false)) }, at("/a", false), muxPanic},
		{"a document of the program", func(mux *http.ServeMux) { mux.Handle(bareMetadata, behind) }, at("/a", false), muxPanic},
		{"an endpoint of the program", func(mux *http.ServeMux) { mux.Handle("/a", behind) }, at("/a", false), muxPanic},
		{"a page for everything", func(mux *http.ServeMux) { mux.Handle("/", behind) }, at("/a", false), ""},
		{"a page for all GET requests", func(mux *http.ServeMux) { mux.Handle("GET /", behind) }, at("/a", false), muxPanic},
		{"a registration page", func(mux *http.ServeMux) { mux.Handle("/register", behind) }, at("/a", false), ""},
		{"a registration form", func(mux *http.ServeMux) { mux.Handle("POST /register", behind) }, at("/a", false), ""},
	}
	for _, test := range tests {
		mux := http.NewServeMux()
		test.before(mux)
		got := mount(mux, test.config)
		if (got == "") != (test.wantPanic == "") || !strings.Contains(got, test.wantPanic) {
			t.Errorf("%s: got panic %q, want %q in it", test.name, got, test.wantPanic)
		}
	}
}

// panicText returns the text with which f panics, or "".
func panicText(f func()) (text string) {
	defer func() {
		if value := recover(); value != nil {
			text = fmt.Sprint(value)
		}
	}()
	f()
	return ""
}

// TestRoutesAfterMount registers the routes that the comment of Guard.Mount names, and the ones
// that it says to write instead.
func TestRoutesAfterMount(t *testing.T) {
	for _, test := range []struct {
		pattern string
		panics  bool
	}{
		{"POST /register", true},
		{"/register", false},
		{"GET /register", false},
		{"GET /", true},
		{"GET /{page}", true},
		{"/", false},
		{"/{page}", false},
		{"GET /about", false},
		{"GET /pages/{page}", false},
	} {
		mux := http.NewServeMux()
		newGuard(t, newIssuer(t), at("/mcp", false)).Mount(mux, behind)
		if got := panicText(func() { mux.Handle(test.pattern, behind) }); (got != "") != test.panics {
			t.Errorf("%s: got panic %q, want one: %v", test.pattern, got, test.panics)
		}
	}
}

// The program's own registration page stays in place.
func TestRegistrationPageOfTheProgram(t *testing.T) {
	for _, pattern := range []string{"/register", "POST /register", "/{page}", "/register/"} {
		mux := http.NewServeMux()
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page") })
		newGuard(t, newIssuer(t)).Mount(mux, behind)
		resp := send(mux, request{target: "/register"})
		if got := body(t, resp); got != "page" && resp.Header.Get("Location") != "/register/" {
			t.Errorf("%s: got %d %s, want the page", pattern, resp.StatusCode, got)
		}
	}
}

// A proxy that removes a prefix: the public URL has it, and the server does not see it.
func TestLocalPath(t *testing.T) {
	is := newIssuer(t)
	const public = "https://example.com/tools/mcp"
	tests := []struct{ local, target string }{
		{"/mcp", "/mcp"}, {"/mcp", "/mcp/"}, {"/", "/"}, {"/deep/er", "/deep/er"}, {"", "/tools/mcp"},
	}
	for _, test := range tests {
		guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.Resource, cfg.LocalPath = public, test.local })
		mux := http.NewServeMux()
		guard.Mount(mux, behind)
		rq := request{target: test.target, host: "example.com", header: bearer(is.token(public))}
		if resp := send(mux, rq); resp.StatusCode != 200 {
			t.Errorf("%q: %s: got status %d, want 200", test.local, test.target, resp.StatusCode)
		}
		challenge := send(mux, request{target: test.target, host: "example.com"}).Header.Get("WWW-Authenticate")
		if !strings.Contains(challenge, `"https://example.com/.well-known/oauth-protected-resource/tools/mcp"`) {
			t.Errorf("%q: challenge %s", test.local, challenge)
		}
		// The proxy may pass the path of the metadata on as it is, or without the prefix.
		paths := []string{bareMetadata, bareMetadata + "/tools/mcp", strings.TrimSuffix(bareMetadata+test.local, "/")}
		for _, path := range paths {
			resp := send(mux, request{method: "GET", target: path, host: "example.com"})
			if got := body(t, resp); resp.StatusCode != 200 || !strings.Contains(got, `"resource":"`+public+`"`) {
				t.Errorf("%q: %s: got %d %s", test.local, path, resp.StatusCode, got)
			}
			if !slices.Contains(guard.MetadataPaths(), path) {
				t.Errorf("%q: MetadataPaths %q lacks %s", test.local, guard.MetadataPaths(), path)
			}
		}
	}
	for path, want := range map[string]string{
		"mcp":                "does not begin with a slash",
		"/mcp/":              `has a trailing slash; write "/mcp"`,
		"/a b":               "is not a path",
		"/{x}":               "is not a path",
		"/a?b":               "is not a path",
		"//a":                "has // in its path",
		"/a/../b":            "has the dot segment",
		"/%61":               "has percent-encoding",
		"/.well-known/a":     "is under /.well-known/",
		"https://h/mcp":      "does not begin with a slash",
		"/a/.well-known/mcp": "",
	} {
		_, err := gatehouse.New(gatehouse.Config{Resource: public, Provider: is.provider(), LocalPath: path})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), `gatehouse: LocalPath "`+path+`" `+want)) {
			t.Errorf("LocalPath %q: got %v, want %s", path, err, want)
		}
	}
}

// TestPrefixProxy sends requests through a proxy that removes the prefix, as in docs/proxy.md.
func TestPrefixProxy(t *testing.T) {
	is := newIssuer(t)
	var guard *gatehouse.Guard
	mux := http.NewServeMux()
	backend := httptest.NewServer(mux)
	defer backend.Close()
	backendURL, _ := url.Parse(backend.URL)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backendURL)
		r.Out.Host = r.In.Host
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/tools")
	}})
	defer proxy.Close()
	public := proxy.URL + "/tools/mcp"
	guard = newGuard(t, is, func(cfg *gatehouse.Config) { cfg.Resource, cfg.LocalPath = public, "/mcp" })
	guard.Mount(mux, behind)

	resp, err := http.Post(public, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	_, rest, _ := strings.Cut(resp.Header.Get("WWW-Authenticate"), `resource_metadata="`)
	metadata, _, _ := strings.Cut(rest, `"`)
	if resp, err = http.Get(metadata); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := body(t, resp); !strings.Contains(got, `"resource":"`+public+`"`) {
		t.Errorf("metadata at %s is %s", metadata, got)
	}
	r, _ := http.NewRequest(http.MethodPost, public, strings.NewReader("{}"))
	r.Header = bearer(is.token(public))
	if resp, err = http.DefaultClient.Do(r); err != nil || resp.StatusCode != 200 {
		t.Fatalf("with a token: got %v, %v", resp.Status, err)
	}
	resp.Body.Close()
}
