package main

import (
	"context"
	"log/slog"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"github.com/golang-jwt/jwt/v5"
)

// newGuard returns a guard for tokens of all three algorithms.
func newGuard(i *issuer, change ...func(*gatehouse.Config)) (*gatehouse.Guard, error) {
	provider := gatehouse.OIDC(i.url)
	provider.Tokens.RequiredClaims = []string{"client_id"}
	provider.Tokens.SubjectPrefix = "user_"
	cfg := gatehouse.Config{
		Resource: resource,
		Provider: provider,
		Logger:   slog.New(slog.DiscardHandler),
		// What a rejection costs is measured with more of them than one address may send.
		RateLimits: gatehouse.RateLimits{InsecureUnlimitedFailedSignIns: true},
	}
	for _, c := range change {
		c(&cfg)
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		return nil, err
	}
	return guard, guard.Ready(background)
}

// newVerifier returns the checks of the guard above for its tokens.
func newVerifier(i *issuer) *token.Verifier {
	return &token.Verifier{
		Rules: token.Rules{
			Algorithms:     algorithms,
			Types:          []string{"at+jwt"},
			RequiredClaims: []string{"client_id"},
			SubjectPrefix:  "user_",
		},
		Issuers:   []string{i.url},
		Resources: []string{resource},
	}
}

// accessClaims are the claims that a server reads from a token.
type accessClaims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
}

// golangJWT verifies with golang-jwt and keyfunc, checking as much as they can.
type golangJWT struct {
	parser *jwt.Parser
	keys   keyfunc.Keyfunc
}

func newGolangJWT(ctx context.Context, issuerURL string) (*golangJWT, error) {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{issuerURL + "/.well-known/jwks.json"})
	if err != nil {
		return nil, err
	}
	return &golangJWT{keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods(algorithms),
		jwt.WithIssuer(issuerURL),
		jwt.WithAudience(resource),
		jwt.WithExpirationRequired(),
	)}, nil
}

func (g *golangJWT) verify(raw string) (*accessClaims, error) {
	var claims accessClaims
	_, err := g.parser.ParseWithClaims(raw, &claims, g.keys.Keyfunc)
	return &claims, err
}

// goOIDC verifies with go-oidc, which treats the access token as an ID token.
type goOIDC struct{ verifier *oidc.IDTokenVerifier }

func newGoOIDC(ctx context.Context, i *issuer) *goOIDC {
	return &goOIDC{oidc.NewVerifier(i.url, oidc.NewRemoteKeySet(ctx, i.jwksURL()), &oidc.Config{
		ClientID:             resource,
		SupportedSigningAlgs: algorithms,
	})}
}

func (g *goOIDC) verify(ctx context.Context, raw string) (*accessClaims, error) {
	token, err := g.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	var claims accessClaims
	return &claims, token.Claims(&claims)
}
