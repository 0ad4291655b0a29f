package localclerk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Scopes Clerk knows. Organizations bring ScopeOrganization along, and an
// instance may add its own.
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

// factoryScopes are what a dynamic client holds when neither it nor the
// instance names scopes.
var clerkDefaultScopes = []string{ScopeEmail, ScopeOfflineAccess, ScopeProfile}

// Settings are an instance's OAuth application settings, under the names of
// Clerk's Backend API (GET /v1/instance/oauth_application_settings). The zero
// value has everything off: no dynamic registration and opaque access tokens,
// as on an older instance. DefaultSettings is the one to start from.
type Settings struct {
	// DynamicOAuthClientRegistration opens POST /oauth/register.
	DynamicOAuthClientRegistration bool `json:"dynamic_oauth_client_registration"`

	// DefaultScopes are the scopes of a dynamic client that registers without
	// scope. Nil means Clerk's own: email offline_access profile.
	DefaultScopes []string `json:"default_scopes"`

	// OAuthJWTAccessTokens makes access tokens JWTs; off, they are opaque.
	OAuthJWTAccessTokens bool `json:"oauth_jwt_access_tokens"`

	// ClientIDMetadataDocumentsAdvertised admits https URLs as client ids.
	ClientIDMetadataDocumentsAdvertised bool `json:"client_id_metadata_documents_advertised"`

	// ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients admits only the
	// https URLs that were registered beforehand.
	ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients bool `json:"client_id_metadata_documents_only_allow_pre_registered_clients"`

	// ClientIDMetadataDocumentsBlockImplicitlyAllowedClients shuts out the
	// https URLs that were admitted without registration before.
	ClientIDMetadataDocumentsBlockImplicitlyAllowedClients bool `json:"client_id_metadata_documents_block_implicitly_allowed_clients"`

	// AudClaimEnabled puts the requested resource (RFC 8707) into aud.
	AudClaimEnabled bool `json:"aud_claim_enabled"`

	// PKCERequired demands S256 of confidential clients too. Public clients
	// always need it.
	PKCERequired bool `json:"pkce_required"`

	// OrganizationsDisabled takes away the scope user:org:read and the
	// organization picker.
	OrganizationsDisabled bool `json:"-"`

	// CustomScopes are the instance's own scopes, advertised in both
	// discovery documents.
	CustomScopes []string `json:"-"`
}

// DefaultSettings are those of a new Clerk instance (JWT access tokens,
// organizations, no aud claim) with dynamic registration switched on.
func DefaultSettings() Settings {
	return Settings{DynamicOAuthClientRegistration: true, OAuthJWTAccessTokens: true}
}

// Settings returns the settings in force.
func (s *Server) Settings() Settings { return s.currentSettings().clone() }

// SetSettings puts settings in force for every request from now on. Clients
// and tokens stay as they were registered and issued.
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

// scopes are those a client of the instance may hold, in the order in which
// discovery names them.
func (s Settings) supportedScopes() []string {
	known := []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopePublicMetadata, ScopePrivateMetadata, ScopeOfflineAccess}
	if !s.OrganizationsDisabled {
		known = append(known, ScopeOrganization)
	}
	return append(known, s.CustomScopes...)
}

// dynamicScopes are the scopes of a client that registers itself asking for
// requested. offline_access always comes along, and the list is sorted.
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

func (s Settings) check() error {
	var errs []error
	if len(s.CustomScopes) > maxCustomScopes {
		errs = append(errs, fmt.Errorf("localclerk: Settings.CustomScopes has %d scopes, want at most %d", len(s.CustomScopes), maxCustomScopes))
	}
	for _, scope := range s.CustomScopes {
		if !validScope(scope) {
			errs = append(errs, fmt.Errorf("localclerk: Settings.CustomScopes: %q is not a scope of RFC 6749 section 3.3", scope))
		}
	}
	for _, scope := range s.DefaultScopes {
		if !slices.Contains(s.supportedScopes(), scope) {
			errs = append(errs, fmt.Errorf("localclerk: Settings.DefaultScopes: got %q, want some of %q", scope, s.supportedScopes()))
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

// splitScope splits a scope parameter and drops repetitions.
func splitScope(s string) []string {
	var scopes []string
	for _, scope := range strings.Fields(s) {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
