package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// registration is the part of a registration response that this program uses.
type registration struct {
	clientID     string
	clientSecret savedsignin.Secret // empty for a public client
	scope        string
	management   *management // nil if the server does not offer it
}

// requestRegistration sends a registration request (RFC 7591 section 3.1) and returns the
// answer. It is used in place of oauthex.RegisterClient, which rejects an answer for the
// form of any member: Ory Hydra sends jwks as an object, as RFC 7591 section 2 defines it,
// and oauthex expects a string. The errors do not quote the answer, which may have secrets.
func (c *Client) requestRegistration(
	ctx context.Context, endpoint string, client *oauthex.ClientRegistrationMetadata,
) (*registration, error) {
	body, err := json.Marshal(client)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := trace.Peek(resp, trace.MaxDocument)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d, want 201", resp.StatusCode)
	}
	return parseRegistration(answer)
}

// parseRegistration parses a registration response (RFC 7591 section 3.2.1). It checks the
// members that matter to a sign-in. Other members may have any form.
func parseRegistration(answer []byte) (*registration, error) {
	members, err := strictjson.MembersShallow(answer)
	if err != nil {
		return nil, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	var (
		parsed       registration
		secret       string
		authMethod   string
		redirectURIs []string
		expiresAt    int64
	)
	for _, member := range []struct {
		name, words, want string // words name the member in errors
		value             any
	}{
		{"client_id", "client_id", "a string", &parsed.clientID},
		{"client_secret", "the client's secret", "a string", &secret},
		{"client_secret_expires_at", "the expiry of the client's secret", "an integer", &expiresAt},
		{"scope", "scope", "a string", &parsed.scope},
		{"token_endpoint_auth_method", "token_endpoint_auth_method", "a string", &authMethod},
		{"redirect_uris", "redirect_uris", "an array of strings", &redirectURIs},
	} {
		raw, ok := members[member.name]
		if !ok || json.Unmarshal(raw, member.value) == nil { // null means that there is no value
			continue
		}
		return nil, fmt.Errorf("%s is %s, want %s", member.words, strictjson.Describe(string(raw)), member.want)
	}
	if parsed.clientID == "" {
		return nil, errors.New("client_id is missing or empty")
	}
	parsed.clientSecret = savedsignin.Secret(secret)
	parsed.management = parseManagement(answer)
	return &parsed, checkRedirectURIs(redirectURIs)
}

// parseManagement returns how to delete the client, or nil if the answer does not say it in the
// form of RFC 7592 section 3. A sign-in does not need it.
func parseManagement(answer []byte) *management {
	var members struct {
		URI   any `json:"registration_client_uri"`
		Token any `json:"registration_access_token"`
	}
	if json.Unmarshal(answer, &members) != nil {
		return nil
	}
	uri, _ := members.URI.(string)
	token, _ := members.Token.(string)
	if uri == "" || token == "" {
		return nil
	}
	return &management{uri: uri, token: savedsignin.Secret(token)}
}

// checkRedirectURIs returns an error if a URI has a scheme with which a browser runs a script.
func checkRedirectURIs(uris []string) error {
	for i, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			return fmt.Errorf("redirect_uris[%d] is not a URL", i)
		}
		if scheme := strings.ToLower(u.Scheme); slices.Contains([]string{"javascript", "data", "vbscript"}, scheme) {
			return fmt.Errorf("redirect_uris[%d] has the disallowed scheme %q", i, scheme)
		}
	}
	return nil
}
