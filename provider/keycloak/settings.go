package keycloak

import (
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

// realmPath is what is between the URL of the server and the name of the realm in an issuer.
const realmPath = "/realms/"

// serverURL returns the URL of the server that v is, or reports what to write instead.
func serverURL(r *setting.Reader, v setting.Value) string {
	if before, after, ok := strings.Cut(v.Text, realmPath); ok {
		r.Fault(v, "is the URL of a realm", lines(before, after))
		return ""
	}
	if origin, path, ok := origin(v.Text); ok {
		if before, _, ok := strings.Cut(path+"/", "/admin/"); ok {
			r.Fault(v, "is the address of the admin console", fmt.Sprintf("write %q", origin+before))
			return ""
		}
	}
	return r.NoSlash(v, serverURLExample)
}

// origin splits a URL before its path.
func origin(address string) (origin, path string, ok bool) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return "", "", false
	}
	host, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + host, "/" + path, true
}

// realmName returns the name of the realm that v is, or reports what to write instead.
func realmName(r *setting.Reader, v setting.Value) string {
	before, after, isURL := strings.Cut(v.Text, realmPath)
	switch {
	case isURL && strings.Contains(before, "://"):
		r.Fault(v, "is the URL of a realm", lines(before, after))
	case strings.ContainsAny(v.Text, "/?#"):
		r.Fault(v, "is not the name of a realm", `write the name as it is in the URL after /realms/, like "demo"`)
	default:
		return v.Text
	}
	return ""
}

// lines returns the two settings to write for the realm at the beginning of path.
func lines(server, path string) string {
	realm, _, _ := strings.Cut(path, "/")
	return fmt.Sprintf("write %s=%s and %s=%s", serverURLVariable, server, realmVariable, realm)
}
