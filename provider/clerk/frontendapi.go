package clerk

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	frontendAPIVariable    = "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"
	publishableKeyVariable = "CLERK_PUBLISHABLE_KEY"

	// proxyPath is the path of a proxy in Clerk's guides. The URL of the proxy,
	// including this path, is then the issuer.
	proxyPath = "/__clerk"
)

var subdomain = regexp.MustCompile(`^[a-z0-9-]+$`)

// issuer returns the issuer of the instance: from cfg if it names one, else from the
// environment of the process, else from the .env file.
func (cfg Config) issuer(settings *env.Env) (string, error) {
	for _, source := range []instanceSource{
		{"FrontendAPIURL", cfg.FrontendAPIURL, "PublishableKey", cfg.PublishableKey},
		variables(env.Env{Environment: settings.Environment}),
		variables(env.Env{File: settings.File}),
	} {
		if source.url != "" || source.key != "" {
			return source.issuer()
		}
	}
	return "", missing(frontendAPIVariable)
}

// instanceSource is one place that may name a Clerk instance, in two ways. The fields
// say what the user has to change.
type instanceSource struct {
	urlField, url string
	keyField, key string
}

func variables(settings env.Env) instanceSource {
	return instanceSource{
		frontendAPIVariable, settings.Get(frontendAPIVariable),
		publishableKeyVariable, settings.Get(publishableKeyVariable),
	}
}

// issuer returns the issuer that s names. A URL and a key that name different
// instances are an error.
func (s instanceSource) issuer() (string, error) {
	if s.url == "" {
		return parsePublishableKey(s.keyField, s.key)
	}
	issuer, err := parseFrontendAPI(s.urlField, s.url)
	if s.key == "" || isOutsideKeys(issuer) {
		return issuer, err
	}
	keyIssuer, keyErr := parsePublishableKey(s.keyField, s.key)
	if err := errors.Join(err, keyErr); err != nil {
		return "", err
	}
	if issuer != keyIssuer {
		return "", &gatehouse.ConfigError{
			Field:   s.urlField,
			Value:   s.url,
			Problem: fmt.Sprintf("and %s are for different Clerk instances: the key is for %q", s.keyField, keyIssuer),
			Fix:     "copy both from the same instance (Clerk Dashboard, Configure → API keys), or remove one of them",
		}
	}
	return issuer, nil
}

// isOutsideKeys reports whether no publishable key contains issuer: that of a local
// Clerk or of a proxy.
func isOutsideKeys(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && (u.Path == proxyPath || wellknown.IsLoopback(u.Host))
}

func missing(field string) error {
	fix := `set it to the Frontend API URL from the Clerk Dashboard (Configure → API keys), ` +
		`like "https://verb-noun-42.clerk.accounts.dev", in the environment or in a .env file`
	if dir, err := os.Getwd(); err == nil {
		fix += " in " + dir
	}
	return &gatehouse.ConfigError{Field: field, Problem: "is missing", Fix: fix + "; to try without an account, run: gatehouse dev"}
}

// parseFrontendAPI returns the issuer that value names. Its errors say what to paste
// instead.
func parseFrontendAPI(field, value string) (string, error) {
	fault := func(problem, fix string) (string, error) {
		return "", &gatehouse.ConfigError{Field: field, Value: wellknown.Redacted(value), Problem: problem, Fix: fix}
	}
	paste := func(u string) string { return `paste "` + u + `"` }
	const find = `copy the Frontend API URL from the Clerk Dashboard (Configure → API keys), ` +
		`like "https://verb-noun-42.clerk.accounts.dev"`

	switch {
	case strings.HasPrefix(value, "pk_"):
		return fault("is a publishable key", "set it as "+publishableKeyVariable+", or paste the Frontend API URL here")
	case strings.HasPrefix(value, "sk_"):
		// The message must not contain the secret key.
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
	case u.Scheme != "https" && !(u.Scheme == "http" && wellknown.IsLoopback(host)):
		return fault("is not https", paste("https://"+host+strings.TrimSuffix(u.Path, "/")))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fault("has more than a host", paste(origin))
	case u.Path == proxyPath:
		return checkedIssuer(origin+proxyPath, fault)
	case u.Path == "/":
		return fault("ends in a slash", paste(origin))
	case u.Path != "":
		return fault("has a path", paste(origin))
	}
	return checkedIssuer(origin, fault)
}

// checkedIssuer returns issuer, or the fault in it under the name of the setting that the
// user wrote.
func checkedIssuer(issuer string, fault func(problem, fix string) (string, error)) (string, error) {
	if err, ok := wellknown.Issuer(issuer).(*wellknown.Fault); ok {
		return fault(err.Problem, err.Fix)
	}
	return issuer, nil
}

// parsePublishableKey returns the issuer that a publishable key contains: after pk_test_
// or pk_live_ follows the base64 form of the host and a dollar sign.
func parsePublishableKey(field, value string) (string, error) {
	fault := func(problem string) (string, error) {
		return "", &gatehouse.ConfigError{
			Field:   field,
			Value:   value,
			Problem: problem,
			Fix:     `copy all of it from the Clerk Dashboard (Configure → API keys); it begins with "pk_test_" or "pk_live_"`,
		}
	}
	if strings.HasPrefix(value, "sk_") {
		return "", &gatehouse.ConfigError{
			Field:   field,
			Problem: "is a secret key",
			Fix:     `set it to the publishable key, which begins with "pk_", and revoke the secret key if it was published`,
		}
	}
	parts := strings.Split(value, "_")
	if len(parts) != 3 || parts[0] != "pk" || parts[1] != "test" && parts[1] != "live" {
		return fault("is not a publishable key")
	}
	// Keys have either alphabet of base64, with or without padding.
	encoded := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(parts[2], "="))
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return fault("is damaged")
	}
	host, ok := strings.CutSuffix(string(decoded), "$")
	if !ok || !strings.Contains(host, ".") || strings.ContainsAny(host, "$/:@ ") {
		return fault("is damaged")
	}
	return parseFrontendAPI(field, "https://"+host)
}
