package localclerk

import (
	"net/http"

	"github.com/golang-jwt/jwt/v5"
)

const (
	grantAuthorizationCode = "authorization_code"
	grantRefreshToken      = "refresh_token"
)

// authorizationServerMetadata is the document of RFC 8414. As at Clerk, only this
// document names the registration endpoint and the support of client ID metadata
// documents, and it names neither the userinfo nor the introspection endpoint.
type authorizationServerMetadata struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorization_endpoint"`
	TokenEndpoint            string   `json:"token_endpoint"`
	RevocationEndpoint       string   `json:"revocation_endpoint"`
	JWKSURI                  string   `json:"jwks_uri"`
	RegistrationEndpoint     string   `json:"registration_endpoint,omitempty"`
	ResponseTypes            []string `json:"response_types_supported"`
	GrantTypes               []string `json:"grant_types_supported"`
	TokenEndpointAuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	Scopes                   []string `json:"scopes_supported"`
	SubjectTypes             []string `json:"subject_types_supported"`
	IDTokenSigningAlgValues  []string `json:"id_token_signing_alg_values_supported"`
	Claims                   []string `json:"claims_supported"`
	ServiceDocumentation     string   `json:"service_documentation"`
	UILocales                []string `json:"ui_locales_supported"`
	TermsOfService           string   `json:"op_tos_uri"`
	CodeChallengeMethods     []string `json:"code_challenge_methods_supported"`
	AuthorizationResponseIss bool     `json:"authorization_response_iss_parameter_supported"`
	ClientIDMetadataDocument bool     `json:"client_id_metadata_document_supported,omitempty"`
}

// openIDConfiguration is the document of OpenID Connect Discovery 1.0. As at Clerk,
// it never names the registration endpoint.
type openIDConfiguration struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorization_endpoint"`
	TokenEndpoint            string   `json:"token_endpoint"`
	RevocationEndpoint       string   `json:"revocation_endpoint"`
	IntrospectionEndpoint    string   `json:"introspection_endpoint"`
	UserInfoEndpoint         string   `json:"userinfo_endpoint"`
	JWKSURI                  string   `json:"jwks_uri"`
	Scopes                   []string `json:"scopes_supported"`
	ResponseTypes            []string `json:"response_types_supported"`
	ResponseModes            []string `json:"response_modes_supported"`
	GrantTypes               []string `json:"grant_types_supported"`
	SubjectTypes             []string `json:"subject_types_supported"`
	IDTokenSigningAlgValues  []string `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	Claims                   []string `json:"claims_supported"`
	CodeChallengeMethods     []string `json:"code_challenge_methods_supported"`
	BackchannelLogout        bool     `json:"backchannel_logout_supported"`
	FrontchannelLogout       bool     `json:"frontchannel_logout_supported"`
	AuthorizationResponseIss bool     `json:"authorization_response_iss_parameter_supported"`
}

var (
	responseTypes        = []string{"code"}
	responseModes        = []string{modeQuery, modeFormPost}
	grantTypes           = []string{grantAuthorizationCode, grantRefreshToken}
	subjectTypes         = []string{"public"}
	signingAlgs          = []string{jwt.SigningMethodRS256.Alg()}
	authMethods          = []string{authBasic, authNone, authPost}
	codeChallengeMethods = []string{challengeS256}
)

func (s Settings) supportedClaims() []string {
	claims := []string{"sub", "iss", "aud", "exp", "iat", "email", "name"}
	if !s.OrganizationsDisabled {
		claims = append(claims, "org_id")
	}
	return claims
}

func (s *Server) serveAuthorizationServerMetadata(w http.ResponseWriter, r *http.Request) {
	settings := s.currentSettings()
	doc := authorizationServerMetadata{
		Issuer:                   s.issuer,
		AuthorizationEndpoint:    s.issuer + "/oauth/authorize",
		TokenEndpoint:            s.issuer + "/oauth/token",
		RevocationEndpoint:       s.issuer + "/oauth/token/revoke",
		JWKSURI:                  s.issuer + "/.well-known/jwks.json",
		ResponseTypes:            responseTypes,
		GrantTypes:               grantTypes,
		TokenEndpointAuthMethods: authMethods,
		Scopes:                   settings.SupportedScopes(),
		SubjectTypes:             subjectTypes,
		IDTokenSigningAlgValues:  signingAlgs,
		Claims:                   settings.supportedClaims(),
		ServiceDocumentation:     "https://clerk.com/docs/oauth/scoped-access",
		UILocales:                []string{"en"},
		TermsOfService:           "https://clerk.com/legal/standard-terms",
		CodeChallengeMethods:     codeChallengeMethods,
		AuthorizationResponseIss: true,
		ClientIDMetadataDocument: settings.ClientIDMetadataDocumentsAdvertised,
	}
	if settings.DynamicOAuthClientRegistration {
		doc.RegistrationEndpoint = s.issuer + "/oauth/register"
	}
	writeJSON(w, http.StatusOK, doc)
}

func (s *Server) serveOpenIDConfiguration(w http.ResponseWriter, r *http.Request) {
	settings := s.currentSettings()
	writeJSON(w, http.StatusOK, openIDConfiguration{
		Issuer:                   s.issuer,
		AuthorizationEndpoint:    s.issuer + "/oauth/authorize",
		TokenEndpoint:            s.issuer + "/oauth/token",
		RevocationEndpoint:       s.issuer + "/oauth/token/revoke",
		IntrospectionEndpoint:    s.issuer + "/oauth/token_info",
		UserInfoEndpoint:         s.issuer + "/oauth/userinfo",
		JWKSURI:                  s.issuer + "/.well-known/jwks.json",
		Scopes:                   settings.SupportedScopes(),
		ResponseTypes:            responseTypes,
		ResponseModes:            responseModes,
		GrantTypes:               grantTypes,
		SubjectTypes:             subjectTypes,
		IDTokenSigningAlgValues:  signingAlgs,
		TokenEndpointAuthMethods: authMethods,
		Claims:                   settings.supportedClaims(),
		CodeChallengeMethods:     codeChallengeMethods,
		AuthorizationResponseIss: true,
	})
}
