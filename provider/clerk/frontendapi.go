package clerk

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
)

// proxyPath is where Clerk's own guides put its proxy; the proxy URL is then the
// issuer, path and all.
const proxyPath = "/__clerk"

var subdomain = regexp.MustCompile(`^[a-z0-9-]+$`)

// parseFrontendAPI returns the issuer that value names, or says what to paste
// instead.
func parseFrontendAPI(field, value string) (string, error) {
	fault := func(problem, fix string) (string, error) {
		return "", &gatehouse.ConfigError{Field: field, Value: value, Problem: problem, Fix: fix}
	}
	paste := func(u string) string { return `paste "` + u + `"` }
	const find = `copy the Frontend API URL from the Clerk Dashboard (Configure → API keys), like "https://verb-noun-42.clerk.accounts.dev"`

	switch {
	case strings.HasPrefix(value, "pk_"):
		return fault("is a publishable key", "put it into "+publishableKeyVariable+", or paste the Frontend API URL here")
	case strings.HasPrefix(value, "sk_"):
		// The value of a secret key stays out of the message.
		return "", &gatehouse.ConfigError{Field: field, Problem: "is a secret key", Fix: find}
	case subdomain.MatchString(value) && value != "localhost":
		return fault("is a bare subdomain", paste("https://"+value+".clerk.accounts.dev"))
	case !strings.Contains(value, "://"):
		return fault("has no scheme", paste("https://"+strings.TrimRight(value, "/")))
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return fault("is not a URL", find)
	}
	host := strings.ToLower(u.Host)
	origin := u.Scheme + "://" + host
	switch {
	case host == "dashboard.clerk.com" || host == "clerk.com" || host == "www.clerk.com":
		return fault("is the address of the Clerk Dashboard", find)
	case host == "api.clerk.com":
		return fault("is Clerk's Backend API", find)
	case strings.HasSuffix(host, ".accounts.dev") && !strings.HasSuffix(host, ".clerk.accounts.dev"):
		return fault("is the Account Portal of the instance", paste("https://"+strings.TrimSuffix(host, ".accounts.dev")+".clerk.accounts.dev"))
	case strings.HasPrefix(host, "accounts."):
		return fault("is the Account Portal of the instance", paste("https://clerk."+strings.TrimPrefix(host, "accounts.")))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fault("has more than a host", paste(origin))
	case u.Path == proxyPath:
		return origin + proxyPath, nil
	case u.Path == "/":
		return fault("ends in a slash", paste(origin))
	case u.Path != "":
		return fault("has a path", paste(origin))
	}
	return origin, nil
}

// parsePublishableKey returns the issuer inside a publishable key: pk_test_ or
// pk_live_ and base64 of the host and a dollar sign.
func parsePublishableKey(field, value string) (string, error) {
	fault := func(problem string) (string, error) {
		return "", &gatehouse.ConfigError{Field: field, Value: value, Problem: problem,
			Fix: `copy it whole from the Clerk Dashboard (Configure → API keys); it begins with "pk_test_" or "pk_live_"`}
	}
	if strings.HasPrefix(value, "sk_") {
		return "", &gatehouse.ConfigError{Field: field, Problem: "is a secret key", Fix: "put the publishable key here; it begins with \"pk_\", and revoke the secret key if it was published"}
	}
	parts := strings.Split(value, "_")
	if len(parts) != 3 || parts[0] != "pk" || parts[1] != "test" && parts[1] != "live" {
		return fault("is not a publishable key")
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(parts[2], "=")))
	if err != nil {
		return fault("is damaged")
	}
	host, ok := strings.CutSuffix(string(decoded), "$")
	if !ok || !strings.Contains(host, ".") || strings.ContainsAny(host, "$/:@ ") {
		return fault("is damaged")
	}
	return parseFrontendAPI(field, "https://"+host)
}
