package diagnose

// observed is what the probes saw, as plain data. The table of clients judges it. A zero
// value of a field means that it was not seen.
type observed struct {
	// Endpoint is the URL of the MCP endpoint as the user wrote it, with scheme and host
	// in lower case. It is empty if the target is an issuer.
	Endpoint string

	Reachable bool // an HTTP answer came from Endpoint, or else from Issuer.Expected
	Loopback  bool // Endpoint is on this machine, so clients that run in the cloud cannot reach it
	Open      bool // Endpoint answers without a token, and never asks for one
	Public    bool // Endpoint answers without a token, but rejects an invalid one: some operations need a token

	Challenge observedChallenge

	// Documents are the protected resource metadata documents that were asked for, in the
	// order in which clients ask: the URL in the challenge if there is one, the path of
	// the endpoint, the root of the host. A URL appears once.
	Documents []observedResource

	Issuer observedIssuer

	CORS observedCORS

	// Legacy and Modern say what the endpoint answers to initialize (2025-11-25) and to
	// server/discover (2026-07-28), without a token unless Config.Token is set.
	Legacy, Modern observedEra
}

// observedChallenge is the 401 to a request without a token.
type observedChallenge struct {
	Status           int    // of the answer to initialize
	Present          bool   // there is a WWW-Authenticate header
	FirstScheme      string // of the first challenge, in lower case
	Bearer           bool   // one of the challenges is a bearer challenge
	ResourceMetadata string
	Scopes           []string
	Error            string
}

// Places of a protected resource metadata document.
const (
	placeChallenge = "challenge" // the URL in the challenge
	placePath      = "path"      // the well-known path, then the path of the endpoint
	placeRoot      = "root"      // the well-known path alone
)

// observedResource is one protected resource metadata document (RFC 9728).
type observedResource struct {
	Place  string
	URL    string
	Status int // 0 if there was no answer

	// Problem says why the document cannot be used, like "status 404". It is empty for a
	// JSON object.
	Problem string

	Resource             string
	AuthorizationServers []string
	Scopes               []string // scopes_supported
	HasScopes            bool     // scopes_supported is present
}

// Usable reports whether a client can read the document.
func (r observedResource) Usable() bool { return r.Problem == "" && r.URL != "" }

// Forms of the URL of an issuer's metadata.
const (
	formOAuth        = "oauth"         // /.well-known/oauth-authorization-server, then the path of the issuer
	formOpenID       = "openid"        // /.well-known/openid-configuration, then the path of the issuer
	formOpenIDSuffix = "openid-suffix" // the issuer, then /.well-known/openid-configuration
)

// observedIssuer is the authorization server that clients use: the first one that the
// resource metadata names.
type observedIssuer struct {
	Expected  string // as the resource metadata, or the user, names it
	Kind      string // "clerk", "entra", "okta", "google", "cognito", "authentik" or ""
	Documents []observedServer

	// Metadata is the first usable document, which is the one that clients use.
	Metadata observedServer

	// RegistrationOpen: a client can register itself (RFC 7591). CIMD: a URL may be the
	// client ID, and the issuer says so. PublicClients: "none" is among the client
	// authentication methods.
	RegistrationOpen, CIMD, PublicClients bool
	S256                                  bool
}

// observedServer is one authorization server metadata document (RFC 8414).
type observedServer struct {
	Form    string
	URL     string
	Status  int
	Problem string // why the document cannot be used; empty for a JSON object

	Issuer                string
	AuthorizationEndpoint string
	TokenEndpoint         string
	RegistrationEndpoint  string
	RevocationEndpoint    string
	JWKSURI               string
	AuthMethods           []string // token_endpoint_auth_methods_supported; nil if absent
	ChallengeMethods      []string // code_challenge_methods_supported
	ResponseTypes         []string
	GrantTypes            []string
	Scopes                []string // scopes_supported; nil if absent
	CIMD                  bool     // client_id_metadata_document_supported
	IssParameter          bool     // authorization_response_iss_parameter_supported
}

// Usable reports whether a client can read the document.
func (s observedServer) Usable() bool { return s.Problem == "" && s.URL != "" }

// observedCORS is what a web page of another origin may do.
type observedCORS struct {
	Origin    string // Config.Origin; without it, only Endpoint and Documents were seen, with an origin that no server allows by name
	Endpoint  bool   // the preflight of the endpoint allows a POST with Authorization
	Documents bool   // the resource metadata can be read
	Issuer    bool   // the metadata, the registration and the token endpoint can be used; only with Config.Origin
}

// observedEra is the answer to the first request of one revision.
type observedEra struct {
	Asked    bool
	Status   int
	Answered bool // with an MCP answer, so only with a token or from an open server
}
