package supabase

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// authPath is the path of Supabase Auth below the URL of a project. With the URL it is the
// issuer.
const authPath = "/auth/v1"

const (
	findProject = `copy the ID of the project from the Supabase Dashboard (Project Settings → General), like "abcdefghijklmnopqrst"`
	findURL     = `write the URL of the project, like "https://abcdefghijklmnopqrst.supabase.co"`
)

// projectID is the form of the IDs of projects ("references").
var projectID = regexp.MustCompile(`^[a-z0-9]+$`)

// parseProjectID returns the issuer of the project with the ID value, or what is wrong with value
// and what to write instead.
func parseProjectID(value string) (issuer, problem, fix string) {
	host, _, _ := strings.Cut(strings.TrimPrefix(value, "https://"), "/")
	id, isHost := strings.CutSuffix(host, ".supabase.co")
	switch {
	case isHost && projectID.MatchString(id):
		return "", "is the URL of the project", fmt.Sprintf("write %q, or set %s to the URL", id, urlVariable)
	case strings.Contains(value, "://") || strings.Contains(value, "."):
		return "", "is a URL", fmt.Sprintf("set %s to it, or %s", urlVariable, findProject)
	case !projectID.MatchString(value):
		return "", "is not the ID of a project", findProject
	}
	return "https://" + value + ".supabase.co" + authPath, "", ""
}

// parseURL returns the issuer of the project with the URL value, or what is wrong with value and
// what to write instead.
func parseURL(value string) (issuer, problem, fix string) {
	switch {
	case projectID.MatchString(value) && value != "localhost":
		return "", "is the ID of a project", fmt.Sprintf("set %s to it, or write %q", projectIDVariable, "https://"+value+".supabase.co")
	case !strings.Contains(value, "://"):
		return "", "has no scheme", fmt.Sprintf("write %q", "https://"+strings.TrimRight(value, "/"))
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return "", "is not a URL", findURL
	}
	host := strings.ToLower(u.Host)
	origin := u.Scheme + "://" + host
	if host == "supabase.com" || host == "www.supabase.com" || host == "app.supabase.com" || host == "api.supabase.com" {
		return "", "is the address of Supabase", findURL
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "has more than a host", fmt.Sprintf("write %q", origin)
	}
	switch path := u.Path; {
	case path == "/":
		return "", "ends in a slash", fmt.Sprintf("write %q", origin)
	case strings.HasPrefix(path, authPath):
		return "", "is the issuer, not the URL of the project", fmt.Sprintf("write %q", origin)
	case path != "":
		return "", "has a path", fmt.Sprintf("write %q", origin)
	}
	issuer = origin + authPath
	var fault *wellknown.Fault
	if err := wellknown.Issuer(issuer); errors.As(err, &fault) {
		return "", fault.Problem, fault.Fix
	}
	return issuer, "", ""
}
