package stytch

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	domainExample = "https://example.customers.stytch.com"
	findDomain    = `copy the project domain, or your custom domain, from the Stytch Dashboard (Project settings), like "` + domainExample + `"`
	findID        = `copy the project ID from the Stytch Dashboard (Project settings); it begins with "project-test-" or "project-live-"`
)

var idPattern = regexp.MustCompile(`^project-(test|live)-[0-9a-f-]+$`)

// issuer returns the issuer of the domain that v is: a host, or a host as a URL, as Stytch's
// Dashboard and its examples have it. Otherwise it reports what to write instead.
func issuer(r *setting.Reader, v setting.Value) string {
	if idPattern.MatchString(v.Text) {
		r.Fault(v, "is a project ID", "write "+projectIDVariable+"="+v.Text+", and "+findDomain)
		return ""
	}
	origin := v.Text
	if strings.Contains(origin, "://") {
		origin = r.Origin(v, domainExample)
	} else if origin = r.Host(v, strings.TrimPrefix(domainExample, "https://")); origin != "" {
		origin = "https://" + origin
	}
	if problem := notProject(origin); problem != "" {
		r.Fault(v, problem, findDomain)
		return ""
	}
	return origin
}

// notProject returns what origin is if it is an address of Stytch that is not a project domain.
func notProject(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return "is not a URL"
	}
	switch u.Hostname() {
	case "test.stytch.com", "api.stytch.com":
		return "is Stytch's API"
	case "stytch.com", "www.stytch.com":
		return "is the address of Stytch"
	}
	return ""
}

// projectID returns v if it is a project ID, and otherwise reports what to write instead.
func projectID(r *setting.Reader, v setting.Value) string {
	if v.Text != "" && !idPattern.MatchString(v.Text) {
		r.Fault(v, "is not a project ID", findID)
		return ""
	}
	return v.Text
}
