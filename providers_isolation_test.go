package gatehouse_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// wires are the issuers of several providers, by host.
type wires map[string]*wire

func (w wires) RoundTrip(r *http.Request) (*http.Response, error) { return w[r.URL.Host].RoundTrip(r) }

// newTwoIssuers returns two issuers, and the handler of a guard for both.
func newTwoIssuers(t *testing.T, configure ...func(*gatehouse.Config)) ([]*wire, http.Handler) {
	t.Helper()
	second := &wire{&issuer{testissuer.New("https://second.example")}, testissuer.NewTransport()}
	second.publish(currentKey)
	both := []*wire{newWire(), second}
	cfg := gatehouse.Config{
		Resource:   resource,
		Providers:  []gatehouse.Provider{both[0].provider(), both[1].provider()},
		HTTPClient: &http.Client{Transport: wires{"issuer.example": both[0], "second.example": both[1]}},
		Logger:     quiet(),
	}
	for _, f := range configure {
		f(&cfg)
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	return both, guard.Wrap(behind)
}

// TestKeysOfOneProviderChange checks that a cached token of a provider survives a change of
// another one's keys, and not a change of its own.
func TestKeysOfOneProviderChange(t *testing.T) {
	for _, changed := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			both, handler := newTwoIssuers(t)
			tokens := []string{both[0].signed(currentKey), both[1].signed(currentKey)}
			for _, token := range tokens {
				wantStatus(t, handler, token, 200)
			}
			both[changed].publish(nextKey)
			time.Sleep(leastInterval)
			wantStatus(t, handler, both[changed].signed(nextKey), 200) // fetches the keys
			wantStatus(t, handler, tokens[changed], 401)
			wantStatus(t, handler, tokens[1-changed], 200)
			wantStatus(t, handler, both[1-changed].signed(nextKey), 401) // the other one has not published that key
		})
	}
}

// TestRejectionIsOfItsProvider checks that the challenge and the hint of a rejection are those
// of the provider that the token is from.
func TestRejectionIsOfItsProvider(t *testing.T) {
	issuers := []*issuer{newIssuer(t), newIssuer(t)}
	names := []string{"first", "second"}
	var providers []gatehouse.Provider
	for i, is := range issuers {
		p := is.provider()
		p.ScopesSupported = []string{"scope:" + names[i]}
		p.Hints = map[gatehouse.Reason]string{}
		for _, reason := range []gatehouse.Reason{"revoked", "expired", "bad_signature", "wrong_audience", "insufficient_scope"} {
			p.Hints[reason] = "hint of " + names[i]
		}
		providers = append(providers, p)
	}
	var hint string
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:     resource,
		Providers:    providers,
		Requirements: []gatehouse.Requirement{{Tool: "write", Require: gatehouse.Require{Scopes: []string{"write"}}}},
		Revoked:      func(id gatehouse.Identity) bool { return id.Subject == "revoked" },
		Logger:       quiet(),
		OnReject:     func(_ *http.Request, r gatehouse.Rejection) { hint = r.Hint },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	handler := guard.Wrap(behind)
	for i, is := range issuers {
		for name, token := range map[string]string{
			"revoked":            is.token(resource, testissuer.Claim("sub", "revoked")),
			"expired":            is.token(resource, testissuer.Claim("exp", time.Now().Add(-time.Hour).Unix())),
			"bad_signature":      withSignatureOf(is.token(resource), issuers[1-i].token(resource)),
			"wrong_audience":     is.token("https://other.example.com"),
			"insufficient_scope": is.token(resource),
		} {
			hint = ""
			resp := send(handler, request{header: bearer(token), body: call("write")})
			challenge := resp.Header.Get("WWW-Authenticate")
			if hint != "hint of "+names[i] || !strings.Contains(challenge, "scope:"+names[i]) || strings.Contains(challenge, "scope:"+names[1-i]) {
				t.Errorf("%s, token of %s: got hint %q and challenge %s", name, names[i], hint, challenge)
			}
		}
	}
}

// TestUnboundClientsOfTwoProviders checks that the warning about a client whose tokens have no
// audience is logged once for each provider, although both have a client with the same ID.
func TestUnboundClientsOfTwoProviders(t *testing.T) {
	issuers := []*issuer{newIssuer(t), newIssuer(t)}
	var providers []gatehouse.Provider
	for _, is := range issuers {
		p := is.provider()
		p.Tokens.Audience = gatehouse.AudienceIfPresent
		providers = append(providers, p)
	}
	var log testlog.Buffer
	guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Providers: providers, Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	handler := guard.Wrap(behind)
	for _, is := range issuers {
		for _, subject := range []string{"user_1", "user_2"} {
			wantStatus(t, handler, is.token(resource, testissuer.Claim("aud", nil), testissuer.Claim("sub", subject)), 200)
		}
		if text := log.String(); strings.Count(text, "token without audience accepted") != 1 || !strings.Contains(text, is.URL()) {
			t.Errorf("got the log %s, want one warning that names %s", text, is.URL())
		}
		log.Reset()
	}
}

// TestOpaqueOnlySizes checks that a JWT that its provider is asked about may be as long as other
// JWTs, and that another token may not.
func TestOpaqueOnlySizes(t *testing.T) {
	is := newIssuer(t)
	long := is.token(resource, testissuer.Claim("groups", strings.Repeat("x", 6<<10)))
	var asked atomic.Int32
	p := gatehouse.OIDC(is.URL())
	p.OpaqueOnly = true
	p.Introspect = func(ctx context.Context, token string) (json.RawMessage, error) {
		asked.Add(1)
		return introspecting(map[string]map[string]any{token: {"iss": is.URL(), "aud": resource}})(ctx, token)
	}
	for _, test := range []struct {
		name, token string
		maxBytes    int
		want        gatehouse.Reason
	}{
		{"control", is.token(resource), 0, ""},
		{"long JWT", long, 0, ""},
		{"long JWT, with a smaller limit", long, 2 << 10, "too_large"},
		{"long opaque token", strings.ReplaceAll(long, ".", "_"), 0, "too_large"},
	} {
		p.Tokens.MaxBytes = test.maxBytes
		asked.Store(0)
		_, why := identityFor(t, gatehouse.Config{Provider: p}, test.token)
		if why != test.want || (asked.Load() == 1) != (test.want == "") {
			t.Errorf("%s: got reason %q and %d requests, want %q", test.name, why, asked.Load(), test.want)
		}
	}
}
