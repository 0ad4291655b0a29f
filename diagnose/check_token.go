package diagnose

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// opaqueToken is a token that no one issued. It has the form of Clerk's.
const opaqueToken = "oat_00000000000000000000000000000000"

// forgedToken returns a JWT that names the issuer, a key and the endpoint, and whose signature
// is zeros. A server that looks at more than the signature shows by its answer what it
// expects.
func (d *doctor) forgedToken() string {
	now := d.cfg.Now().Unix()
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // maps of strings and numbers
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	members := map[string]any{"alg": d.signer.algorithm(), "typ": "at+jwt"}
	if d.signer.ID != "" {
		// A key that the server does not have could make it fetch the keys again.
		members["kid"] = d.signer.ID
	}
	header := encode(members)
	claims := encode(map[string]any{
		"iss": d.issuer, "sub": "user_gatehouse_doctor", "aud": d.resource(), "client_id": "gatehouse-doctor",
		"iat": now, "nbf": now, "exp": now + 300, "jti": "gatehouse-doctor", "scope": "",
	})
	return header + "." + claims + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256))
}

// examineTokens makes the checks for which a token is sent to the endpoint: two that no one
// issued, and Config.Token.
func (d *doctor) examineTokens(ctx context.Context) {
	if !d.observed.Reachable || d.has("endpoint", Fault) {
		return
	}
	if d.observed.Open {
		d.skip("token", "the endpoint asks for no token", "")
	} else {
		d.progress("sending invalid tokens to %s", d.endpoint.Host)
		d.checkInvalidTokens(ctx)
	}
	d.checkWithToken(ctx)
}

// checkInvalidTokens judges how the server rejects a token.
func (d *doctor) checkInvalidTokens(ctx context.Context) {
	tokens := []struct{ name, token string }{{"a string that is not a token", opaqueToken}}
	if d.issuer != "" {
		tokens = append(tokens, struct{ name, token string }{"a JWT with an invalid signature", d.forgedToken()})
	}
	answers := make([]*answer, len(tokens))
	var functions []func()
	for i, t := range tokens {
		functions = append(functions, func() {
			answers[i] = d.prober.send(ctx, initializeRequest(d.resource(),
				bearer(t.token)))
		})
	}
	all(functions...)
	d.rejectsOpaque = readGuardBody(answers[0]).Reason == "opaque"
	for i, a := range answers {
		if d.checkInvalidToken(a, "with "+tokens[i].name+": "+a.String()) {
			return // the second token would show the same
		}
	}
	last := answers[len(answers)-1]
	if problem := d.hasDetails(last); problem != "" {
		d.found("token.details", last.String())
	}
	d.ok("token", "%s", last)
}

// checkInvalidToken judges one answer. It returns true if it found a problem.
func (d *doctor) checkInvalidToken(a *answer, evidence string) bool {
	reason := readGuardBody(a).Reason
	switch {
	case a.err != nil:
		d.skip("token", evidence, "")
	case isMCPAnswer(a):
		d.found("token.accepted", evidence)
	case reason == "no_credentials":
		d.found("token.stripped", evidence+"; the guard of Gatehouse answers so if there is no Authorization header")
	case reason == "wrong_issuer":
		d.found("token.issuer_differs", evidence, "issuer", d.issuer)
	case a.status == http.StatusServiceUnavailable:
		d.found("token.unavailable", evidence)
	case a.status >= 500:
		d.found("token.server_error", evidence)
	case a.status == http.StatusForbidden:
		d.found("token.forbidden", evidence)
	case a.status == http.StatusBadRequest:
		d.found("token.bad_request", evidence)
	case a.status != http.StatusUnauthorized:
		d.found("token.other_status", evidence, "status", fmt.Sprint(a.status))
	case a.header.Get("Www-Authenticate") == "" && d.observed.Challenge.Present:
		d.found("token.no_challenge", evidence)
	case bearerParams(a)["error"] == "" && d.observed.Challenge.Present:
		d.found("token.no_error", evidence+"; WWW-Authenticate: "+challengeText(a))
	default:
		return false
	}
	return true
}

// bearerParams returns the parameters of the bearer challenge in an answer.
func bearerParams(a *answer) map[string]string {
	challenges, err := oauthex.ParseWWWAuthenticate(a.header.Values("Www-Authenticate"))
	if err != nil {
		return nil
	}
	for _, c := range challenges {
		if c.Scheme == "bearer" {
			return c.Params
		}
	}
	return nil
}

// internals are fragments of messages of verifiers that are for a log.
var internals = []string{
	"jwksnokey", "jwserror", "traceback (most recent", "no matching key", "illegal base64", "dial tcp", "x509:", "stack trace",
	"econnrefused", "at object.", "node_modules/", "goroutine ",
}

// hasDetails returns a fragment of an internal message in an answer, or "".
func (d *doctor) hasDetails(a *answer) string {
	text := strings.ToLower(string(a.body))
	for _, fragment := range internals {
		if strings.Contains(text, fragment) {
			return fragment
		}
	}
	return ""
}
