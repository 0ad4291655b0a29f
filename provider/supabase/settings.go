package supabase

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

const (
	// authPath is the path of Supabase Auth below the URL of a project. With the URL it is the
	// issuer.
	authPath = "/auth/v1"

	projectExample = "abcdefghijklmnopqrst"
	urlExample     = "https://" + projectExample + ".supabase.co"
	findProject    = "copy the ID of the project from the Supabase Dashboard (Project Settings → General), " +
		`like "` + projectExample + `"`
	findSecret = "remove it; the legacy JWT secret is on the page Project Settings → JWT Keys"

	minSecret = 32 // bytes (RFC 7518 §3.2)
)

// projectID is the form of the IDs of projects.
var projectID = regexp.MustCompile(`^[a-z0-9]+$`)

// issuer returns the issuer of the project, or "" if a setting has a fault.
func (cfg Config) issuer(r *setting.Reader) string {
	var base string
	if v := r.Get("URL", cfg.URL, urlVariable); v.Text != "" {
		base = projectURL(r, v)
	} else {
		base = projectURLOf(r, r.Require(findProject, "ProjectID", cfg.ProjectID, projectIDVariable))
	}
	if base == "" {
		return ""
	}
	return base + authPath
}

// projectURLOf returns the URL of the project whose ID is v, or reports what to write instead.
func projectURLOf(r *setting.Reader, v setting.Value) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(v.Text, "https://"), "/")
	id, isHost := strings.CutSuffix(host, ".supabase.co")
	switch {
	case v.Text == "":
	case isHost && projectID.MatchString(id):
		r.Fault(v, "is the URL of the project", fmt.Sprintf("write %q", id))
	case strings.ContainsAny(v.Text, ":/."):
		r.Fault(v, "is a URL", fmt.Sprintf("remove it and write %s=%s", urlVariable, v.Text))
	case !projectID.MatchString(v.Text):
		r.Fault(v, "is not the ID of a project", findProject)
	default:
		return "https://" + v.Text + ".supabase.co"
	}
	return ""
}

// projectURL returns the URL of a project that v is, or reports what to write instead.
func projectURL(r *setting.Reader, v setting.Value) string {
	before, _, isIssuer := strings.Cut(v.Text, authPath)
	switch {
	case projectID.MatchString(v.Text) && v.Text != "localhost":
		r.Fault(v, "is the ID of a project", fmt.Sprintf("remove it and write %s=%s", projectIDVariable, v.Text))
		return ""
	case isIssuer:
		r.Fault(v, "is the issuer, not the URL of the project", fmt.Sprintf("write %q", before))
		return ""
	case v.Text == "https://supabase.com" || strings.HasPrefix(v.Text, "https://supabase.com/"):
		r.Fault(v, "is the address of Supabase", fmt.Sprintf("write the URL of the project, like %q", urlExample))
		return ""
	}
	return r.Origin(v, urlExample)
}

// secret returns the legacy JWT secret, or "" if there is none or it has a fault.
func (cfg Config) secret(r *setting.Reader) gatehouse.Secret {
	v := r.Get("JWTSecret", string(cfg.JWTSecret), secretVariable)
	switch {
	case v.Text == "":
	case strings.HasPrefix(v.Text, "ey") && strings.Count(v.Text, ".") == 2:
		r.SecretFault(v, "is a JWT, such as the anon key", findSecret)
	case strings.HasPrefix(v.Text, "sb_"):
		r.SecretFault(v, "is an API key", findSecret)
	case len(v.Text) < minSecret:
		r.SecretFault(v, fmt.Sprintf("is %d bytes long, want at least %d", len(v.Text), minSecret),
			"rotate to signing keys (Supabase Dashboard, Project Settings → JWT Keys) and remove it")
	default:
		return gatehouse.Secret(v.Text)
	}
	return ""
}
