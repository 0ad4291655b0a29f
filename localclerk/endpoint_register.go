package localclerk

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
)

const (
	maxRegistrationBody = 64 << 10
)

// registration contains the members of a client registration request that the
// response repeats (RFC 7591 sections 2 and 3.2.1). Other members are ignored, as
// at Clerk.
type registration struct {
	RedirectURIs            []string `json:"redirect_uris"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
	ClientName              string   `json:"client_name"`
	ClientURI               string   `json:"client_uri,omitempty"`
	LogoURI                 string   `json:"logo_uri,omitempty"`
	Scope                   string   `json:"scope"`
	ApplicationType         string   `json:"application_type,omitempty"`
}

type registrationResponse struct {
	ClientID              string `json:"client_id"`
	ClientSecret          string `json:"client_secret,omitempty"`
	ClientIDIssuedAt      int64  `json:"client_id_issued_at"`
	ClientSecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"`
	registration
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
}

// serveRegister is the client registration endpoint (RFC 7591 section 3).
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request) {
	settings := s.currentSettings()
	if !settings.DynamicOAuthClientRegistration {
		s.writeClerkError(w, r, clerkError{
			status:      http.StatusUnprocessableEntity,
			Code:        "feature_requires_dynamic_oauth_client_registration",
			Message:     "dynamic client registration is not enabled",
			LongMessage: "Dynamic client registration is not enabled on this instance. Please enable it in the instance settings to use this feature",
			fix:         "turn on dynamic_oauth_client_registration in the instance settings",
		})
		return
	}
	body, oauthErr := readRegistration(w, r)
	if oauthErr == nil {
		oauthErr = body.check(settings)
	}
	if oauthErr != nil {
		s.writeOAuthError(w, r, oauthErr)
		return
	}
	c := s.register(body, settings)
	body.ClientName = c.name
	body.Scope = strings.Join(c.scopes, " ")
	response := registrationResponse{
		ClientID:         c.id,
		ClientSecret:     string(c.secret),
		ClientIDIssuedAt: c.createdAt.Unix(),
		registration:     body,
		GrantTypes:       []string{grantAuthorizationCode},
		ResponseTypes:    responseTypes,
	}
	if !c.public() {
		response.ClientSecretExpiresAt = new(int64) // 0: never
	}
	noStore(w)
	writeJSON(w, http.StatusCreated, response)
}

func readRegistration(w http.ResponseWriter, r *http.Request) (registration, *oauthError) {
	var body registration
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return body, oauthErrorf(invalidClientMetadata,
			"The content type is '%s', want application/json.", r.Header.Get("Content-Type"))
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRegistrationBody)).Decode(&body); err != nil {
		return body, oauthErrorf(invalidClientMetadata, "The body is not a JSON object of client metadata: %v.", err)
	}
	if body.TokenEndpointAuthMethod == "" {
		body.TokenEndpointAuthMethod = authBasic
	}
	return body, nil
}

func (body registration) check(settings Settings) *oauthError {
	if err := checkRedirectURIs(body.RedirectURIs); err != nil {
		return oauthErrorf(invalidRedirectURI, "%v.", err)
	}
	if !slices.Contains(authMethods, body.TokenEndpointAuthMethod) {
		return oauthErrorf(invalidClientMetadata,
			"The token_endpoint_auth_method is '%s', want one of %s.", body.TokenEndpointAuthMethod, strings.Join(authMethods, ", "))
	}
	if !slices.Contains([]string{"", "web", "native"}, body.ApplicationType) {
		return oauthErrorf(invalidClientMetadata, "The application_type is '%s', want web or native.", body.ApplicationType)
	}
	for _, field := range []struct {
		name, value string
		max         int
	}{
		{"client_name", body.ClientName, maxClientName},
		{"client_uri", body.ClientURI, maxURILength},
		{"logo_uri", body.LogoURI, maxURILength},
		{"scope", body.Scope, maxClientScope},
	} {
		if len(field.value) > field.max {
			return oauthErrorf(invalidClientMetadata,
				"The %s has %d bytes, want at most %d.", field.name, len(field.value), field.max)
		}
	}
	if scope, ok := settings.unsupportedScope(splitScope(body.Scope)); ok {
		return oauthErrorf(invalidClientMetadata,
			"This instance does not support the scope '%s'; it supports %s.", scope, strings.Join(settings.SupportedScopes(), " ")).
			withFix("add the scope to the instance, or request another")
	}
	return nil
}

// register stores a new client. A client that registers itself always has a consent
// page.
func (s *Server) register(body registration, settings Settings) *client {
	c := &client{
		id:            randomString(base62, clientIDLength),
		applicationID: newID("oauthapp_"),
		name:          body.ClientName,
		uri:           body.ClientURI,
		logoURI:       body.LogoURI,
		redirectURIs:  body.RedirectURIs,
		scopes:        settings.dynamicScopes(splitScope(body.Scope)),
		dynamic:       true,
		consentScreen: true,
		createdAt:     s.now(),
	}
	if c.name == "" {
		c.name = c.id
	}
	if body.TokenEndpointAuthMethod != authNone {
		c.secret = newClientSecret()
	}
	s.store.addClient(c)
	return c
}
