package workos

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const findDomain = `copy the AuthKit domain from the WorkOS Dashboard (Domains), like "acme.authkit.app"`

var (
	subdomain = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	clientID  = regexp.MustCompile(`^client_[0-9A-Za-z]+$`)
)

// parseDomain returns the issuer of the AuthKit domain that value is: a host, its first label
// if it ends in .authkit.app, or the host as a URL, which mcp-use accepts too. Otherwise it
// returns what is wrong with value and what to write instead.
func parseDomain(value string) (issuer, problem, fix string) {
	if clientID.MatchString(value) {
		return "", "is a client ID", findDomain
	}
	if subdomain.MatchString(value) && value != "localhost" {
		return "https://" + strings.ToLower(value) + ".authkit.app", "", ""
	}
	text := value
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "", "is not a domain", findDomain
	}
	host := strings.ToLower(u.Host)
	switch host {
	case "api.workos.com":
		return "", "is WorkOS's API", findDomain
	case "dashboard.workos.com", "workos.com", "www.workos.com":
		return "", "is the address of WorkOS", findDomain
	}
	origin := u.Scheme + "://" + host
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" {
		return "", "has more than a host", fmt.Sprintf("write %q", host)
	}
	var fault *wellknown.Fault
	if err := wellknown.Issuer(origin); errors.As(err, &fault) {
		return "", fault.Problem, fault.Fix
	}
	return origin, "", ""
}
