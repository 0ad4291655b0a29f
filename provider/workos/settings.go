package workos

import (
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	domainExample = "acme.authkit.app"
	findDomain    = `copy the AuthKit domain from the WorkOS Dashboard (Domains), like "` + domainExample + `"`
)

var (
	subdomain = regexp.MustCompile(`^[a-z0-9-]+$`)
	clientID  = regexp.MustCompile(`^client_[0-9A-Za-z]+$`)
)

// issuer returns the issuer of the AuthKit domain that v is: a host, its first label if it ends
// in .authkit.app, or the host as a URL, which mcp-use accepts too. Otherwise it reports what to
// write instead.
func issuer(r *setting.Reader, v setting.Value) string {
	if problem := notDomain(v.Text); problem != "" {
		r.Fault(v, problem, findDomain)
		return ""
	}
	switch {
	case strings.Contains(v.Text, "://"):
		return r.Origin(v, "https://"+domainExample)
	case subdomain.MatchString(v.Text) && v.Text != "localhost":
		return "https://" + v.Text + ".authkit.app"
	}
	host := r.Host(v, domainExample)
	if host == "" {
		return ""
	}
	return "https://" + host
}

// notDomain returns what text is if it is something else that WorkOS shows.
func notDomain(text string) string {
	_, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		rest = text
	}
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case clientID.MatchString(text):
		return "is a client ID"
	case host == "api.workos.com":
		return "is WorkOS's API"
	case host == "dashboard.workos.com" || host == "workos.com" || host == "www.workos.com":
		return "is the address of WorkOS"
	}
	return ""
}
