// Package introspection asks an identity provider about access tokens by OAuth 2.0 Token
// Introspection (RFC 7662). It is for providers whose access tokens are opaque, or that can
// revoke tokens before they expire and must be asked each minute.
//
// As a provider of its own, which accepts introspected tokens only:
//
//	provider := introspection.New(introspection.Config{
//		Issuer:       "https://issuer.example.com",
//		ClientID:     "my-mcp-server",
//		ClientSecret: gatehouse.Secret(os.Getenv("CLIENT_SECRET")),
//	})
//
// Next to JWTs, in the [gatehouse.Provider] of an issuer that has both, use [Func] as its
// field Introspect, and OpaquePrefixes for what opaque tokens begin with.
package introspection

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/endpoint"
)

// Config describes an introspection endpoint, and how this server proves to it that it may
// ask. Issuer is required, and one way to authenticate: ClientSecret, PrivateKey or
// Unauthenticated.
type Config struct {
	_ [0]func()

	// Issuer is the issuer identifier. An answer without iss is considered to be about a token of
	// this issuer; one with another iss is rejected.
	Issuer string

	// Endpoint is the URL of the introspection endpoint. Empty means the
	// introspection_endpoint of the issuer's metadata (RFC 8414 §2).
	Endpoint string

	// ClientID is the client as which this server authenticates (RFC 6749 §2.3).
	ClientID string

	// ClientSecret is the secret of the client. It is sent as HTTP Basic credentials
	// (client_secret_basic), or with Post in the body (client_secret_post).
	ClientSecret gatehouse.Secret
	Post         bool

	// PrivateKey authenticates the client by a signed assertion (private_key_jwt, RFC 7523
	// §2.2): an RSA key of at least 2048 bits (RS256), an ECDSA key on P-256 (ES256) or an
	// Ed25519 key (EdDSA). KeyID is its kid; empty means none.
	PrivateKey crypto.Signer
	KeyID      string

	// AssertionAudience is the aud of the assertion. Empty means Issuer.
	AssertionAudience string

	// Unauthenticated sends no credentials: for an endpoint that only this server can reach,
	// such as the admin port of Ory Hydra. RFC 7662 §2.1 requires credentials elsewhere,
	// because anyone could try tokens there.
	Unauthenticated bool

	// Lifetime is how long a token is valid whose answer has no exp, counted from the
	// answer. Zero rejects such tokens. The answer is asked for again each minute in any
	// case; Lifetime ends sessions and streams.
	Lifetime time.Duration

	// InsecureHTTP accepts an Endpoint with plain http on another host than loopback, as in
	// a private network of containers. Anyone who can read that network gets the credentials
	// of this server and the tokens of its users.
	InsecureHTTP bool

	// HTTPClient sends the requests. Nil means a default client. Its redirect policy and
	// timeout are ignored: redirects are not followed, and the guard limits the time.
	HTTPClient *http.Client
}

// maxLifetime bounds Config.Lifetime.
const maxLifetime = 30 * 24 * time.Hour

// otherTokens are the claims with which issuers mark an answer about a token that is not an
// access token: Ory Hydra (token_use), Keycloak (typ) and others (token_type).
var otherTokens = map[string]map[string]string{
	"token_use":  {"refresh_token": "refresh token", "refresh": "refresh token", "id_token": "ID token", "id": "ID token"},
	"token_type": {"refresh_token": "refresh token", "id_token": "ID token"},
	"typ":        {"Refresh": "refresh token", "Offline": "offline token", "ID": "ID token", "Logout": "logout token"},
}

// New returns a provider that introspects every access token of the issuer. scopesSupported
// becomes [gatehouse.Provider.ScopesSupported]. An answer is rejected if token_use, token_type
// or typ says that it is about a refresh token or an ID token. If the endpoint describes such
// tokens without a mark, add a rule that distinguishes them, such as RequiredValues.
func New(cfg Config, scopesSupported ...string) gatehouse.Provider {
	introspect, err := Func(cfg)
	rejected := make(map[string]map[string]string, len(otherTokens))
	for name, kinds := range otherTokens {
		rejected[name] = maps.Clone(kinds)
	}
	return gatehouse.Provider{
		Tokens:          gatehouse.TokenRules{RejectedClaims: rejected},
		Name:            cfg.Issuer,
		Issuer:          cfg.Issuer,
		Introspect:      introspect,
		OpaqueOnly:      true,
		ScopesSupported: scopesSupported,
		Err:             err,
	}
}

// Func returns a function for [gatehouse.Provider.Introspect] that asks the endpoint of cfg. It
// is safe for concurrent use. The error has all faults of cfg.
//
// The claims are the answer of the endpoint as it is, with iss and exp if it lacks them; the
// guard checks them by the rules of the provider. If the endpoint also answers about refresh
// tokens, the rules must distinguish them from access tokens: {"token_use": {"access_token"}} in
// RequiredValues for Ory Hydra, for example.
func Func(cfg Config) (func(ctx context.Context, token string) (json.RawMessage, error), error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	i := &introspector{cfg: cfg, client: endpoint.Client(cfg.HTTPClient)}
	if cfg.InsecureHTTP {
		i.client.Transport = http.DefaultTransport
		if cfg.HTTPClient != nil && cfg.HTTPClient.Transport != nil {
			i.client.Transport = cfg.HTTPClient.Transport
		}
	}
	if cfg.Endpoint == "" {
		i.metadata = openMetadata(cfg)
	}
	return i.introspect, nil
}

func (cfg *Config) validate() error {
	var faults []error
	fault := func(field, value, problem, fix string) {
		faults = append(faults, &gatehouse.ConfigError{Field: "introspection.Config." + field, Value: value, Problem: problem, Fix: fix})
	}
	urlFault := func(field, value string) {
		var f *wellknown.Fault
		if err := wellknown.Issuer(value); errors.As(err, &f) {
			fault(field, wellknown.Redacted(value), f.Problem, f.Fix)
		}
	}
	if cfg.Issuer == "" {
		fault("Issuer", "", "is missing", `set it to the URL of the issuer, like "https://issuer.example.com"`)
	} else {
		urlFault("Issuer", cfg.Issuer)
	}
	if cfg.Endpoint != "" && !(cfg.InsecureHTTP && strings.HasPrefix(cfg.Endpoint, "http://")) {
		urlFault("Endpoint", cfg.Endpoint)
	}
	if cfg.InsecureHTTP && !strings.HasPrefix(cfg.Endpoint, "http://") {
		fault("InsecureHTTP", "", "has no effect, because Endpoint has no plain http", "remove it")
	}
	cfg.validateCredentials(fault)
	if cfg.Lifetime < 0 || cfg.Lifetime > maxLifetime {
		fault("Lifetime", cfg.Lifetime.String(), "is out of range", "use 0 to "+maxLifetime.String())
	}
	return errors.Join(faults...)
}

// validateCredentials checks that there is one way to authenticate.
func (cfg *Config) validateCredentials(fault func(field, value, problem, fix string)) {
	var ways []string
	for _, way := range []struct {
		name  string
		isSet bool
	}{{"ClientSecret", cfg.ClientSecret != ""}, {"PrivateKey", cfg.PrivateKey != nil}, {"Unauthenticated", cfg.Unauthenticated}} {
		if way.isSet {
			ways = append(ways, way.name)
		}
	}
	switch {
	case len(ways) == 0:
		fault("ClientSecret", "", "is missing", "set it to the secret of a client that may introspect tokens, or set PrivateKey, "+
			"or Unauthenticated for an endpoint that only this server can reach")
	case len(ways) > 1:
		fault(ways[0], "", "is set in addition to "+strings.Join(ways[1:], " and "), "set one of them")
	case cfg.ClientID == "" && !cfg.Unauthenticated:
		fault("ClientID", "", "is missing", "set it to the client that "+ways[0]+" belongs to")
	}
	if cfg.Post && cfg.ClientSecret == "" {
		fault("Post", "", "has no effect without ClientSecret", "remove it")
	}
	if cfg.PrivateKey != nil {
		if _, err := signingMethod(cfg.PrivateKey); err != nil {
			fault("PrivateKey", "", "cannot be used: "+err.Error(), "use an RSA key of at least 2048 bits, an ECDSA key on P-256, or an Ed25519 key")
		}
	}
}

// introspector asks one endpoint.
type introspector struct {
	cfg      Config
	client   *http.Client
	metadata *metadata // nil if Config.Endpoint is set
}

// introspect asks about a token.
func (i *introspector) introspect(ctx context.Context, token string) (json.RawMessage, error) {
	address := i.cfg.Endpoint
	if i.metadata != nil {
		var err error
		if address, err = i.metadata.endpoint(ctx); err != nil {
			return nil, err
		}
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if err := i.addCredentials(form); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the introspection endpoint is not a URL")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if i.cfg.ClientSecret != "" && !i.cfg.Post {
		// RFC 6749 §2.3.1: both are form-encoded first.
		r.SetBasicAuth(url.QueryEscape(i.cfg.ClientID), url.QueryEscape(string(i.cfg.ClientSecret)))
	}
	answer, err := endpoint.Send(i.client, r)
	var status *endpoint.StatusError
	if errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden) {
		return nil, fmt.Errorf("the introspection endpoint rejects the client %q (status %d); check its secret or key, and that it may introspect tokens",
			i.cfg.ClientID, status.Status)
	}
	if status != nil && isUnsupported(status.Body) {
		return nil, fmt.Errorf("%w: the issuer does not introspect tokens of this type", gatehouse.ErrInactive)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the introspection endpoint: %w", err)
	}
	return i.complete(answer, time.Now())
}

// isUnsupported reports whether an answer has the error code unsupported_token_type (RFC 7009
// §2.2.1). An issuer of opaque tokens may answer so about a JWT, such as an ID token.
func isUnsupported(answer []byte) bool {
	var body struct {
		Error string `json:"error"`
	}
	return json.Unmarshal(answer, &body) == nil && body.Error == "unsupported_token_type"
}

// complete adds what RFC 7662 §2.2 lets an answer leave out: iss, which can only be the
// issuer that was asked, and exp with Config.Lifetime.
func (i *introspector) complete(answer []byte, now time.Time) (json.RawMessage, error) {
	members, err := strictjson.Members(answer)
	if err != nil {
		return nil, fmt.Errorf("reading the introspection answer: %w", err)
	}
	if active := members["active"]; string(active) == "false" {
		return nil, fmt.Errorf("%w: the issuer says so", gatehouse.ErrInactive)
	}
	added := false
	if _, ok := members["iss"]; !ok {
		text, err := json.Marshal(i.cfg.Issuer)
		if err != nil {
			return nil, err
		}
		members["iss"], added = text, true
	}
	if _, ok := members["exp"]; !ok && i.cfg.Lifetime > 0 {
		members["exp"], added = jsontext.Value(fmt.Sprint(now.Add(i.cfg.Lifetime).Unix())), true
	}
	if !added {
		return answer, nil
	}
	return json.Marshal(members)
}
