package localclerk

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// applicationObject is an OAuth application of the Backend API.
type applicationObject struct {
	Object                string   `json:"object"`
	ID                    string   `json:"id"`
	InstanceID            string   `json:"instance_id"`
	Name                  string   `json:"name"`
	ClientID              string   `json:"client_id"`
	ClientSecret          string   `json:"client_secret,omitempty"` // only in the response that creates it
	ClientURI             string   `json:"client_uri,omitempty"`
	ClientImageURL        string   `json:"client_image_url,omitempty"`
	DynamicallyRegistered bool     `json:"dynamically_registered"`
	ConsentScreenEnabled  bool     `json:"consent_screen_enabled"`
	PKCERequired          bool     `json:"pkce_required"`
	Public                bool     `json:"public"`
	Scopes                string   `json:"scopes"`
	RedirectURIs          []string `json:"redirect_uris"`
	AuthorizeURL          string   `json:"authorize_url"`
	TokenFetchURL         string   `json:"token_fetch_url"`
	UserInfoURL           string   `json:"user_info_url"`
	DiscoveryURL          string   `json:"discovery_url"`
	TokenIntrospectionURL string   `json:"token_introspection_url"`
	CreatedAt             int64    `json:"created_at"` // milliseconds
	UpdatedAt             int64    `json:"updated_at"` // milliseconds
}

func (s *Server) newApplicationObject(c *client) applicationObject {
	return applicationObject{
		Object:                "oauth_application",
		ID:                    c.applicationID,
		InstanceID:            s.instanceID,
		Name:                  c.name,
		ClientID:              c.id,
		ClientURI:             c.uri,
		ClientImageURL:        c.logoURI,
		DynamicallyRegistered: c.dynamic,
		ConsentScreenEnabled:  c.consentScreen,
		PKCERequired:          c.pkceRequired || c.public(),
		Public:                c.public(),
		Scopes:                strings.Join(c.scopes, " "),
		RedirectURIs:          c.redirectURIs,
		AuthorizeURL:          s.issuer + "/oauth/authorize",
		TokenFetchURL:         s.issuer + "/oauth/token",
		UserInfoURL:           s.issuer + "/oauth/userinfo",
		DiscoveryURL:          s.issuer + "/.well-known/openid-configuration",
		TokenIntrospectionURL: s.issuer + "/oauth/token_info",
		CreatedAt:             c.createdAt.UnixMilli(),
		UpdatedAt:             c.createdAt.UnixMilli(),
	}
}

// listApplications lists the clients, oldest first. If the parameter name_query is
// set, it lists only those whose name or client ID contains it.
func (s *Server) listApplications(w http.ResponseWriter, r *http.Request) {
	query := strings.ToLower(r.URL.Query().Get("name_query"))
	var all []applicationObject
	for _, c := range s.store.allClients() {
		if strings.Contains(strings.ToLower(c.name), query) || strings.Contains(strings.ToLower(c.id), query) {
			all = append(all, s.newApplicationObject(c))
		}
	}
	writePage(s, w, r, all)
}

type applicationRequest struct {
	Name                 string   `json:"name"`
	RedirectURIs         []string `json:"redirect_uris"`
	Scopes               string   `json:"scopes"`
	Public               bool     `json:"public"`
	PKCERequired         bool     `json:"pkce_required"`
	ConsentScreenEnabled *bool    `json:"consent_screen_enabled"`
}

// createApplication creates a client with exactly the scopes in the body, or with
// profile and email if the body has no scopes.
func (s *Server) createApplication(w http.ResponseWriter, r *http.Request) {
	body := applicationRequest{Scopes: defaultScope}
	if !s.readBackendBody(w, r, &body) {
		return
	}
	if name, err := body.check(s.currentSettings()); err != nil {
		s.invalidParameter(w, r, name, err)
		return
	}
	c := &client{
		id:            randomString(base62, clientIDLength),
		applicationID: newID("oauthapp_"),
		name:          body.Name,
		redirectURIs:  body.RedirectURIs,
		scopes:        splitScope(body.Scopes),
		pkceRequired:  body.PKCERequired,
		consentScreen: body.ConsentScreenEnabled == nil || *body.ConsentScreenEnabled,
		createdAt:     s.now(),
	}
	if !body.Public {
		c.secret = newClientSecret()
	}
	s.store.addClient(c)
	object := s.newApplicationObject(c)
	object.ClientSecret = string(c.secret)
	writeJSON(w, http.StatusOK, object)
}

// check returns the name of the first invalid parameter, with the problem.
func (body applicationRequest) check(settings Settings) (name string, err error) {
	if body.Name == "" || len(body.Name) > maxClientName {
		return "name", fmt.Errorf("got %d bytes, want 1 to %d", len(body.Name), maxClientName)
	}
	if err := checkRedirectURIs(body.RedirectURIs); err != nil {
		return "redirect_uris", err
	}
	scopes := splitScope(body.Scopes)
	if len(scopes) == 0 {
		return "scopes", errors.New("it is empty")
	}
	if scope, ok := settings.unsupportedScope(scopes); ok {
		return "scopes", fmt.Errorf("got %q, want one of %q", scope, settings.SupportedScopes())
	}
	return "", nil
}
