package gatehousetest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// Verdict is what a guard says about one token of a [Vendor].
type Verdict struct {
	Sample   Sample
	Generic  bool               // whether the token is one of those that are made for every provider
	Got      gatehouse.Reason   // why it was rejected; empty if it was accepted
	Detail   string             // the details of the rejection, for people
	Identity gatehouse.Identity // if it was accepted
	Problem  string             // why this is not what the sample wants; empty if it is
}

// TestProvider checks that a guard with the provider p accepts the tokens of v and rejects its
// look-alikes, each for its own reason. For each token that is a JWT, it also makes look-alikes
// that every provider has: with another signature, an exp that has passed, another issuer,
// audience or algorithm, and others. p must send requests of its own with [Vendor.Client].
//
// It tests the rules of p by the forms of tokens that v records. That the provider issues such
// tokens, only the provider can show.
func TestProvider(t *testing.T, p gatehouse.Provider, v *Vendor) {
	t.Helper()
	verdicts, err := v.Judge(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, verdict := range verdicts {
		if verdict.Problem != "" {
			t.Errorf("%s: %s: %s", v.Vendor, verdict.Sample.Name, verdict.Problem)
		}
	}
}

// Judge returns what a guard with the provider p says about each token of v: its tokens, its
// look-alikes, and those that [TestProvider] makes. The error is a fault of p or v.
func (v *Vendor) Judge(ctx context.Context, p gatehouse.Provider) ([]Verdict, error) {
	var rejection gatehouse.Rejection
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:   v.Resource,
		Provider:   p,
		HTTPClient: v.Client(),
		Logger:     slog.New(slog.DiscardHandler),
		OnReject:   func(_ *http.Request, r gatehouse.Rejection) { rejection = r },
	})
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	if len(v.Tokens) == 0 {
		return nil, fmt.Errorf("%s has no token that must be accepted", v.Vendor)
	}
	specimens, err := v.specimens()
	if err != nil {
		return nil, err
	}
	if err := guard.Ready(ctx); err != nil {
		return nil, fmt.Errorf("with the documents of %s: %w", v.Vendor, err)
	}
	var verdicts []Verdict
	for _, s := range specimens {
		verdict := Verdict{Sample: s.Sample, Generic: s.generic}
		handler := guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			verdict.Identity, _ = gatehouse.IdentityOfHTTP(r)
		}))
		rejection = gatehouse.Rejection{}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, v.Resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		r.Header.Set("Authorization", "Bearer "+s.raw)
		r.Header.Set("Content-Type", "application/json")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		verdict.Got = rejection.Reason
		if rejection.Err != nil {
			verdict.Detail = rejection.Err.Error()
		}
		verdict.Problem = verdict.problem()
		verdicts = append(verdicts, verdict)
	}
	return verdicts, nil
}

// problem returns how the verdict differs from what the sample wants, or "".
func (v *Verdict) problem() string {
	want := v.Sample.Want
	switch {
	case v.Sample.Reason != "" && string(v.Got) == v.Sample.Reason:
		return ""
	case v.Sample.Reason != "" && v.Got == "":
		return "got accepted, want reason " + v.Sample.Reason
	case v.Got != "":
		return fmt.Sprintf("got reason %s (%s), want %s", v.Got, v.Detail, orAccepted(v.Sample.Reason))
	}
	var wrong []string
	compare := func(what, got, want string) {
		if want != "" && got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", what, got, want))
		}
	}
	id := v.Identity
	compare("subject", id.Subject, want.Subject)
	compare("client", id.ClientID, want.Client)
	compare("scopes", strings.Join(id.Scopes, " "), strings.Join(want.Scopes, " "))
	compare("roles", strings.Join(id.Roles, " "), strings.Join(want.Roles, " "))
	compare("permissions", strings.Join(id.Permissions, " "), strings.Join(want.Permissions, " "))
	compare("organization", id.Organization.ID, want.Organization)
	compare("kind", id.Kind.String(), want.Kind)
	return strings.Join(wrong, "; ")
}

func orAccepted(reason string) string {
	if reason == "" {
		return "it accepted"
	}
	return "reason " + reason
}

// specimen is a sample with its token.
type specimen struct {
	Sample
	raw     string
	generic bool
}

// specimens returns the tokens of v, its look-alikes, and those that are made for every token
// that is a JWT. All keys are made before a guard fetches them.
func (v *Vendor) specimens() ([]specimen, error) {
	var out []specimen
	for _, s := range slices.Concat(v.Tokens, v.LookAlikes) {
		raw, err := v.raw(&s, time.Now())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		out = append(out, specimen{Sample: s, raw: raw})
	}
	for _, s := range v.Tokens {
		if s.Opaque != "" {
			continue
		}
		for _, g := range generic {
			made, err := g.of(v, s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.name, err)
			}
			out = append(out, made)
		}
	}
	return out, nil
}

// Sign returns the text of a sample of v: an opaque token as it is written, and a JWT signed with a
// key that v publishes. Sign all samples before a guard fetches the keys.
func (v *Vendor) Sign(s Sample) (string, error) { return v.raw(&s, time.Now()) }

// raw returns the token of a sample.
func (v *Vendor) raw(s *Sample, now time.Time) (string, error) {
	if s.Opaque != "" {
		return s.Opaque, nil
	}
	return v.keys.sign(maps.Clone(s.Header), dated(s.Claims, now), v.Secret)
}
