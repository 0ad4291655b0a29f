package clerk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/endpoint"
)

const (
	secretKeyVariable = "CLERK_SECRET_KEY"
	backendVariable   = "CLERK_API_URL"
	backendAPI        = "https://api.clerk.com"
	verifyPath        = "/v1/oauth_applications/access_tokens/verify"

	// developmentSuffix ends the issuer of every development instance, whose keys begin with
	// sk_test_.
	developmentSuffix = ".clerk.accounts.dev"

	// opaquePrefix begins Clerk's opaque OAuth access tokens. Machine tokens begin
	// with mt_, API keys with ak_.
	opaquePrefix = "oat_"

	// recheckAfter is the lifetime of a token for which Clerk returns no expiration.
	// The guard then asks Clerk again, and accepts the token for as long as Clerk does.
	recheckAfter = 2 * time.Minute
)

// Secret is a secret key of Clerk, "sk_test_…" or "sk_live_…". Printed, logged or
// encoded as JSON, it is "[redacted]". The key itself is string(s).
type Secret = gatehouse.Secret

// backend is Clerk's Backend API with the secret key of an instance. Plain http, which only
// an API on loopback may use, does not leave this machine, so that the key does not either.
type backend struct {
	url    string
	key    Secret
	issuer string
	client *http.Client

	members *members
}

// backend returns the Backend API of cfg for the instance with the issuer, or nil if there
// is no secret key.
func (cfg Config) backend(settings *env.Env, issuer string) (*backend, error) {
	field, key := "SecretKey", string(cfg.SecretKey)
	if key == "" {
		field, key = secretKeyVariable, settings.Get(secretKeyVariable)
	}
	if key == "" {
		return nil, nil
	}
	urlField, address := "BackendAPIURL", cfg.BackendAPIURL
	if address == "" {
		urlField, address = backendVariable, cmp.Or(settings.Get(backendVariable), backendAPI)
	}
	b := &backend{
		url:    address,
		key:    Secret(key),
		issuer: issuer,
		client: endpoint.Client(nil),

		members: newMembers(),
	}
	return b, errors.Join(checkSecretKey(field, key, issuer), checkBackendURL(urlField, address))
}

// checkSecretKey returns an error if key is not a secret key, or not one of the instance with
// the issuer. The error does not contain the key.
func checkSecretKey(field, key, issuer string) error {
	switch {
	case strings.HasPrefix(key, "pk_"):
		return &gatehouse.ConfigError{
			Field:   field,
			Problem: "is a publishable key",
			Fix:     `set it to the secret key, which begins with "sk_"`,
		}
	case !strings.HasPrefix(key, "sk_") || strings.ContainsAny(key, " \t\r\n\"'"):
		return &gatehouse.ConfigError{
			Field:   field,
			Problem: "is not a secret key",
			Fix:     `copy all of it from the Clerk Dashboard (Configure → API keys); it begins with "sk_test_" or "sk_live_"`,
		}
	case strings.HasPrefix(key, "sk_live_") && strings.HasSuffix(issuer, developmentSuffix):
		return &gatehouse.ConfigError{
			Field:   field,
			Problem: fmt.Sprintf("is the key of a production instance, and %q is a development instance", issuer),
			Fix:     `copy both from the same instance (Clerk Dashboard, Configure → API keys); its key begins with "sk_test_"`,
		}
	}
	return nil
}

// checkBackendURL returns an error if address is not an origin with https, or with http
// on loopback.
func checkBackendURL(field, address string) error {
	u, err := url.Parse(address)
	if err == nil && *u == (url.URL{Scheme: u.Scheme, Host: u.Host}) && u.Host != "" &&
		(u.Scheme == "https" || u.Scheme == "http" && wellknown.IsLoopback(u.Host)) {
		return nil
	}
	return &gatehouse.ConfigError{
		Field:   field,
		Value:   address,
		Problem: "is not an https origin",
		Fix:     "remove it to use " + backendAPI,
	}
}

// introspect is the Introspect function of the provider: it asks Clerk to verify an
// opaque access token. Clerk answers 404 if the token is invalid, and 401 if the secret
// key is.
func (b *backend) introspect(ctx context.Context, token string) (json.RawMessage, error) {
	if !strings.HasPrefix(token, opaquePrefix) {
		return nil, fmt.Errorf("%w: it is not an OAuth access token of Clerk", gatehouse.ErrInactive)
	}
	body, err := json.Marshal(map[string]string{"access_token": token})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+verifyPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(b.key))
	req.Header.Set("Content-Type", "application/json")
	answer, err := endpoint.Send(b.client, req)
	var status *endpoint.StatusError
	switch {
	case err == nil:
		return b.claims(answer, time.Now())
	case !errors.As(err, &status):
		return nil, err
	}
	switch status.Status {
	case http.StatusNotFound, http.StatusBadRequest:
		return nil, fmt.Errorf("%w: Clerk does not know it", gatehouse.ErrInactive)
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, b.keyError(err)
	}
	return nil, fmt.Errorf("asking Clerk: %w", err)
}

// claims returns Clerk's answer as the claims of RFC 7662, or an error if the token is
// not active: Clerk may answer 200 about such a token too. Clerk's answer about an active
// token has revoked and expired in place of active; if it has active, it must be true.
func (b *backend) claims(answer []byte, now time.Time) (json.RawMessage, error) {
	var a struct {
		Active     json.RawMessage `json:"active"`
		ID         string          `json:"id"`
		ClientID   string          `json:"client_id"`
		Subject    string          `json:"subject"`
		Scopes     []string        `json:"scopes"`
		Audience   json.RawMessage `json:"aud"`
		OrgID      string          `json:"org_id"`
		Revoked    *bool           `json:"revoked"`
		Expired    *bool           `json:"expired"`
		Expiration *float64        `json:"expiration"`
		CreatedAt  *float64        `json:"created_at"`
	}
	if err := strictjson.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("reading the answer of Clerk: %w", err)
	}
	switch {
	case len(a.Active) > 0 && string(a.Active) != "true":
		return nil, fmt.Errorf("%w: Clerk says so", gatehouse.ErrInactive)
	case a.Subject == "":
		return nil, errors.New("the answer of Clerk has no subject")
	case a.Revoked == nil || a.Expired == nil:
		return nil, errors.New("the answer of Clerk lacks revoked or expired")
	case *a.Revoked:
		return nil, fmt.Errorf("%w: it was revoked", gatehouse.ErrInactive)
	case *a.Expired:
		return nil, fmt.Errorf("%w: it has expired", gatehouse.ErrInactive)
	}
	claims := map[string]any{
		"active": true, // as Clerk says with revoked and expired
		"iss":    b.issuer, "sub": a.Subject, "client_id": a.ClientID, "jti": a.ID,
		"scope": strings.Join(a.Scopes, " "),
		"exp":   now.Add(recheckAfter).Unix(),
	}
	if a.Expiration != nil {
		claims["exp"] = seconds(*a.Expiration)
	}
	if a.CreatedAt != nil {
		claims["iat"] = seconds(*a.CreatedAt)
	}
	if a.OrgID != "" {
		claims["org_id"] = a.OrgID
	}
	if len(a.Audience) > 0 && string(a.Audience) != "null" && string(a.Audience) != "[]" {
		claims["aud"] = a.Audience
	}
	return json.Marshal(claims)
}

// seconds returns a date in seconds. Clerk's API reference has dates in seconds, its
// SDKs have milliseconds.
func seconds(date float64) int64 {
	const latestSeconds = 1e11 // about the year 5100
	if date > latestSeconds {
		date /= 1000
	}
	return int64(date)
}
