package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/endpoint"
)

const (
	issuer = "https://accounts.google.com"

	// tokenInfoURL is the endpoint that says what an access token is for
	// (https://cloud.google.com/docs/authentication/token-types).
	tokenInfoURL = "https://oauth2.googleapis.com/tokeninfo"

	// accessTokenPrefix begins Google's access tokens. Refresh tokens begin with "1//", API keys
	// with "AIza", and ID tokens are JWTs.
	accessTokenPrefix = "ya29."

	// maxLifetime bounds what an answer says about the lifetime of a token. Google's access tokens
	// live for an hour, and for at most twelve.
	maxLifetime = 24 * time.Hour
)

// tokenInfo asks Google about access tokens.
type tokenInfo struct {
	clientIDs []string
	client    *http.Client
}

// introspect is the Introspect function of the provider. The token is in the Authorization
// header, as Google's own libraries send it, and not in the URL, which logs and proxies record.
func (t *tokenInfo) introspect(ctx context.Context, token string) (json.RawMessage, error) {
	if !strings.HasPrefix(token, accessTokenPrefix) {
		return nil, fmt.Errorf("%w: it is not an access token of Google, which "+
			"begins with %q", gatehouse.ErrInactive, accessTokenPrefix)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenInfoURL, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	body, err := endpoint.Send(t.client, req)
	var status *endpoint.StatusError
	switch {
	case errors.As(err, &status) && status.Status == http.StatusBadRequest && isInvalidToken(status.Body):
		return nil, fmt.Errorf("%w: Google does not know it, or it has expired or was revoked", gatehouse.ErrInactive)
	case err != nil:
		return nil, fmt.Errorf("asking tokeninfo: %w", err)
	}
	return t.claims(body, time.Now())
}

// isInvalidToken reports whether an answer with the status 400 says that the token is invalid.
// Some of these answers have no error code. Any other answer says nothing about the token.
func isInvalidToken(body []byte) bool {
	var a struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := strictjson.Unmarshal(body, &a); err != nil {
		return false
	}
	return a.Error == "invalid_token" || a.Error == "" && a.Description == "Invalid Value"
}

// answer is an answer of tokeninfo about an access token. Numbers and booleans are strings in it.
// Subject, Email and EmailVerified depend on the scopes of the token.
type answer struct {
	Presenter     string `json:"azp"`
	Audience      string `json:"aud"`
	Subject       string `json:"sub"`
	Scope         string `json:"scope"`
	Expiry        text   `json:"exp"`
	ExpiresIn     text   `json:"expires_in"`
	Email         string `json:"email"`
	EmailVerified text   `json:"email_verified"`
}

// text is a string, a number or a boolean, as text.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
		return nil
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		return errors.New("want a string, a number or a boolean")
	}
	*t = text(b)
	return nil
}

// claims returns an answer of tokeninfo as the claims of RFC 7662. Google returns no issuer. A
// token that another client presents is for that client, so that client is then the audience.
func (t *tokenInfo) claims(body []byte, now time.Time) (json.RawMessage, error) {
	var a answer
	if err := strictjson.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("reading the answer of tokeninfo: %w", err)
	}
	if a.Audience == "" {
		return nil, errors.New("the answer of tokeninfo has no aud")
	}
	expiry, err := a.expiry(now)
	if err != nil {
		return nil, err
	}
	client, audience := a.Presenter, a.Audience
	if client == "" {
		client = a.Audience
	}
	if !slices.Contains(t.clientIDs, client) {
		audience = client
	}
	claims := map[string]any{
		"active": true, // tokeninfo answers 400 about any other token
		"iss":    issuer, "client_id": client, "aud": audience, "scope": a.Scope, "exp": expiry,
	}
	if a.Subject != "" {
		claims["sub"] = a.Subject
	}
	if a.Email != "" {
		claims["email"], claims["email_verified"] = a.Email, a.EmailVerified == "true"
	}
	return json.Marshal(claims)
}

// expiry returns the time at which the token expires, in seconds: exp, or else expires_in.
func (a answer) expiry(now time.Time) (int64, error) {
	latest := now.Add(maxLifetime).Unix()
	if seconds, err := strconv.ParseInt(string(a.Expiry), 10, 64); err == nil && seconds > 0 {
		return min(seconds, latest), nil
	}
	if seconds, err := strconv.ParseInt(string(a.ExpiresIn), 10, 64); err == nil && seconds > 0 && a.Expiry == "" {
		return min(now.Unix()+min(seconds, int64(maxLifetime/time.Second)), latest), nil
	}
	return 0, errors.New("the answer of tokeninfo has neither exp nor expires_in")
}
