package clerk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	secretKeyVariable = "CLERK_SECRET_KEY"
	backendVariable   = "CLERK_API_URL"
	backendAPI        = "https://api.clerk.com"

	// opaquePrefix begins Clerk's opaque OAuth access tokens; mt_ and ak_ are
	// machine tokens and API keys.
	opaquePrefix = "oat_"

	maxVerifyAnswer = 64 << 10
	// recheck is the expiry of a token for which Clerk names none. It is good for
	// as long as Clerk says so when asked again.
	recheck = 2 * time.Minute
	// throttled is how long Clerk is left alone when it asks for patience and
	// does not say how much.
	throttled = 10 * time.Second
)

// Secret is a secret key of Clerk, "sk_test_…" or "sk_live_…". It prints as a
// placeholder.
type Secret string

func (Secret) String() string               { return "[redacted]" }
func (Secret) GoString() string             { return "[redacted]" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[redacted]") }
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// backend is Clerk's Backend API with the secret key of an instance.
type backend struct {
	url    string
	key    Secret
	issuer string
	client *http.Client
}

// backend returns the Backend API of cfg, or nil without a secret key.
func (cfg Config) backend(settings *env.Env, issuer string) (*backend, error) {
	field, key := "SecretKey", string(cfg.SecretKey)
	if key == "" {
		field, key = secretKeyVariable, settings.Get(secretKeyVariable)
	}
	if key == "" {
		return nil, nil
	}
	var faults []error
	// The value of a secret key stays out of every message.
	if strings.HasPrefix(key, "pk_") {
		faults = append(faults, &gatehouse.ConfigError{Field: field, Problem: "is a publishable key", Fix: "put the secret key there; it begins with \"sk_\""})
	} else if !strings.HasPrefix(key, "sk_") || strings.ContainsAny(key, " \t\r\n\"'") {
		faults = append(faults, &gatehouse.ConfigError{Field: field, Problem: "is not a secret key", Fix: `copy it whole from the Clerk Dashboard (Configure → API keys); it begins with "sk_test_" or "sk_live_"`})
	}
	address := cmp.Or(cfg.BackendAPIURL, settings.Get(backendVariable), backendAPI)
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && !wellknown.IsLoopback(u.Host) {
		faults = append(faults, &gatehouse.ConfigError{Field: "BackendAPIURL", Value: address, Problem: "is not an https origin", Fix: "leave it empty for " + backendAPI})
	}
	return &backend{url: address, key: Secret(key), issuer: issuer, client: &http.Client{CheckRedirect: noRedirect}}, errors.Join(faults...)
}

// noRedirect keeps the secret key from following Clerk elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// introspect is [gatehouse.Provider].Introspect: it has Clerk verify an opaque
// access token (POST /oauth_applications/access_tokens/verify). Clerk answers 404
// about a bad token, and 401 about a bad secret key.
func (b *backend) introspect(ctx context.Context, token string) (json.RawMessage, error) {
	if !strings.HasPrefix(token, opaquePrefix) {
		return nil, fmt.Errorf("%w: it is no OAuth access token of Clerk", gatehouse.ErrInactive)
	}
	body, err := json.Marshal(map[string]string{"access_token": token})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/oauth_applications/access_tokens/verify", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(b.key))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusBadRequest:
		return nil, fmt.Errorf("%w: Clerk does not know it", gatehouse.ErrInactive)
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("secret key is refused by Clerk (status %d); set %s to that of the instance %s", resp.StatusCode, secretKeyVariable, b.issuer)
	default:
		return nil, &statusError{resp.StatusCode, retryAfter(resp)}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxVerifyAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(answer) > maxVerifyAnswer {
		return nil, fmt.Errorf("answer of Clerk is longer than %d bytes", maxVerifyAnswer)
	}
	return b.claims(answer, time.Now())
}

// claims turns Clerk's answer into claims of RFC 7662, or the reason why the
// token is not active. A 200 does not mean that it is.
func (b *backend) claims(answer []byte, now time.Time) (json.RawMessage, error) {
	var a struct {
		Active     *bool           `json:"active"`
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
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("answer of Clerk: %w", err)
	}
	switch {
	case a.Active != nil && !*a.Active:
		return nil, fmt.Errorf("%w: Clerk says so", gatehouse.ErrInactive)
	case a.Subject == "":
		return nil, errors.New("answer of Clerk has no subject")
	case a.Revoked == nil || a.Expired == nil:
		return nil, errors.New("answer of Clerk says neither revoked nor expired")
	case *a.Revoked:
		return nil, fmt.Errorf("%w: it was revoked", gatehouse.ErrInactive)
	case *a.Expired:
		return nil, fmt.Errorf("%w: it has expired", gatehouse.ErrInactive)
	}
	claims := map[string]any{
		"iss": b.issuer, "sub": a.Subject, "client_id": a.ClientID, "jti": a.ID,
		"scope": strings.Join(a.Scopes, " "),
		"exp":   now.Add(recheck).Unix(),
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

// seconds reads a date that is in seconds in Clerk's API reference and in
// milliseconds in its SDKs.
func seconds(date float64) int64 {
	const latestSeconds = 1e11
	if date > latestSeconds {
		date /= 1000
	}
	return int64(date)
}

// statusError is an answer of Clerk that is about neither the token nor the key.
type statusError struct {
	status int
	after  time.Duration
}

func (e *statusError) Error() string { return fmt.Sprintf("Clerk answered status %d", e.status) }

// RetryAfter is how long Clerk is to be left alone; 0 if it did not ask for that.
func (e *statusError) RetryAfter() time.Duration { return e.after }

func retryAfter(resp *http.Response) time.Duration {
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 3600)) * time.Second
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		return throttled
	}
	return 0
}
