package stytch

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	findDomain = `copy the project domain, or your custom domain, from the Stytch Dashboard (Project settings), like "https://example.customers.stytch.com"`
	findID     = `copy the project ID from the Stytch Dashboard (Project settings); it begins with "project-test-" or "project-live-"`
)

var projectID = regexp.MustCompile(`^project-(test|live)-[0-9a-f-]+$`)

// parseDomain returns the issuer of the domain that value is: a host, or a host as a URL, as
// Stytch's Dashboard and its examples have it. Otherwise it returns what is wrong with
// value and what to write instead.
func parseDomain(value string) (issuer, problem, fix string) {
	if projectID.MatchString(value) {
		return "", "is a project ID", "set it as " + projectIDVariable + ", and " + findDomain
	}
	text := value
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || !strings.Contains(u.Host, ".") && !wellknown.IsLoopback(u.Host) {
		return "", "is not a domain", findDomain
	}
	host := strings.ToLower(u.Host)
	origin := u.Scheme + "://" + host
	switch {
	case host == "test.stytch.com" || host == "api.stytch.com":
		return "", "is Stytch's API", findDomain
	case host == "stytch.com" || host == "www.stytch.com":
		return "", "is the address of Stytch", findDomain
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		return "", "has more than a host", fmt.Sprintf("write %q", origin)
	}
	var fault *wellknown.Fault
	if err := wellknown.Issuer(origin); errors.As(err, &fault) {
		return "", fault.Problem, fault.Fix
	}
	return origin, "", ""
}

// parseProjectID returns value if it is a project ID. Otherwise it returns what is wrong with it
// and what to write instead.
func parseProjectID(value string) (id, problem, fix string) {
	if !projectID.MatchString(value) {
		return "", "is not a project ID", findID
	}
	return value, "", ""
}
