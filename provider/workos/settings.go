package workos

import (
	"fmt"
	"net/url"
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
	if clientID.MatchString(v.Text) {
		r.Fault(v, "is a client ID", findDomain)
		return ""
	}
	origin := v.Text
	switch {
	case origin == "":
		return ""
	case strings.Contains(origin, "://"):
		if origin = r.Origin(v, "https://"+domainExample); origin == "" {
			return ""
		}
	case subdomain.MatchString(origin) && origin != "localhost":
		return "https://" + origin + ".authkit.app"
	default:
		host := r.Host(v, domainExample)
		if host == "" {
			return ""
		}
		origin = "https://" + host
	}
	if problem := notAuthKit(origin); problem != "" {
		r.Fault(v, problem, findDomain)
		return ""
	}
	return origin
}

// notAuthKit returns what origin is if it is an address of WorkOS that is not an AuthKit domain.
func notAuthKit(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return fmt.Sprintf("is not a URL: %v", err)
	}
	switch u.Hostname() {
	case "api.workos.com":
		return "is WorkOS's API"
	case "dashboard.workos.com", "workos.com", "www.workos.com":
		return "is the address of WorkOS"
	}
	return ""
}
