package window

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// rejectWith returns a handler that rejects every request as the guard does.
func rejectWith(info reason.Info, scope string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer resource_metadata="http://localhost/x", scope=%q, error=%q`, scope, info.Code))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(info.Status)
		fmt.Fprintf(w, `{"error":%q,"error_description":%q,"reason":%q}`, info.Code, info.Phrase, info.Reason)
	}
}

// explained returns the step of a request that handler rejects.
func explained(t *testing.T, handler http.HandlerFunc, token func(*testing.T, *rig) string, faults localclerk.Faults) Step {
	t.Helper()
	r := newRig(t, handler)
	if err := r.clerk.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	do(t, "POST", r.proxy.URL+"/mcp", body, "Authorization", "Bearer "+token(t, r))
	return r.await(t, 1)
}

// tokenOf returns a function that mints a token of the rig's local Clerk.
func tokenOf(token localclerk.Token) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string { return r.mint(t, token) }
}

// rawToken returns a function that returns raw.
func rawToken(raw string) func(*testing.T, *rig) string {
	return func(*testing.T, *rig) string { return raw }
}

// TestEveryReasonIsExplained has the guard's reasons with a token in which nothing is wrong:
// the words are those of the table, or of what the window knows about each reason.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	specific := map[reason.Reason]string{
		reason.Unbound:             "The token does not name a server (aud), and this server requires that it does.",
		reason.UnknownKey:          "The token was signed with a key that Clerk no longer publishes, or its signature is invalid.",
		reason.BadSignature:        "The token was signed with a key that Clerk no longer publishes, or its signature is invalid.",
		reason.ProviderUnavailable: "The server cannot verify tokens, because it cannot reach its provider.",
		reason.InsufficientScope:   `The token lacks a scope; the request needs "notes:write".`,
	}
	for _, info := range reason.All() {
		t.Run(string(info.Reason), func(t *testing.T) {
			t.Parallel()
			want := specific[info.Reason]
			if want == "" {
				want = sentence(info.When)
			}
			step := explained(t, rejectWith(info, "notes:write"), tokenOf(localclerk.Token{}), localclerk.Faults{})
			if step.Outcome != Failed || !strings.HasPrefix(step.Why, want) || step.Do == "" {
				t.Errorf("got %s: %q, %q, want %q and a fix", step.Outcome, step.Why, step.Do, want)
			}
		})
	}
}

// TestReasonWithToken has reasons that the token or the local Clerk explains further.
func TestReasonWithToken(t *testing.T) {
	t.Parallel()
	const endpoint = "Have the client send exactly resource=http://"
	for _, test := range []struct {
		name    string
		reason  reason.Reason
		token   localclerk.Token
		faults  localclerk.Faults
		wantWhy string
		wantDo  string
	}{
		{
			name:    "session token",
			reason:  reason.WrongType,
			token:   localclerk.Token{Kind: localclerk.SessionToken},
			wantWhy: "This is a session token, not an OAuth access token.",
			wantDo:  "Have the client send the access_token",
		},
		{
			name:    "API key",
			reason:  reason.Opaque,
			token:   localclerk.Token{Kind: localclerk.APIKey},
			wantWhy: "This is an API key, not an OAuth access token.",
			wantDo:  "Have the client send the access_token",
		},
		{
			name:    "opaque token",
			reason:  reason.Opaque,
			token:   localclerk.Token{Opaque: true},
			wantWhy: "Access tokens of this instance are opaque: this server does not accept them.",
			wantDo:  "Turn on \"Generate access tokens as JWTs\"",
		},
		{
			name:    "foreign issuer",
			reason:  reason.WrongIssuer,
			token:   localclerk.Token{Claims: map[string]any{"iss": "https://other.clerk.accounts.dev"}},
			wantWhy: `The token is from "https://other.clerk.accounts.dev"`,
			wantDo:  "Sign in again at this local Clerk.",
		},
		{
			name:    "expired",
			reason:  reason.Expired,
			token:   localclerk.Token{Lifetime: -time.Hour},
			wantWhy: "The token expired ",
			wantDo:  "Nothing, if the client refreshes the token",
		},
		{
			name:    "clock ahead",
			reason:  reason.NotYetValid,
			faults:  localclerk.Faults{ClockOffset: time.Hour},
			wantWhy: "The clocks of the server and the issuer differ by 1h0m0s: Clerk's clock is ahead",
			wantDo:  "Synchronize both machines (NTP). " + setClerkClock,
		},
		{
			name:    "foreign audience",
			reason:  reason.WrongAudience,
			token:   localclerk.Token{Resource: "https://elsewhere.example/mcp"},
			wantWhy: `The token is for "https://elsewhere.example/mcp", not for this server.`,
			wantDo:  endpoint,
		},
		{
			name:    "missing audience",
			reason:  reason.Unbound,
			wantWhy: "The token does not name a server (aud)",
			wantDo:  "Turn on “Audience claim”",
		},
		{
			name:    "missing permission",
			reason:  reason.InsufficientPermission,
			wantWhy: "The user lacks a role or a permission, is a machine, or was rejected by a function of the server.",
			wantDo:  forbidden.do,
		},
		{
			name:    "the reason decides, not another flaw of the token",
			reason:  reason.Revoked,
			token:   localclerk.Token{Lifetime: -time.Hour},
			wantWhy: "The token is valid, but Deny or Config.Revoked rejects it.",
			wantDo:  "Nothing, if this was intended",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			info, ok := reason.InfoOf(test.reason)
			if !ok {
				t.Fatalf("%q is not a reason", test.reason)
			}
			step := explained(t, rejectWith(info, ""), tokenOf(test.token), test.faults)
			if !strings.HasPrefix(step.Why, test.wantWhy) || !strings.HasPrefix(step.Do, test.wantDo) {
				t.Errorf("got %q, %q, want %q, %q", step.Why, step.Do, test.wantWhy, test.wantDo)
			}
		})
	}
}

// TestTokenOfServerWithoutReasons sends tokens to a server that rejects them without a reason:
// the explanation comes from the token.
func TestTokenOfServerWithoutReasons(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		token       localclerk.Token
		raw         string
		description string
		faults      localclerk.Faults
		wantWhy     string
	}{
		{name: "control: description of the server", description: "no luck today", wantWhy: "No luck today."},
		{
			name:    "session token",
			token:   localclerk.Token{Kind: localclerk.SessionToken},
			wantWhy: "This is a session token, not an OAuth access token.",
		},
		{
			name:    "template token",
			token:   localclerk.Token{Kind: localclerk.TemplateToken},
			wantWhy: "This is a JWT template token",
		},
		{
			name:    "ID token",
			token:   localclerk.Token{Kind: localclerk.IDToken, Claims: map[string]any{"nonce": "n"}},
			wantWhy: "This is an ID token",
		},
		{name: "M2M token", token: localclerk.Token{Kind: localclerk.M2MToken}, wantWhy: "This is an M2M token"},
		{name: "opaque", token: localclerk.Token{Opaque: true}, wantWhy: "Access tokens of this instance are opaque: this server does not accept them."},
		{name: "API key", token: localclerk.Token{Kind: localclerk.APIKey}, wantWhy: "This is an API key"},
		{name: "malformed", raw: "a.b.c", wantWhy: "The token is malformed."},
		{
			name:    "foreign issuer",
			token:   localclerk.Token{Claims: map[string]any{"iss": "https://other.clerk.accounts.dev"}},
			wantWhy: `The token is from "https://other.clerk.accounts.dev"`,
		},
		{name: "expired", token: localclerk.Token{Lifetime: -time.Hour}, wantWhy: "The token expired "},
		{
			name:    "foreign audience",
			token:   localclerk.Token{Resource: "https://elsewhere.example/mcp"},
			wantWhy: `The token is for "https://elsewhere.example/mcp"`,
		},
		{name: "clock ahead", faults: localclerk.Faults{ClockOffset: time.Hour}, wantWhy: "The clocks of the server and the issuer differ by 1h0m0s: Clerk's clock is ahead"},
		{
			name:    "clock behind",
			token:   localclerk.Token{Lifetime: time.Minute},
			faults:  localclerk.Faults{ClockOffset: -time.Hour},
			wantWhy: "The clocks of the server and the issuer differ by 1h0m0s: Clerk's clock is behind",
		},
		{
			name:    "unknown to Clerk",
			raw:     "oat_0123456789abcdefghijklmnopqrstuv",
			wantWhy: "Clerk does not know this opaque token",
		},
		{name: "nothing in the token", wantWhy: "The server rejected the token."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			token := rawToken(test.raw)
			if test.raw == "" {
				token = tokenOf(test.token)
			}
			step := explained(t, reject401(test.description), token, test.faults)
			if step.Outcome != Failed || !strings.HasPrefix(step.Why, test.wantWhy) || step.Do == "" {
				t.Errorf("got %s: %q, %q, want %q and a fix", step.Outcome, step.Why, step.Do, test.wantWhy)
			}
		})
	}
}

// TestReasonOfAnOperation has the reason in a JSON-RPC error, as in the rejection of one operation.
func TestReasonOfAnOperation(t *testing.T) {
	t.Parallel()
	const body = `{"jsonrpc":"2.0","id":1,"error":{"code":-32040,"message":"x","data":{"error":"forbidden","reason":"no_organization"}}}`
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, body)
	}
	info, _ := reason.InfoOf(reason.NoOrganization)
	step := explained(t, handler, tokenOf(localclerk.Token{}), localclerk.Faults{})
	if step.Why != sentence(info.When) {
		t.Errorf("got %q, want %q", step.Why, sentence(info.When))
	}
}

// TestReasonsOfOtherServers has bodies without a reason of Gatehouse's.
func TestReasonsOfOtherServers(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":          "",
		"text":           "Unauthorized",
		"no reason":      `{"error":"invalid_token","error_description":"nope"}`,
		"unknown reason": `{"reason":"bad_hair_day"}`,
		"other type":     `{"reason":{"code":"expired"}}`,
		"array":          `[{"reason":"revoked"}]`,
		"cut off":        `{"reason":"revoked","padding":"` + strings.Repeat("x", maxBody) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				io.WriteString(w, body)
			}
			step := explained(t, handler, tokenOf(localclerk.Token{Lifetime: -time.Hour}), localclerk.Faults{})
			if !strings.HasPrefix(step.Why, "The token expired ") {
				t.Errorf("got %q, want what the token shows", step.Why)
			}
		})
	}
}
