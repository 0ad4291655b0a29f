package trace

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// oauthDocument has the members that are shown of the JSON documents of a sign-in. Others
// may have any form.
type oauthDocument struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Issuer               string   `json:"issuer"`
	Registration         string   `json:"registration_endpoint"`
	Token                string   `json:"token_endpoint"`
	Revocation           string   `json:"revocation_endpoint"`
	ClientID             string   `json:"client_id"`
	Scope                any      `json:"scope"`      // a string; some servers send an array
	ExpiresIn            any      `json:"expires_in"` // a number; some servers send a string
}

// scope returns the scope, or "" if it is not a string.
func (d *oauthDocument) scope() string {
	scope, _ := d.Scope.(string)
	return scope
}

// recordOAuth reports an exchange with an endpoint of the sign-in.
func (t *Transport) recordOAuth(role Role, req *http.Request, resp *http.Response) error {
	body, err := Peek(resp, MaxDocument)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		t.recordRejection(role, req, JoinNonEmpty(": ", fmt.Sprint(resp.StatusCode), ErrorText(resp, body)))
		return nil
	}
	var doc oauthDocument
	if err := json.Unmarshal(body, &doc); err != nil && role != RoleRevocation {
		t.step("%s: %d, but the body is not a JSON object", attempt(role, req), resp.StatusCode)
		return nil
	}
	t.learnFrom(role, doc)
	where := WithoutQuery(req.URL)
	switch role {
	case RoleResourceMetadata:
		t.step("read the protected resource metadata %s: resource %s, authorization server %s",
			where, doc.Resource, strings.Join(doc.AuthorizationServers, " or "))
	case RoleServerMetadata:
		t.step("read the authorization server metadata %s: issuer %s", where, doc.Issuer)
	case RoleRegistration:
		t.step("registered client %s%s", doc.ClientID, IfSet(" (scope %q)", SortedScope(doc.scope())))
	case RoleToken:
		action := "exchanged the code for an access token"
		if grantType(req) == "refresh_token" {
			action = "refreshed the access token"
		}
		t.step("%s (%s)", action, JoinNonEmpty(", ", IfSet("scope %q", SortedScope(doc.scope())), lifetime(doc.ExpiresIn)))
	case RoleRevocation:
		t.step("revoked a token at %s: %d", where, resp.StatusCode)
	}
	return nil
}

// learnFrom records what later exchanges and explanations need of a document.
func (t *Transport) learnFrom(role Role, doc oauthDocument) {
	switch role {
	case RoleResourceMetadata:
		t.mu.Lock()
		t.resource = doc.Resource
		t.mu.Unlock()
	case RoleServerMetadata:
		t.mu.Lock()
		t.issuer = doc.Issuer
		t.mu.Unlock()
		t.Learn(doc.Registration, RoleRegistration)
		t.Learn(doc.Token, RoleToken)
		t.Learn(doc.Revocation, RoleRevocation)
	}
}

// recordRejection records and reports a rejection.
func (t *Transport) recordRejection(role Role, req *http.Request, text string) {
	t.mu.Lock()
	t.rejections[role] = text
	t.mu.Unlock()
	t.step("%s: %s", attempt(role, req), text)
}

// grantType returns the grant_type of a token request (RFC 6749 section 4).
func grantType(req *http.Request) string {
	form, err := url.ParseQuery(string(requestBody(req)))
	if err != nil {
		return ""
	}
	return form.Get("grant_type")
}

// maxLifetime bounds the lifetime of a token that is shown.
const maxLifetime = 100 * 365 * 24 * time.Hour

// lifetime describes the expires_in of a token response.
func lifetime(expiresIn any) string {
	seconds, err := strconv.ParseFloat(fmt.Sprint(expiresIn), 64)
	if err != nil || !(seconds > 0) {
		return "without an expiry"
	}
	return "expires in " + (time.Duration(min(seconds, maxLifetime.Seconds())) * time.Second).String()
}
