package keycloak

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// realmPath is what is between the URL of the server and the name of the realm in an issuer.
const realmPath = "/realms/"

// parseServerURL returns the URL of the server that value is, or what is wrong with it and what
// to write instead.
func parseServerURL(value string) (server, problem, fix string) {
	if !strings.Contains(value, "://") {
		return "", "has no scheme", fmt.Sprintf("write %q", "https://"+strings.TrimRight(value, "/"))
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return "", "is not a URL", fmt.Sprintf("write the URL of Keycloak, like %q", serverURLExample)
	}
	if before, after, ok := strings.Cut(value, realmPath); ok {
		realm, _, _ := strings.Cut(after, "/")
		return "", "is the URL of a realm", lines(before, realm)
	}
	path, _, isConsole := strings.Cut(u.Path, "/admin")
	clean := u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(path, "/")
	switch {
	case isConsole:
		return "", "is the address of the admin console", fmt.Sprintf("write %q", clean)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", "has more than a host and a path", fmt.Sprintf("write %q", clean)
	case path != strings.TrimRight(path, "/"):
		return "", "ends in a slash", fmt.Sprintf("write %q", clean)
	}
	return checkedURL(clean)
}

// parseRealm returns the name of the realm that value is, or what is wrong with it and what to
// write instead.
func parseRealm(value string) (realm, problem, fix string) {
	before, after, isURL := strings.Cut(value, realmPath)
	switch {
	case isURL && strings.Contains(before, "://"):
		realm, _, _ := strings.Cut(after, "/")
		return "", "is the URL of a realm", lines(before, realm)
	case strings.Contains(value, "://"):
		return "", "is a URL", `write the name of the realm, as in /realms/NAME, like "demo"`
	case strings.ContainsAny(value, "/?#"):
		parts := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("/?#", r) })
		if len(parts) == 0 {
			return "", "is not the name of a realm", `write it like "demo"`
		}
		return "", "is not the name of a realm", fmt.Sprintf("write %q", parts[len(parts)-1])
	}
	return value, "", ""
}

// lines returns the two settings to write for a realm.
func lines(server, realm string) string {
	return fmt.Sprintf("write %s=%s and %s=%s", serverURLVariable, server, realmVariable, realm)
}

// checkedURL returns value if it can be a part of an issuer.
func checkedURL(value string) (server, problem, fix string) {
	var fault *wellknown.Fault
	if err := wellknown.Issuer(value); errors.As(err, &fault) {
		return "", fault.Problem, fault.Fix
	}
	return value, "", ""
}
