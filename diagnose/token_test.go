package diagnose_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// sample is a JWT of Clerk's, whose signature is made up.
var sample = jwtOf(`{"alg":"RS256","typ":"at+jwt","kid":"ins_2abc"}`,
	`{"iss":"https://verb-noun-42.clerk.accounts.dev","sub":"user_1","client_id":"c","jti":"oat_1","exp":4000000000}`)

func jwtOf(header, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 256))
}

func explain(t *testing.T, cfg diagnose.TokenConfig) *diagnose.TokenReport {
	t.Helper()
	report, err := diagnose.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func findingOf(r *diagnose.TokenReport, id string) *diagnose.Finding {
	for i := range r.Findings {
		if r.Findings[i].ID == id {
			return &r.Findings[i]
		}
	}
	return nil
}

// utf16Text is text in UTF-16, as PowerShell writes it.
func utf16Text(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// TestTokenText checks that the token is found in what people copy, and that what a server would
// not accept is reported.
func TestTokenText(t *testing.T) {
	t.Parallel()
	wrapped := strings.Join([]string{sample[:76], sample[76:152], sample[152:]}, "\n")
	for _, test := range []struct {
		name, text string
		around     bool // the text is more than a token
	}{
		{"alone", sample, false},
		{"with a line break at the end", sample + "\r\n", false},
		{"with a byte order mark", "\xef\xbb\xbf" + sample, false},
		{"in UTF-16", utf16Text(sample + "\r\n"), false},
		{"answer of a token endpoint", `{"token_type":"bearer","access_token":"` + sample + `","refresh_token":"secretsecret"}`, false},
		{"in quotes", `"` + sample + `"`, true},
		{"in single quotes", "'" + sample + "'\n", true},
		{"with scheme", "Bearer " + sample, true},
		{"header", "authorization: bearer " + sample, true},
		{"header in quotes", `"Authorization: Bearer ` + sample + `"`, true},
		{"variable", "export TOKEN=" + sample, true},
		{"variable in quotes", `TOKEN="` + sample + `"`, true},
		{"in several lines", wrapped, true},
		{"percent-encoded", strings.ReplaceAll(sample, ".", "%2e"), true},
	} {
		r := explain(t, diagnose.TokenConfig{Text: []byte(test.text)})
		if r.Kind != "access token" || len(r.Claims) != 5 {
			t.Errorf("%s: got %q with %d claims, want the access token", test.name, r.Kind, len(r.Claims))
		}
		if f := findingOf(r, "token.text"); (f != nil) != test.around {
			t.Errorf("%s: got the finding %+v, want one: %t", test.name, f, test.around)
		}
	}
}

// TestTokenKind checks the texts that are not JWTs.
func TestTokenKind(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, kind string
		level      diagnose.Level
		verdict    diagnose.TokenVerdict
	}{
		{"", "nothing", diagnose.Fault, diagnose.Rejected},
		{" \n\t", "nothing", diagnose.Fault, diagnose.Rejected},
		{`""`, "nothing", diagnose.Fault, diagnose.Rejected},
		{`{"error":"invalid_grant"}`, "nothing", diagnose.Fault, diagnose.Rejected},
		{"oat_0ef5a7a33d87ed87ee7954c845d80450", "opaque access token", diagnose.OK, diagnose.AcceptedIf},
		{"2YotnFZFEjr1zCsicMWpAA", "opaque token", diagnose.OK, diagnose.AcceptedIf},
		{"eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn", "encrypted token", diagnose.OK, diagnose.AcceptedIf},
		{"mt_0ef5a7a33d87ed87ee7954c845d80450", "opaque M2M token", diagnose.Fault, diagnose.Rejected},
		{"ak_0ef5a7a33d87ed87ee7954c845d80450", "API key", diagnose.Fault, diagnose.Rejected},
		{"sk_test_0ef5a7a33d87ed87ee7954c845d80450", "secret key", diagnose.Fault, diagnose.Rejected},
		{"pk_test_Y2xlcmsuaW5zcGlyZWQucHVtYS03NC5sY2wuZGV2JA", "publishable key", diagnose.Fault, diagnose.Rejected},
		{"1//0gexampleRefreshToken", "refresh token", diagnose.Fault, diagnose.Rejected},
		{sample[:40] + "…", "truncated token", diagnose.Fault, diagnose.Rejected},
		{sample[:40] + "...", "truncated token", diagnose.Fault, diagnose.Rejected},
	} {
		r := explain(t, diagnose.TokenConfig{Text: []byte(test.text)})
		kind := findingOf(r, "token.kind")
		if r.Kind != test.kind || kind == nil || kind.Level != test.level || r.Verdict != test.verdict {
			t.Errorf("%q: got %q, %s, %+v, want %q, %s, %s", test.text, r.Kind, r.Verdict, kind, test.kind, test.verdict, test.level)
		}
		if kind != nil && kind.Level == diagnose.Fault && (kind.Fix == "" || kind.Consequence == "") {
			t.Errorf("%q: got %+v, want a consequence and a fix", test.text, kind)
		}
	}
}

// TestTokenFlaws checks each flaw of package gatehousetest with the keys of the local Clerk.
func TestTokenFlaws(t *testing.T) {
	t.Parallel()
	c := gatehousetest.Clerk(t)
	server := gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: c.Provider()}
	ada := gatehousetest.Person{User: "ada"}
	valid := explain(t, diagnose.TokenConfig{Text: []byte(c.Token(t, server.Resource, ada)), Server: server, FetchKeys: true})
	if valid.Verdict != diagnose.Accepted {
		t.Errorf("got %s %q %+v, want that the token is accepted", valid.Verdict, valid.Reason, valid.Findings)
	}
	for flaw, want := range map[gatehousetest.Flaw]gatehouse.Reason{
		gatehousetest.Expired: "expired", gatehousetest.NotYetValid: "not_yet_valid", gatehousetest.WrongAudience: "wrong_audience",
		gatehousetest.WrongIssuer: "wrong_issuer", gatehousetest.Forged: "bad_signature", gatehousetest.Tampered: "bad_signature",
		gatehousetest.Unsigned: "wrong_algorithm", gatehousetest.IDToken: "wrong_type", gatehousetest.SessionToken: "wrong_type",
		gatehousetest.TemplateToken: "wrong_type", gatehousetest.MachineToken: "wrong_type",
	} {
		text := []byte(c.Token(t, server.Resource, ada, flaw))
		r := explain(t, diagnose.TokenConfig{Text: text, Server: server, FetchKeys: true})
		if r.Verdict != diagnose.Rejected || r.Reason != want {
			t.Errorf("%s: got %s %q, want %q", flaw, r.Verdict, r.Reason, want)
		}
		r = explain(t, diagnose.TokenConfig{Text: text, Server: server})
		signature := findingOf(r, "token.signature")
		if bySignature := want == "bad_signature"; bySignature && r.Verdict != diagnose.AcceptedIf || !bySignature && r.Reason != want {
			t.Errorf("%s, without keys: got %s %q, want %q unless it is about the signature", flaw, r.Verdict, r.Reason, want)
		} else if signature == nil || signature.Level != diagnose.Unchecked {
			t.Errorf("%s, without keys: got %+v, want that the signature is unchecked", flaw, signature)
		}
	}
	if n := len(gatehousetest.Flaws()); n != 11 {
		t.Errorf("%d flaws, want a row for each", n)
	}
}

// noRequests fails the test if something is sent.
type noRequests struct{ t *testing.T }

func (n noRequests) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("got a request to %s, want none", r.URL)
	return nil, errors.New("no request is allowed")
}

// TestTokenSendsNothing checks that nothing is sent unless it is asked for, and then only what was
// asked for.
func TestTokenSendsNothing(t *testing.T) {
	t.Parallel()
	asked := 0
	p := gatehouse.OIDC("https://issuer.example.com")
	p.OpaquePrefixes = []string{"opaque_"}
	p.Introspect = func(context.Context, string) (json.RawMessage, error) {
		asked++
		return json.RawMessage(`{"active":true,"iss":"https://issuer.example.com","sub":"u","exp":4000000000,"aud":"https://mcp.example.com/mcp"}`), nil
	}
	server := gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: p, HTTPClient: &http.Client{Transport: noRequests{t}}}
	opaque := []byte("opaque_0123456789")
	unbound := jwtOf(`{"alg":"RS256","typ":"at+jwt"}`, `{"iss":"https://issuer.example.com","sub":"u","exp":4000000000}`)
	for _, text := range []string{sample, string(opaque), unbound} {
		explain(t, diagnose.TokenConfig{Text: []byte(text), Server: server})
		explain(t, diagnose.TokenConfig{Text: []byte(text), Server: gatehouse.Config{HTTPClient: server.HTTPClient}})
	}
	r := explain(t, diagnose.TokenConfig{Text: opaque, Server: server})
	if f := findingOf(r, "token.introspection"); r.Verdict != diagnose.AcceptedIf || f == nil || f.Level != diagnose.Unchecked || asked != 0 {
		t.Errorf("got %s, %+v and %d questions, want that the token is unchecked", r.Verdict, f, asked)
	}
	r = explain(t, diagnose.TokenConfig{Text: opaque, Server: server, Introspect: true})
	if r.Verdict != diagnose.Accepted || asked != 1 {
		t.Errorf("got %s %q and %d questions, want that the provider accepts the token", r.Verdict, r.Reason, asked)
	}
}

// TestTokenTarget checks a token against the metadata of a server.
func TestTokenTarget(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	target := func(text string) *diagnose.TokenReport {
		t.Helper()
		return explain(t, diagnose.TokenConfig{
			Text: []byte(text), Target: r.target, Server: gatehouse.Config{HTTPClient: r.config.HTTPClient},
		})
	}
	valid := r.issuer.signer.Token(r.target)
	if got := target(valid); got.Verdict != diagnose.Accepted || !got.Assumed {
		t.Errorf("got %s %q %+v, want that the token is accepted", got.Verdict, got.Reason, got.Findings)
	}
	if got := target(r.issuer.signer.Token("https://other.example.com/mcp")); got.Reason != "wrong_audience" {
		t.Errorf("got %s %q, want wrong_audience", got.Verdict, got.Reason)
	}
	if got := target(sample); got.Reason != "wrong_issuer" {
		t.Errorf("got %s %q, want wrong_issuer", got.Verdict, got.Reason)
	}
	last := strings.LastIndexByte(valid, '.')
	if got := target(valid[:last+1] + strings.Repeat("A", len(valid)-last-1)); got.Reason != "bad_signature" {
		t.Errorf("got %s %q, want bad_signature", got.Verdict, got.Reason)
	}
	_, err := diagnose.Token(t.Context(), diagnose.TokenConfig{
		Text: []byte(valid), Target: "https://unknown.example.com/mcp", Server: gatehouse.Config{HTTPClient: r.config.HTTPClient},
	})
	if err == nil || strings.Contains(err.Error(), valid) {
		t.Errorf("got the error %v, want one about the metadata of the target", err)
	}
}

// TestTokenSecrets checks that the report shows nothing with which someone could sign in.
func TestTokenSecrets(t *testing.T) {
	t.Parallel()
	const secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
	claims, err := json.Marshal(map[string]any{
		"iss": "https://issuer.example.com", "sub": "u", "exp": 4000000000, "jti": "oat_T6R0A1C379HWAWRF",
		"access_token": "abcdefghijklmnopqrstuvwxyz", "note": "key " + secret + " of the account",
		"handshake": []string{"__session=" + sample}, "nested": map[string]any{"client_secret": "zyxwvutsrqponmlkjihg"},
		"cookie": "abcabcabcabcabc", "text": "the token " + sample, "empty": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	raw := jwtOf(`{"alg":"RS256","typ":"at+jwt","kid":"k","password":"letmeinletmein"}`, string(claims))
	text, err := json.Marshal(explain(t, diagnose.TokenConfig{Text: []byte(raw)}))
	if err != nil {
		t.Fatal(err)
	}
	shown := string(text)
	for _, hidden := range []string{
		secret, sample, "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihg", "abcabcabcabcabc", "letmeinletmein", strings.Split(raw, ".")[2][:24],
		strings.Split(sample, ".")[1],
	} {
		if strings.Contains(shown, hidden) {
			t.Errorf("the report shows %q:\n%s", hidden, shown)
		}
	}
	for _, wanted := range []string{"oat_T6R0A1C379HWAWRF", "https://issuer.example.com", "of the account", "2096-10-02"} {
		if !strings.Contains(shown, wanted) {
			t.Errorf("the report does not show %q:\n%s", wanted, shown)
		}
	}
}

// TestTokenTimes checks the dates in words.
func TestTokenTimes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, test := range []struct {
		name string
		exp  time.Time
		want string
	}{
		{"days", now.Add(-50*time.Hour - 30*time.Second), "2 days 2 hours ago"},
		{"minutes", now.Add(90*time.Second + 500*time.Millisecond), "in 1 minute "},
		{"many days", now.Add(100*24*time.Hour + 12*time.Hour + time.Minute), "in 100 days 12 hours"},
	} {
		claims, err := json.Marshal(map[string]any{"iss": "https://issuer.example.com", "sub": "u", "exp": test.exp.Unix()})
		if err != nil {
			t.Fatal(err)
		}
		r := explain(t, diagnose.TokenConfig{Text: []byte(jwtOf(`{"alg":"RS256"}`, string(claims)))})
		for _, m := range r.Claims {
			if m.Name == "exp" && !(strings.Contains(m.Words, test.want) && strings.Contains(m.Words, " UTC, ")) {
				t.Errorf("%s: got %q, want %q", test.name, m.Words, test.want)
			}
		}
	}
}

// TestTokenBounds checks that a text of any length is answered.
func TestTokenBounds(t *testing.T) {
	t.Parallel()
	if _, err := diagnose.Token(t.Context(), diagnose.TokenConfig{Text: make([]byte, diagnose.MaxTokenText+1)}); err == nil {
		t.Error("got no error for a text that is too long")
	}
	r := explain(t, diagnose.TokenConfig{Text: []byte(strings.Repeat("a", diagnose.MaxTokenText))})
	if r.Reason != "too_large" {
		t.Errorf("got %s %q, want too_large", r.Verdict, r.Reason)
	}
	r = explain(t, diagnose.TokenConfig{Text: []byte(strings.Repeat(`"`, diagnose.MaxTokenText))})
	if r.Verdict != diagnose.Rejected {
		t.Errorf("got %s, want that quotes alone are rejected", r.Verdict)
	}
	_, err := diagnose.Token(t.Context(), diagnose.TokenConfig{Text: []byte(sample), Server: gatehouse.Config{
		Resource: "mcp.example.com", Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	}})
	var fault *gatehouse.ConfigError
	if !errors.As(err, &fault) || fault.Field != "Resource" {
		t.Errorf("got the error %v, want that of the configuration", err)
	}
}

// TestTokenDifference checks that the part is named in which an issuer or an audience differs.
func TestTokenDifference(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ issuer, audience, id, want string }{
		{"https://issuer.example.com/", "https://mcp.example.com/mcp", "token.issuer", "the slash at the end"},
		{"http://issuer.example.com", "https://mcp.example.com/mcp", "token.issuer", "http and https"},
		{"https://issuer.example.com", "https://mcp.example.com/mcp/", "token.audience", "the slash at the end"},
		{"https://issuer.example.com", "https://mcp.example.com", "token.audience", "the path"},
		{"https://issuer.example.com", "https://mcp.example.com:8443/mcp", "token.audience", "the port"},
		{"https://issuer.example.com", "https://MCP.example.com/mcp", "token.audience", "upper and lower case"},
		{"https://issuer.example.com", "https://other.example.com/x", "token.audience", ""},
	} {
		claims, err := json.Marshal(map[string]any{"iss": test.issuer, "sub": "u", "aud": test.audience, "exp": 4000000000})
		if err != nil {
			t.Fatal(err)
		}
		r := explain(t, diagnose.TokenConfig{
			Text:   []byte(jwtOf(`{"alg":"RS256","typ":"at+jwt"}`, string(claims))),
			Server: gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: gatehouse.OIDC("https://issuer.example.com")},
		})
		f := findingOf(r, test.id)
		if f == nil || f.Level != diagnose.Fault || test.want != "" && !strings.HasSuffix(f.Evidence, "they differ only in "+test.want) ||
			test.want == "" && strings.Contains(f.Evidence, "differ only") {
			t.Errorf("%s, %s: got %+v, want %q", test.issuer, test.audience, f, test.want)
		}
	}
}
