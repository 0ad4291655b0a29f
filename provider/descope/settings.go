package descope

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	appsPath    = "/v1/apps/"
	agenticPath = appsPath + "agentic/"

	// shortIDLength is the length of the IDs of projects and access keys in Descope's first
	// region. In other regions, the name of the region follows the first letter.
	shortIDLength = 28

	findURL = "copy the Discovery URL of the MCP server from the Descope Console (Agentic Identity Hub → MCP Servers, Connection Information)"
	findIDs = "copy it from the Discovery URL in the Descope Console: …/v1/apps/agentic/PROJECT/MCP_SERVER/…"
)

var (
	projectID = regexp.MustCompile(`^P[0-9A-Za-z]{20,}$`)
	serverID  = regexp.MustCompile(`^[A-Z]+[0-9A-Za-z]{2,}$`)
	tenantID  = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)
)

// server is an MCP server of a project, or, with an empty id, the project itself.
type server struct {
	base        string // origin of the API
	project, id string
}

// issuer returns the issuer at which clients sign the user in.
func (s server) issuer() string {
	if s.id == "" {
		return s.projectIssuer()
	}
	return s.base + agenticPath + s.project + "/" + s.id
}

func (s server) projectIssuer() string { return s.base + appsPath + s.project }

// parseDiscoveryURL returns the MCP server or the project that has value as its Discovery URL or
// as its issuer. Otherwise it returns what is wrong with value and what to write instead.
func parseDiscoveryURL(value string) (s server, problem, fix string) {
	if projectID.MatchString(value) {
		return server{}, "is a project ID", "set it as " + projectIDVariable + ", and " + serverIDVariable
	}
	issuer, ok := wellknown.IssuerOf(value)
	if !ok {
		issuer = strings.TrimSuffix(value, "/")
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return server{}, "is not a URL", findURL
	}
	s.base = u.Scheme + "://" + strings.ToLower(u.Host)
	if ids, ok := strings.CutPrefix(u.Path, agenticPath); ok {
		s.project, s.id, ok = strings.Cut(ids, "/")
		if !ok || !serverID.MatchString(s.id) {
			return server{}, "does not name an MCP server", findURL
		}
	} else if s.project, ok = strings.CutPrefix(u.Path, appsPath); !ok {
		return server{}, "is not a Discovery URL", findURL
	}
	if !projectID.MatchString(s.project) {
		return server{}, "does not name a project", findURL
	}
	var fault *wellknown.Fault
	if err := wellknown.Issuer(s.issuer()); errors.As(err, &fault) {
		return server{}, fault.Problem, fault.Fix
	}
	return s, "", ""
}

// parseProjectID returns value if it is the ID of a project. Otherwise it returns what is wrong
// with it and what to write instead.
func parseProjectID(value string) (id, problem, fix string) {
	switch {
	case strings.Contains(value, "://"):
		return "", "is a URL", "set " + discoveryURLVariable + " to the Discovery URL, or " + findIDs
	case !projectID.MatchString(value):
		return "", "is not the ID of a project", findIDs
	}
	return value, "", ""
}

// parseServerID returns value if it is the ID of an MCP server. Otherwise it returns what is wrong
// with it and what to write instead.
func parseServerID(value string) (id, problem, fix string) {
	switch {
	case strings.Contains(value, "://"):
		return "", "is a URL", "set " + discoveryURLVariable + " to the Discovery URL, or " + findIDs
	case projectID.MatchString(value):
		return "", "is the ID of a project", findIDs
	case !serverID.MatchString(value):
		return "", "is not the ID of an MCP server", findIDs
	}
	return value, "", ""
}

// parseBaseURL returns the origin of the API that value is. Otherwise it returns what is wrong
// with value and what to write instead.
func parseBaseURL(value string) (base, problem, fix string) {
	if !strings.Contains(value, "://") {
		return "", "has no scheme", fmt.Sprintf("write %q", "https://"+strings.TrimRight(value, "/"))
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return "", "is not a URL", `write the origin of the API, like "https://api.descope.com"`
	}
	base = u.Scheme + "://" + strings.ToLower(u.Host)
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" {
		return "", "has more than a host", fmt.Sprintf("write %q", base)
	}
	var fault *wellknown.Fault
	if err := wellknown.Issuer(base); errors.As(err, &fault) {
		return "", fault.Problem, fault.Fix
	}
	return base, "", ""
}

// baseOf returns the origin of the API in the region of a project.
func baseOf(project string) string {
	region := ""
	if n := len(project) - shortIDLength; n > 0 {
		region = strings.ToLower(project[1:1+n]) + "."
	}
	return "https://api." + region + "descope.com"
}
