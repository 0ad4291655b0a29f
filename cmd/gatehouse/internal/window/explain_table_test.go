package window

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// answers is an MCP server with one answer for the metadata at the path of the endpoint and one for
// everything else. HOST in them is the host that the client called, and CLERK the local Clerk.
type answers struct {
	metadata, endpoint answer
}

type answer struct {
	status int
	header string // "Name: value"
	body   string
}

func (a answers) handler(r *rig) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		chosen := a.endpoint
		if strings.HasPrefix(req.URL.Path, wellKnownPath) {
			chosen = a.metadata
		}
		fill := strings.NewReplacer("HOST", req.Host, "CLERK", r.clerk.Issuer()).Replace
		if name, value, ok := strings.Cut(chosen.header, ": "); ok {
			w.Header().Set(name, fill(value))
		}
		w.WriteHeader(chosen.status)
		io.WriteString(w, fill(chosen.body))
	}
}

// healthy returns a server without a problem. It accepts every token.
func healthy() answers {
	return answers{
		metadata: answer{200, "Content-Type: application/json", `{"resource":"http://HOST/mcp","authorization_servers":["CLERK"]}`},
		endpoint: answer{401, `WWW-Authenticate: Bearer resource_metadata="http://HOST/.well-known/oauth-protected-resource/mcp"`, ""},
	}
}

const page = "<!doctype html><title>Welcome</title>"

// Requests of a gallery.
const (
	getMetadata     = "GET /.well-known/oauth-protected-resource/mcp"
	getRootMetadata = "GET /.well-known/oauth-protected-resource"
	getCopy         = "GET /.well-known/oauth-authorization-server"
	callEndpoint    = "POST /mcp"
)

// TestProblemsOfServers changes one thing of a healthy server. The explanation of the step is that
// of the table of package diagnose, with which "gatehouse doctor" and "gatehouse call" explain it too.
func TestProblemsOfServers(t *testing.T) {
	t.Parallel()
	metadata := func(status int, header, body string) func(*answers) {
		return func(a *answers) { a.metadata = answer{status, header, body} }
	}
	document := func(resource string, issuers ...string) func(*answers) {
		return func(a *answers) {
			a.metadata.body = fmt.Sprintf(`{"resource":%q,"authorization_servers":["%s"]}`, resource, strings.Join(issuers, `","`))
		}
	}
	endpoint := func(status int, header, body string) func(*answers) {
		return func(a *answers) { a.endpoint = answer{status, header, body} }
	}
	for _, test := range []struct {
		name    string
		change  func(*answers)
		request string
		wantID  string // "" for a control
		want    Outcome
	}{
		{"control: metadata", nil, getMetadata, "", Succeeded},
		{"control: metadata at the root", nil, getRootMetadata, "", Succeeded},
		{"control: metadata of the origin", document("http://HOST", "CLERK"), getMetadata, "", Succeeded},
		{"control: no metadata", metadata(404, "", ""), getMetadata, "", Neutral},
		{"control: metadata that moved within the origin", metadata(302, "Location: /other", ""), getMetadata, "", Neutral},
		{"control: challenge", nil, callEndpoint, "", Succeeded},
		{"control: the metadata of Clerk, passed through", metadata(200, "", `{"issuer":"CLERK"}`), getCopy, "", Succeeded},

		{"web page for metadata", metadata(200, "Content-Type: text/html", page), getMetadata, "metadata.html", Failed},
		{"metadata that is not JSON", metadata(200, "", "resource: x"), getMetadata, "metadata.not_json", Failed},
		{"metadata behind sign-in", metadata(401, "", ""), getMetadata, "metadata.protected", Failed},
		{"metadata that is forbidden", metadata(403, "", ""), getMetadata, "metadata.protected", Failed},
		{"metadata that fails", metadata(500, "", ""), getMetadata, "metadata.error", Failed},
		{"metadata on another origin", metadata(302, "Location: https://x.example/", ""), getMetadata, "metadata.redirect", Failed},
		{"metadata without a server", metadata(200, "", `{"resource":"http://HOST/mcp"}`), getMetadata, "metadata.no_servers", Failed},
		{"metadata without a resource", metadata(200, "", `{"authorization_servers":["CLERK"]}`), getMetadata, "resource.missing", Failed},
		{"resource with a slash", document("http://HOST/mcp/", "CLERK"), getMetadata, "resource.slash", Failed},
		{"resource with https", document("https://HOST/mcp", "CLERK"), getMetadata, "resource.scheme", Failed},
		{"resource with another port", document("http://127.0.0.1:1/mcp", "CLERK"), getMetadata, "resource.port", Failed},
		{"resource of another host", document("https://mcp.example.com/mcp", "CLERK"), getMetadata, "resource.backend", Failed},
		{"resource with another path", document("http://HOST/api", "CLERK"), getMetadata, "resource.path", Failed},
		{"resource with the path twice", document("http://HOST/mcp/mcp", "CLERK"), getMetadata, "resource.doubled", Failed},
		{"resource in upper case", document("http://HOST/MCP", "CLERK"), getMetadata, "resource.case", Failed},
		{"resource that is not a URL", document("mcp", "CLERK"), getMetadata, "resource.form", Failed},
		{"resource with another path, at the root", document("http://HOST/api", "CLERK"), getRootMetadata, "resource.path", Failed},
		{"issuer that is a document", document("http://HOST/mcp", "CLERK/.well-known/openid-configuration"), getMetadata,
			"issuer.document", Failed},
		{"issuer with a slash", document("http://HOST/mcp", "CLERK/"), getMetadata, "server.issuer_slash", Failed},
		{"issuer on plain http", document("http://HOST/mcp", "http://clerk.example.com"), getMetadata, "issuer.plain_http", Failed},
		{"web page for old clients", metadata(200, "Content-Type: text/html", page), getCopy, "server.copy_html", Neutral},
		{"metadata of another issuer for old clients", metadata(200, "", `{"issuer":"http://HOST"}`), getCopy, "server.copy", Neutral},

		{"no challenge", endpoint(401, "", ""), callEndpoint, "challenge.missing", Neutral},
		{"renamed challenge", endpoint(401, "X-Amzn-Remapped-WWW-Authenticate: Bearer", ""), callEndpoint, "challenge.renamed", Neutral},
		{"stripped challenge", endpoint(401, "", `{"error":"missing_token","reason":"no_credentials"}`), callEndpoint,
			"challenge.stripped", Neutral},
		{"Basic", endpoint(401, `WWW-Authenticate: Basic realm="x"`, ""), callEndpoint, "challenge.not_bearer", Neutral},
		{"no resource_metadata", endpoint(401, "WWW-Authenticate: Bearer", ""), callEndpoint, "challenge.no_metadata", Neutral},
		{"relative resource_metadata", endpoint(401, `WWW-Authenticate: Bearer resource_metadata="/x"`, ""), callEndpoint,
			"challenge.relative", Neutral},
		{"resource_metadata of another host", endpoint(401, `WWW-Authenticate: Bearer resource_metadata="https://x.example/"`, ""),
			callEndpoint, "challenge.other_host", Neutral},
		{"error without a token", endpoint(401, `WWW-Authenticate: Bearer resource_metadata="http://HOST/x", error="invalid_token"`, ""),
			callEndpoint, "challenge.error", Neutral},
		{"403 without a token", endpoint(403, "", ""), callEndpoint, "endpoint.forbidden", Failed},
		{"400 without a token", endpoint(400, "", ""), callEndpoint, "endpoint.bad_request", Failed},
		{"404", endpoint(404, "", ""), callEndpoint, "endpoint.not_found", Failed},
		{"405", endpoint(405, "", ""), callEndpoint, "endpoint.method", Failed},
		{"500", endpoint(500, "", ""), callEndpoint, "endpoint.error", Failed},
		{"502", endpoint(502, "", ""), callEndpoint, "endpoint.gateway", Failed},
		{"503", endpoint(503, "", ""), callEndpoint, "endpoint.unavailable", Failed},
		{"429", endpoint(429, "", ""), callEndpoint, "endpoint.rate_limited", Failed},
		{"redirect to the slash", endpoint(307, "Location: /mcp/", ""), callEndpoint, "endpoint.slash_redirect", Failed},
		{"redirect to a sign-in page", endpoint(302, "Location: /login", ""), callEndpoint, "endpoint.login_page", Failed},
		{"redirect", endpoint(308, "Location: /api", ""), callEndpoint, "endpoint.redirect", Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			server := healthy()
			if test.change != nil {
				test.change(&server)
			}
			r.server.Config.Handler = server.handler(r)
			method, path, _ := strings.Cut(test.request, " ")
			do(t, method, r.proxy.URL+path, "")
			checkTable(t, r, r.await(t, 1), test.want, test.wantID)
		})
	}
}

// TestProblemsOfClerk changes one setting or fault of a local Clerk at which nothing is wrong.
func TestProblemsOfClerk(t *testing.T) {
	t.Parallel()
	register := func(scope string) func(t *testing.T, r *rig) {
		return func(t *testing.T, r *rig) {
			const metadata = `{"redirect_uris":["http://127.0.0.1:1/callback"],"scope":%q}`
			postJSON(t, r.page.URL+"/oauth/register", fmt.Sprintf(metadata, scope))
		}
	}
	authorize := func(t *testing.T, r *rig, scope string) {
		register("profile")(t, r)
		const query = "/oauth/authorize?response_type=code&state=0123456789&client_id=%s&scope=%s"
		do(t, "GET", r.page.URL+fmt.Sprintf(query, r.clerk.Clients()[0].ID, scope), "",
			localclerk.SignInHeader, "ada", localclerk.ConsentHeader, "allow")
	}
	call := func(token localclerk.Token) func(t *testing.T, r *rig) {
		return func(t *testing.T, r *rig) {
			do(t, "POST", r.proxy.URL+"/mcp", "{}", "Authorization", "Bearer "+r.mint(t, token))
		}
	}
	for _, test := range []struct {
		name   string
		set    func(s *localclerk.Settings, f *localclerk.Faults)
		server http.HandlerFunc
		do     func(t *testing.T, r *rig)
		step   uint64
		wantID string // "" for a control
	}{
		{name: "control: registration", do: register("profile"), step: 1},
		{name: "control: authorization", do: func(t *testing.T, r *rig) { authorize(t, r, "profile") }, step: 2},
		{
			name: "registration off",
			set:  func(s *localclerk.Settings, _ *localclerk.Faults) { s.DynamicOAuthClientRegistration = false },
			do:   register("profile"), step: 1, wantID: "registration.closed_clerk",
		},
		{
			name: "registration off, in the metadata",
			set:  func(s *localclerk.Settings, _ *localclerk.Faults) { s.DynamicOAuthClientRegistration = false },
			do: func(t *testing.T, r *rig) {
				do(t, "GET", r.page.URL+"/.well-known/oauth-authorization-server", "")
			},
			step: 1, wantID: "registration.closed_clerk",
		},
		{name: "scope that Clerk does not have", do: register("notes:write"), step: 1, wantID: "scopes.unknown"},
		{
			name: "organizations off",
			set: func(s *localclerk.Settings, _ *localclerk.Faults) {
				s.OrganizationsDisabled, s.DefaultScopes = true, []string{"email"}
			},
			do: register("profile user:org:read"), step: 1, wantID: "scopes.organization",
		},
		{
			name: "scope that the client does not hold",
			do:   func(t *testing.T, r *rig) { authorize(t, r, "profile+openid") }, step: 2, wantID: "signin.invalid_scope",
		},
		{
			name:   "opaque tokens at a server that does not accept them",
			server: rejectWith(infoOf(reason.Opaque), ""),
			do:     call(localclerk.Token{Opaque: true}), step: 1, wantID: "clerk.opaque",
		},
		{
			name:   "clock ahead",
			set:    func(_ *localclerk.Settings, f *localclerk.Faults) { f.ClockOffset = time.Hour },
			server: rejectWith(infoOf(reason.NotYetValid), ""),
			do:     call(localclerk.Token{}), step: 1, wantID: "clock.differs",
		},
		{
			name:   "server that cannot reach Clerk",
			server: rejectWith(infoOf(reason.ProviderUnavailable), ""),
			do:     call(localclerk.Token{}), step: 1, wantID: "token.unavailable",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, test.server)
			settings, faults := r.clerk.Settings(), r.clerk.Faults()
			if test.set != nil {
				test.set(&settings, &faults)
			}
			if err := r.clerk.SetSettings(settings); err != nil {
				t.Fatal(err)
			}
			if err := r.clerk.SetFaults(faults); err != nil {
				t.Fatal(err)
			}
			test.do(t, r)
			want := Failed
			if test.wantID == "" {
				want = Succeeded
			}
			checkTable(t, r, r.await(t, test.step), want, test.wantID)
		})
	}
}

func infoOf(r reason.Reason) reason.Info {
	info, _ := reason.InfoOf(r)
	return info
}

// checkTable checks that the explanation of a step is the row of the table with an ID, up to the
// first placeholder of each text.
func checkTable(t *testing.T, r *rig, step Step, want Outcome, id string) {
	t.Helper()
	if step.Outcome != want || step.Problem != id {
		t.Fatalf("got %s, %q, because %q, want %s, %q", step.Outcome, step.Problem, step.Why, want, id)
	}
	if id == "" {
		if step.Why != "" || step.Effect != "" || step.Do != "" {
			t.Errorf("got %q, %q, %q, want no explanation", step.Why, step.Effect, step.Do)
		}
		return
	}
	row := diagnose.Explain(id)
	for _, text := range []struct{ got, row string }{{step.Why, row.Title}, {step.Effect, row.Consequence}, {step.Do, row.Fix}} {
		beginning, _, _ := strings.Cut(text.row, "{")
		if beginning != "" && !strings.HasPrefix(text.got, strings.TrimSuffix(sentence(beginning), ".")) || text.got == "" {
			t.Errorf("got %q, want it to begin with %q", text.got, beginning)
		}
		if strings.Contains(text.got, "{") {
			t.Errorf("a placeholder was not replaced in %q", text.got)
		}
	}
	if !strings.HasSuffix(step.Do, r.here(id)) {
		t.Errorf("got %q, want it to end with %q", step.Do, r.here(id))
	}
	n := r.journal.after(0)
	title, _, _ := strings.Cut(row.Clause(), "{")
	if got := n.Runs[len(n.Runs)-1].Headline; want == Failed && !strings.Contains(got, ": "+title) {
		t.Errorf("headline %q, want the problem %q in it", got, title)
	}
}

// TestHereIsAboutProblems checks that the window adds to problems that exist.
func TestHereIsAboutProblems(t *testing.T) {
	t.Parallel()
	all := diagnose.Explanations()
	for id, text := range hereByProblem {
		if !slices.ContainsFunc(all, func(e diagnose.Explanation) bool { return e.ID == id }) {
			t.Errorf("%s is not a problem of package diagnose", id)
		}
		if !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q is not a sentence", id, text)
		}
	}
}
