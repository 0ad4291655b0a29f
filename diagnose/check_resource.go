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
	u, err := url.Parse(got)
	switch {
	case got == "":
		d.found("resource.missing", evidence, "want", want)
	case err != nil || u.Host == "" || u.Scheme == "":
		d.found("resource.form", evidence, "want", want)
	default:
		d.compareResource(u, evidence)
	}
}

// wantedResource is the URL as clients compare it.
func (d *doctor) wantedResource() string { return d.resource() }

// compareResource reports how the resource got differs from the URL of the endpoint.
func (d *doctor) compareResource(got *url.URL, evidence string) {
	want := d.endpoint
	sameName := strings.EqualFold(got.Hostname(), want.Hostname())
	values := []string{"want", strings.TrimSuffix(d.resource(), "/"), "got", got.String()}
	switch {
	case !sameName && wellknown.IsLoopback(got.Host) && wellknown.IsLoopback(want.Host) && portOf(got) == portOf(want):
		d.found("resource.loopback", evidence, values...)
	case !sameName && reachOf(got.Host) < reachOf(want.Host):
		d.found("resource.local", evidence, values...)
	case !sameName:
		d.found("resource.backend", evidence, values...)
	case !strings.EqualFold(got.Scheme, want.Scheme):
		d.found("resource.scheme", evidence, values...)
	case portOf(got) != portOf(want):
		d.found("resource.port", evidence, values...)
	default:
		d.compareResourcePath(got, evidence, values)
	}
}

func (d *doctor) compareResourcePath(got *url.URL, evidence string, values []string) {
	want := d.endpoint
	gotPath, wantPath := strings.TrimSuffix(got.Path, "/"), strings.TrimSuffix(want.Path, "/")
	switch {
	case gotPath == wantPath && wantPath == "" && got.Path != want.Path:
		// The empty path and "/" are the same URL (RFC 3986 section 6.2.3), but the Go SDK
		// compares the text.
		d.foundAs(Warning, "resource.slash", evidence, "fix", slashFix(got, want))
	case gotPath == wantPath && got.Path != want.Path:
		d.found("resource.slash", evidence, "fix", slashFix(got, want))
	case gotPath == "" && wantPath != "":
		d.found("resource.origin", evidence, values...)
	case wantPath != "" && gotPath == wantPath+wantPath:
		d.found("resource.doubled", evidence, values...)
	case strings.EqualFold(gotPath, wantPath):
		d.found("resource.case", evidence, values...)
	default:
		d.found("resource.path", evidence, values...)
	}
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
