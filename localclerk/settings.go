package localclerk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Scopes that Clerk defines. ScopeOrganization exists unless
// Settings.OrganizationsDisabled is set. Settings.CustomScopes adds others.
const (
	ScopeOpenID          = "openid"
	ScopeProfile         = "profile"
	ScopeEmail           = "email"
	ScopePublicMetadata  = "public_metadata"
	ScopePrivateMetadata = "private_metadata"
	ScopeOfflineAccess   = "offline_access"
	ScopeOrganization    = "user:org:read"
)

const (
	maxCustomScopes = 100
	maxScopeLength  = 256
)

// clerkDefaultScopes are the scopes of a dynamic client if neither its
// registration nor Settings.DefaultScopes names any.
var clerkDefaultScopes = []string{ScopeEmail, ScopeOfflineAccess, ScopeProfile}

// Settings are an instance's OAuth application settings. The JSON names are
// those of Clerk's Backend API (GET /v1/instance/oauth_application_settings).
// In the zero value everything is off: no dynamic registration and opaque
// access tokens, as on an older instance. Start from DefaultSettings instead.
type Settings struct {
	// DynamicOAuthClientRegistration enables dynamic client registration at
	// POST /oauth/register (RFC 7591).
	DynamicOAuthClientRegistration bool `json:"dynamic_oauth_client_registration"`

	// DefaultScopes are the scopes of a dynamic client that registers without
	// a scope. Nil means Clerk's default: email, offline_access and profile.
	// Empty means offline_access only, which every dynamic client has.
	DefaultScopes []string `json:"default_scopes"`

	// OAuthJWTAccessTokens makes access tokens JWTs. If false, they are opaque.
	OAuthJWTAccessTokens bool `json:"oauth_jwt_access_tokens"`

	// ClientIDMetadataDocumentsAdvertised allows the https URL of a client ID
	// metadata document as a client_id, and advertises that in discovery.
	ClientIDMetadataDocumentsAdvertised bool `json:"client_id_metadata_documents_advertised"`

	// ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients allows only those
	// https URLs that were passed to PreregisterClient.
	ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients bool `json:"client_id_metadata_documents_only_allow_pre_registered_clients"`

	// ClientIDMetadataDocumentsBlockImplicitlyAllowedClients blocks the https
	// URLs that were used earlier without being registered.
	ClientIDMetadataDocumentsBlockImplicitlyAllowedClients bool `json:"client_id_metadata_documents_block_implicitly_allowed_clients"`

	// AudClaimEnabled sets the aud claim of access tokens to the resource
	// parameter of the authorization request (RFC 8707).
	AudClaimEnabled bool `json:"aud_claim_enabled"`

	// PKCERequired makes PKCE with S256 required for confidential clients too.
	// It is always required for public clients.
	PKCERequired bool `json:"pkce_required"`

	// OrganizationsDisabled removes the scope user:org:read and the choice of
	// an organization on the consent page.
	OrganizationsDisabled bool `json:"-"`

	// CustomScopes are additional scopes of the instance, advertised in both
	// discovery documents. There may be 100, of at most 256 bytes each.
	CustomScopes []string `json:"-"`
}

// DefaultSettings returns the settings of a new Clerk instance (JWT access
// tokens, organizations, no aud claim), with dynamic registration enabled.
func DefaultSettings() Settings {
	return Settings{DynamicOAuthClientRegistration: true, OAuthJWTAccessTokens: true}
}

// Settings returns a copy of the current settings.
func (s *Server) Settings() Settings { return s.currentSettings().clone() }

// SetSettings replaces the settings for all later requests. Existing clients and
// tokens do not change. If settings is invalid, it returns an error and changes
// nothing.
func (s *Server) SetSettings(settings Settings) error {
	if err := settings.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = settings.clone()
	return nil
}

func (s *Server) currentSettings() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings
}

func (s Settings) clone() Settings {
	s.DefaultScopes = slices.Clone(s.DefaultScopes)
	s.CustomScopes = slices.Clone(s.CustomScopes)
	return s
}

// SupportedScopes returns the scopes that a client of the instance may have, in
// the order of the discovery documents.
func (s Settings) SupportedScopes() []string {
	known := []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopePublicMetadata, ScopePrivateMetadata, ScopeOfflineAccess}
	if !s.OrganizationsDisabled {
		known = append(known, ScopeOrganization)
	}
	return append(known, s.CustomScopes...)
}

// unsupportedScope returns the first scope that the instance does not support, if
// there is one.
func (s Settings) unsupportedScope(scopes []string) (scope string, found bool) {
	supported := s.SupportedScopes()
	for _, scope := range scopes {
		if !slices.Contains(supported, scope) {
			return scope, true
		}
	}
	return "", false
}

// dynamicScopes returns the scopes of a client that registers itself with the
// scopes requested. As at Clerk, offline_access is always included and the list
// is sorted.
func (s Settings) dynamicScopes(requested []string) []string {
	if len(requested) == 0 {
		requested = s.DefaultScopes
	}
	if requested == nil {
		requested = clerkDefaultScopes
	}
	scopes := append(slices.Clone(requested), ScopeOfflineAccess)
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// check reports all invalid settings.
func (s Settings) check() error {
	var errs []error
	if len(s.CustomScopes) > maxCustomScopes {
		errs = append(errs, fmt.Errorf("localclerk: Settings.CustomScopes has %d scopes, want at most %d",
			len(s.CustomScopes), maxCustomScopes))
	}
	for _, scope := range s.CustomScopes {
		if !validScope(scope) {
			errs = append(errs, fmt.Errorf("localclerk: Settings.CustomScopes: %q is not a scope of RFC 6749 section 3.3", scope))
		}
	}
	for _, scope := range s.DefaultScopes {
		if !slices.Contains(s.SupportedScopes(), scope) {
			errs = append(errs, fmt.Errorf("localclerk: Settings.DefaultScopes: got %q, want one of %q",
				scope, s.SupportedScopes()))
		}
	}
	return errors.Join(errs...)
}

// validScope reports whether s is one scope-token of RFC 6749 section 3.3.
func validScope(s string) bool {
	if s == "" || len(s) > maxScopeLength {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// splitScope returns the scopes of a scope parameter without duplicates.
func splitScope(s string) []string {
	var scopes []string
	for _, scope := range strings.Fields(s) {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
