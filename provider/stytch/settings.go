package stytch

import (
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	domainExample = "https://example.customers.stytch.com"
	findDomain    = "copy the project domain, or your custom domain, from the Stytch Dashboard (Project settings), " +
		`like "` + domainExample + `"`
	findID = "copy the project ID from the Stytch Dashboard (Project settings); " +
		`it begins with "project-test-" or "project-live-"`
)

var idPattern = regexp.MustCompile(`^project-(test|live)-[0-9a-f-]+$`)

// issuer returns the issuer of the domain that v is: a host, or a host as a URL, as Stytch's
// Dashboard and its examples have it. Otherwise it reports what to write instead.
func issuer(r *setting.Reader, v setting.Value) string {
	if idPattern.MatchString(v.Text) {
		r.Fault(v, "is a project ID", "write "+projectIDVariable+"="+v.Text+", and "+findDomain)
		return ""
	}
	if problem := notDomain(v.Text); problem != "" {
		r.Fault(v, problem, findDomain)
		return ""
	}
	if strings.Contains(v.Text, "://") {
		return r.Origin(v, domainExample)
	}
	host := r.Host(v, strings.TrimPrefix(domainExample, "https://"))
	if host == "" {
		return ""
	}
	return "https://" + host
}

// notDomain returns what text is if it is an address of Stytch that is not a project domain.
func notDomain(text string) string {
	_, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		rest = text
	}
	host, _, _ := strings.Cut(rest, "/")
	switch host {
	case "test.stytch.com", "api.stytch.com":
		return "is Stytch's API"
	case "stytch.com", "www.stytch.com":
		return "is the address of Stytch"
	}
	return ""
}

// projectID returns v if it is a project ID, and otherwise reports what to write instead.
func projectID(r *setting.Reader, v setting.Value) string {
	switch {
	case strings.HasPrefix(v.Text, "secret-"):
		r.SecretFault(v, "is a secret", findID)
	case v.Text != "" && !idPattern.MatchString(v.Text):
		r.Fault(v, "is not a project ID", findID)
	default:
		return v.Text
	}
	return ""
}
