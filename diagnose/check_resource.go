package diagnose

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// checkResource compares resource in the metadata with the URL of the endpoint (RFC 9728
// section 3.3). Clients compare the two as text.
func (d *doctor) checkResource() {
	document := d.document()
	if d.blocked("resource") {
		return
	}
	if document == nil {
		d.skip("resource", "the server has no metadata", "")
		return
	}
	want, got := d.wantedResource(), document.Resource
	evidence := fmt.Sprintf("the URL is %s; resource in %s is %s", quote.String(want), document.URL, quote.String(got))
	if got == want {
		d.ok("resource", "%s", evidence)
		return
	}
	d.foundProblem(resourceProblem(got, d.endpoint), evidence)
}

// wantedResource is the URL as clients compare it.
func (d *doctor) wantedResource() string { return d.resource() }

// resourceProblem explains how the resource differs from the URL of the endpoint.
func resourceProblem(resource string, want *url.URL) Explanation {
	got, err := url.Parse(resource)
	switch {
	case resource == "":
		return Explain("resource.missing", "want", want.String())
	case err != nil || got.Host == "" || got.Scheme == "":
		return Explain("resource.form", "want", want.String())
	}
	sameName := strings.EqualFold(got.Hostname(), want.Hostname())
	values := []string{"want", strings.TrimSuffix(want.String(), "/"), "got", got.String()}
	switch {
	case !sameName && wellknown.IsLoopback(got.Host) && wellknown.IsLoopback(want.Host) && portOf(got) == portOf(want):
		return Explain("resource.loopback", values...)
	case !sameName && reachOf(got.Host) < reachOf(want.Host):
		return Explain("resource.local", values...)
	case !sameName:
		return Explain("resource.backend", values...)
	case !strings.EqualFold(got.Scheme, want.Scheme):
		return Explain("resource.scheme", values...)
	case portOf(got) != portOf(want):
		return Explain("resource.port", values...)
	}
	return resourcePathProblem(got, want, values)
}

func resourcePathProblem(got, want *url.URL, values []string) Explanation {
	gotPath, wantPath := strings.TrimSuffix(got.Path, "/"), strings.TrimSuffix(want.Path, "/")
	switch {
	case gotPath == wantPath && wantPath == "" && got.Path != want.Path:
		// The empty path and "/" are the same URL (RFC 3986 section 6.2.3), but the Go SDK
		// compares the text.
		e := Explain("resource.slash", "fix", slashFix(got, want))
		e.Level = Warning
		return e
	case gotPath == wantPath && got.Path != want.Path:
		return Explain("resource.slash", "fix", slashFix(got, want))
	case gotPath == wantPath && got.RawQuery != want.RawQuery:
		return Explain("resource.query", values...)
	case gotPath == "" && wantPath != "":
		return Explain("resource.origin", values...)
	case wantPath != "" && gotPath == wantPath+wantPath:
		return Explain("resource.doubled", values...)
	case strings.EqualFold(gotPath, wantPath):
		return Explain("resource.case", values...)
	}
	return Explain("resource.path", values...)
}

// slashFix says what to write. Without the slash is the form that MCP recommends.
func slashFix(got, want *url.URL) string {
	if strings.HasSuffix(got.Path, "/") {
		return fmt.Sprintf("set the public URL of the server to %s, without the slash", want)
	}
	return fmt.Sprintf("write the URL without the slash: %s", got)
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
}
