package descope

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	appsPath    = "/v1/apps/"
	agenticPath = appsPath + "agentic/"

	// shortIDLength is the length of the IDs of projects and access keys in Descope's first
	// region. In other regions, the name of the region follows the first letter.
	shortIDLength = 28

	baseExample = "https://api.descope.com"
	findURL     = "copy the Discovery URL of the MCP server from the Descope Console " +
		"(Agentic Identity Hub → MCP Servers, Connection Information)"
	findIDs = "copy it from the Discovery URL in the Descope Console, …/v1/apps/agentic/PROJECT/MCP_SERVER/…"
)

var (
	projectPattern = regexp.MustCompile(`^P[0-9A-Za-z]{20,}$`)
	serverPattern  = regexp.MustCompile(`^[A-Z][0-9A-Za-z]{3,}$`)
	tenantPattern  = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)
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

// server returns the MCP server of cfg. ok is false if a setting has a fault.
func (cfg Config) server(r *setting.Reader) (s server, ok bool) {
	if v := r.Get("DiscoveryURL", cfg.DiscoveryURL, discoveryURLVariable); v.Text != "" && cfg.ProjectID == "" {
		return parseDiscoveryURL(r, v)
	}
	project := r.Get("ProjectID", cfg.ProjectID, projectIDVariable)
	if project.Text == "" {
		r.Fault(setting.Value{Name: discoveryURLVariable}, "is missing", findURL+", or set "+projectIDVariable)
		return server{}, false
	}
	s.project = id(r, project, projectPattern, "a project")
	s.id = id(r, r.Get("MCPServerID", cfg.MCPServerID, serverIDVariable), serverPattern, "an MCP server")
	if s.base = r.Origin(r.Get("BaseURL", cfg.BaseURL, baseURLVariable), baseExample); s.base == "" {
		s.base = baseOf(s.project)
	}
	return s, !r.Failed()
}

// parseDiscoveryURL returns the MCP server or the project that has v as its Discovery URL or as its
// issuer. ok is false if v is neither.
func parseDiscoveryURL(r *setting.Reader, v setting.Value) (s server, ok bool) {
	reject := func(problem string) (server, bool) {
		r.Fault(v, problem, findURL)
		return server{}, false
	}
	if projectPattern.MatchString(v.Text) {
		r.Fault(v, "is the ID of a project", "write "+projectIDVariable+"="+v.Text+" and "+serverIDVariable)
		return server{}, false
	}
	if strings.Contains(v.Text, "://") && !strings.Contains(v.Text, appsPath) {
		return reject("is not a Discovery URL")
	}
	issuer, ok := wellknown.IssuerOf(v.Text)
	if !ok {
		issuer = r.NoSlash(v, baseExample+agenticPath+"P…/MS…")
	}
	u, err := url.Parse(issuer)
	if err != nil || issuer == "" {
		return server{}, false
	}
	s.base = u.Scheme + "://" + u.Host
	if ids, ok := strings.CutPrefix(u.Path, agenticPath); ok {
		if s.project, s.id, ok = strings.Cut(ids, "/"); !ok || !serverPattern.MatchString(s.id) {
			return reject("does not name an MCP server")
		}
	} else if s.project, ok = strings.CutPrefix(u.Path, appsPath); !ok {
		return reject("is not a Discovery URL")
	}
	if !projectPattern.MatchString(s.project) {
		return reject("does not name a project")
	}
	return s, true
}

// id returns v if it is an ID of the form pattern. Otherwise it reports what to write instead.
func id(r *setting.Reader, v setting.Value, pattern *regexp.Regexp, of string) string {
	switch {
	case strings.Contains(v.Text, "://"):
		r.Fault(v, "is a URL", "remove it and write "+discoveryURLVariable+"="+v.Text)
	case v.Text != "" && (!pattern.MatchString(v.Text) || pattern == serverPattern && projectPattern.MatchString(v.Text)):
		r.Fault(v, "is not the ID of "+of, findIDs)
	default:
		return v.Text
	}
	return ""
}

// baseOf returns the origin of the API in the region of a project.
func baseOf(project string) string {
	region := ""
	if n := len(project) - shortIDLength; n > 0 {
		region = project[1:1+n] + "."
	}
	return "https://api." + region + "descope.com"
}
