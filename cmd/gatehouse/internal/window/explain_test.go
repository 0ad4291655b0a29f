package window

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	metadataOf := func(resource, issuer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"resource":%q,"authorization_servers":[%q]}`, strings.ReplaceAll(resource, "HOST", r.Host), issuer)
		}
	}
	status := func(code int, challenge string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(code)
		}
	}
	const metadata = "/.well-known/oauth-protected-resource/mcp"
	for _, test := range []struct {
		name, method, path, body string
		token                    bool
		handler                  func(r *rig) http.HandlerFunc
		want                     Outcome
		wantWhy                  string
	}{
		{
			name:    "control: a call",
			method:  "POST",
			path:    "/mcp",
			token:   true,
			want:    Succeeded,
			handler: func(*rig) http.HandlerFunc { return status(200, "") },
		},
		{
			name:    "control: metadata",
			method:  "GET",
			path:    metadata,
			want:    Succeeded,
			handler: func(r *rig) http.HandlerFunc { return metadataOf("http://HOST/mcp", r.clerk.Issuer()) },
		},
		{
			name:    "resource mismatch",
			method:  "GET",
			path:    metadata,
			want:    Failed,
			wantWhy: `resource is the URL of another host: the metadata names the resource "https://mcp.example.com/mcp"`,
			handler: func(r *rig) http.HandlerFunc { return metadataOf("https://mcp.example.com/mcp", r.clerk.Issuer()) },
		},
		{
			name:    "another Clerk",
			method:  "GET",
			path:    metadata,
			want:    Failed,
			wantWhy: "The metadata names the authorization servers ",
			handler: func(*rig) http.HandlerFunc { return metadataOf("http://HOST/mcp", "https://clerk.example.com") },
		},
		{
			name:    "metadata that is HTML",
			method:  "GET",
			path:    metadata,
			want:    Failed,
			wantWhy: "A web page is served in place of the metadata.",
			handler: func(*rig) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!doctype html>") }
			},
		},
		{
			name:    "a probe",
			method:  "GET",
			path:    "/.well-known/oauth-authorization-server",
			want:    Neutral,
			handler: func(*rig) http.HandlerFunc { return status(404, "") },
		},
		{
			name:    "the first challenge",
			method:  "POST",
			path:    "/mcp",
			want:    Succeeded,
			handler: func(r *rig) http.HandlerFunc { return status(401, `Bearer resource_metadata="`+r.proxy.URL+`/x"`) },
		},
		{
			name:    "a challenge without resource metadata",
			method:  "POST",
			path:    "/mcp",
			want:    Neutral,
			wantWhy: "The challenge has no resource_metadata",
			handler: func(*rig) http.HandlerFunc { return status(401, "Bearer") },
		},
		{
			name:    "outage",
			method:  "POST",
			path:    "/mcp",
			token:   true,
			want:    Failed,
			wantWhy: "The server cannot verify tokens, because it cannot reach its provider.",
			handler: func(*rig) http.HandlerFunc { return status(503, "") },
		},
		{
			name:    "scope missing",
			method:  "POST",
			path:    "/mcp",
			token:   true,
			want:    Failed,
			wantWhy: `The token lacks a scope; the request needs "notes:write".`,
			handler: func(*rig) http.HandlerFunc {
				return status(403, `Bearer error="insufficient_scope", scope="notes:write"`)
			},
		},
		{
			name:    "permission missing",
			method:  "POST",
			path:    "/mcp",
			token:   true,
			want:    Failed,
			wantWhy: "The user is not allowed to do this",
			handler: func(*rig) http.HandlerFunc { return status(403, "") },
		},
		{
			name:    "server error",
			method:  "POST",
			path:    "/mcp",
			token:   true,
			want:    Failed,
			wantWhy: "The server answered 500",
			handler: func(*rig) http.HandlerFunc { return status(500, "") },
		},
		{
			name:    "no stream",
			method:  "GET",
			path:    "/mcp",
			token:   true,
			want:    Neutral,
			wantWhy: "This server does not offer such a stream",
			handler: func(*rig) http.HandlerFunc { return status(405, "") },
		},
		{
			name:    "error in the response",
			method:  "POST",
			path:    "/mcp",
			token:   true,
			want:    Neutral,
			wantWhy: "The response is a JSON-RPC error: no such tool.",
			handler: func(*rig) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					io.WriteString(w, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"no such tool\"}}\n\n")
				}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.server.Config.Handler = test.handler(r)
			header := []string{"X-Test", "1"}
			if test.token {
				header = append(header, "Authorization", "Bearer "+r.mint(t, localclerk.Token{}))
			}
			do(t, test.method, r.proxy.URL+test.path, test.body, header...)
			step := r.await(t, 1)
			if step.Outcome != test.want || !strings.HasPrefix(step.Why, test.wantWhy) || test.wantWhy == "" && step.Why != "" {
				t.Errorf("got %s, %q, want %s, %q", step.Outcome, step.Why, test.want, test.wantWhy)
			}
			if test.want == Failed && step.Do == "" {
				t.Error("the step does not say how to fix it")
			}
		})
	}
}

func TestHeadlinesOfClerkErrors(t *testing.T) {
	t.Parallel()
	register := func(t *testing.T, r *rig) string {
		postJSON(t, r.page.URL+"/oauth/register", `{"redirect_uris":["http://127.0.0.1:1/callback"],"scope":"profile email"}`)
		return r.clerk.Clients()[0].ID
	}
	authorize := func(t *testing.T, r *rig, query string, header ...string) {
		do(t, "GET", r.page.URL+"/oauth/authorize?response_type=code&state=0123456789&client_id="+register(t, r)+query, "", header...)
	}
	for _, test := range []struct {
		name         string
		do           func(t *testing.T, r *rig)
		step         uint64
		wantHeadline string
	}{
		{"control", func(t *testing.T, r *rig) {
			authorize(t, r, "", localclerk.SignInHeader, "ada", localclerk.ConsentHeader, "allow")
		}, 2, "signs in and allows access as Ada Lovelace; returning to the client"},
		{"registration off", func(t *testing.T, r *rig) {
			if err := r.clerk.SetSettings(localclerk.Settings{}); err != nil {
				t.Fatal(err)
			}
			postJSON(t, r.page.URL+"/oauth/register", `{"redirect_uris":["http://127.0.0.1:1/callback"]}`)
		}, 1, "stopped at registration: Clerk does not let clients register"},
		{"registration not offered", func(t *testing.T, r *rig) {
			if err := r.clerk.SetSettings(localclerk.Settings{}); err != nil {
				t.Fatal(err)
			}
			do(t, "GET", r.page.URL+"/.well-known/oauth-authorization-server", "")
		}, 1, "stopped at registration: Clerk does not let clients register"},
		{"scope", func(t *testing.T, r *rig) { authorize(t, r, "&scope=openid") }, 2,
			"stopped at authorization: the client may not ask for a scope that the server wants"},
		{"resource twice", func(t *testing.T, r *rig) { authorize(t, r, "&resource=http://a&resource=http://b") }, 2,
			"stopped at authorization: the resource parameter is invalid"},
		{"denied", func(t *testing.T, r *rig) {
			authorize(t, r, "", localclerk.SignInHeader, "ada", localclerk.ConsentHeader, "deny")
		}, 2, "stopped at authorization: the user denied consent"},
		{"outage", func(t *testing.T, r *rig) {
			if err := r.clerk.SetFaults(localclerk.Faults{Status: 503}); err != nil {
				t.Fatal(err)
			}
			do(t, "GET", r.page.URL+"/.well-known/oauth-authorization-server", "")
		}, 1, "stopped at discovery: Clerk has an outage"},
		{"outage seen by the server", func(t *testing.T, r *rig) {
			if err := r.clerk.SetFaults(localclerk.Faults{Status: 500}); err != nil {
				t.Fatal(err)
			}
			do(t, "GET", r.page.URL+"/.well-known/jwks.json", "")
		}, 1, "the server cannot reach Clerk: Clerk has an outage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			test.do(t, r)
			step := r.await(t, test.step)
			n := r.journal.after(0)
			if got := n.Runs[len(n.Runs)-1].Headline; got != test.wantHeadline {
				t.Errorf("headline = %q, want %q", got, test.wantHeadline)
			}
			if step.Outcome == Failed && (step.Why == "" || step.Do == "") {
				t.Errorf("got %q, %q, want why and what to do", step.Why, step.Do)
			}
		})
	}
}

func TestSentenceAndClause(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ phrase, wantSentence, wantClause string }{
		{"", "", ""},
		{"the token has expired", "The token has expired.", "the token has expired"},
		{"exp has passed", "exp has passed.", "exp has passed"},
		{"Clerk's clock is ahead.", "Clerk's clock is ahead.", "Clerk's clock is ahead"},
	} {
		got := sentence(test.phrase)
		if got != test.wantSentence || clause(got) != test.wantClause {
			t.Errorf("%q: got %q and %q, want %q and %q", test.phrase, got, clause(got), test.wantSentence, test.wantClause)
		}
	}
}
