package diagnose_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
)

// startServer serves an MCP server of package serve on a free port, and returns its URL.
func startServer(t *testing.T, provider gatehouse.Provider, configure ...func(*serve.Config)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := serve.Config{
		Name: "greeter", Version: "1.0.0", URL: "http://" + listener.Addr().String(), Provider: provider,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range configure {
		c(&cfg)
	}
	server, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "hello"}, func(context.Context, *mcp.CallToolRequest,
		struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(ctx, listener)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return server.URL()
}

// local makes the target a server of package serve with a local Clerk, both on sockets.
func (r *rig) local(settings func(*localclerk.Settings), options ...func(*clerk.Config)) *gatehousetest.ClerkServer {
	r.t.Helper()
	c := gatehousetest.Clerk(r.t)
	s := c.Settings()
	if settings != nil {
		settings(&s)
	}
	if err := c.SetSettings(s); err != nil {
		r.t.Fatal(err)
	}
	cfg := clerk.Config{FrontendAPIURL: c.Issuer()}
	for _, o := range options {
		o(&cfg)
	}
	r.real(startServer(r.t, clerk.New(cfg)))
	r.config.ClerkAPIURL = c.Issuer()
	return c
}

// wantHealthy fails the test if the report has a fault or a warning.
func wantHealthy(t *testing.T, report *diagnose.Report) {
	t.Helper()
	if f := report.First(); f != nil {
		t.Errorf("%s %s (%s), want no problem:\n%s", f.Level, f.ID, f.Evidence, describe(report))
	}
	checkForm(t, report)
}

// want fails the test unless the report has a finding of the ID and the level.
func want(t *testing.T, report *diagnose.Report, id string, level diagnose.Level) {
	t.Helper()
	for _, f := range report.Findings {
		if f.ID == id && f.Level == level {
			return
		}
	}
	t.Errorf("no finding %s %s:\n%s", level, id, describe(report))
}

// publishableKey returns the publishable key of an instance.
func publishableKey(host string) string {
	return "pk_test_" + base64.RawStdEncoding.EncodeToString([]byte(host+"$"))
}

// TestHealthy checks that set-ups without a fault get no fault and no warning.
func TestHealthy(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(r *rig){
		"an issuer that follows the standards": func(*rig) {},
		"Clerk":                                func(r *rig) { *r = *newClerkRig(r.t) },
		"local Clerk":                          func(r *rig) { r.local(nil) },
		"local Clerk, with its secret key": func(r *rig) {
			c := r.local(func(s *localclerk.Settings) { s.AudClaimEnabled = true })
			r.config.ClerkSecretKey = gatehouse.Secret(c.SecretKey())
		},
		"an allowed page of another origin": func(r *rig) { r.config.Origin = "https://app.example.com" },
		"a public tool": func(r *rig) {
			r.guard.Requirements = []gatehouse.Requirement{{Tool: "hello", Require: gatehouse.Require{Public: true}}}
		},
		"a server of another framework": func(r *rig) { r.server = newForeign(issuerURL) },
		"the issuer alone":              func(r *rig) { r.target = issuerURL },
		"the issuer by its document":    func(r *rig) { r.target = issuerURL + openidPath },
		"the Frontend API URL":          func(r *rig) { *r = *newClerkRig(r.t); r.target = clerkURL },
		"the publishable key": func(r *rig) {
			*r = *newClerkRig(r.t)
			r.target = publishableKey("clerk.example.com")
		},
		"client ID metadata documents in addition to registration": func(r *rig) {
			r.issuer.metadata["client_id_metadata_document_supported"] = true
		},
		"a registration endpoint that does not know OPTIONS": func(r *rig) {
			r.issuer.paths["/register"] = func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				switch {
				case req.Method != http.MethodPost:
					http.NotFound(w, req)
				case json.Valid(body):
					t.Error("a client was registered")
				default:
					http.Error(w, "invalid JSON", http.StatusBadRequest)
				}
			}
		},
		"an endpoint at the root of the host": func(r *rig) {
			r.guard.Resource = mcpOrigin
			r.target = mcpOrigin
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			set(r)
			wantHealthy(t, r.run())
		})
	}
}

// TestPublicTool checks a server that answers without a token because one tool is public, and
// its control, which answers any token.
func TestPublicTool(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guard.Requirements = []gatehouse.Requirement{{Tool: "hello", Require: gatehouse.Require{Public: true}}}
	report := r.run()
	wantHealthy(t, report)
	for _, f := range report.Findings {
		if f.ID == "endpoint" && !strings.Contains(f.Evidence, "some operations are public") {
			t.Errorf("evidence %q, want it to say that some operations are public", f.Evidence)
		}
	}
	want(t, report, "verbs", diagnose.Unchecked)
	want(t, report, "challenge", diagnose.OK)
	want(t, report, "revisions", diagnose.OK)

	control := newRig(t)
	control.front(at(answerMCP, "/mcp"))
	want(t, control.run(), "endpoint.open_with_metadata", diagnose.Fault)
}

// TestHealthyWithToken checks the requests of both eras with a valid token, at an issuer that
// follows the standards and at a local Clerk.
func TestHealthyWithToken(t *testing.T) {
	t.Parallel()
	t.Run("local Clerk", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		c := r.local(func(s *localclerk.Settings) { s.AudClaimEnabled = true })
		r.config.ClerkSecretKey = gatehouse.Secret(c.SecretKey())
		r.config.Token = gatehouse.Secret(c.Token(t, r.target, gatehousetest.Person{User: "ada"}))
		report := r.run()
		wantHealthy(t, report)
		for _, id := range []string{"revisions", "stream", "clerk", "replicas", "origin"} {
			want(t, report, id, diagnose.OK)
		}
		wantNoSecret(t, report, string(r.config.Token), string(r.config.ClerkSecretKey))
	})
	t.Run("issuer that follows the standards", func(t *testing.T) {
		t.Parallel()
		is := newIssuer("")
		is.url = listen(t, is)
		*is = *newIssuer(is.url)
		r := newRig(t)
		r.real(startServer(t, gatehouse.OIDC(is.url, "profile", "email")))
		r.config.Token = gatehouse.Secret(is.signer.Token(r.target))
		report := r.run()
		wantHealthy(t, report)
		want(t, report, "revisions", diagnose.OK)
	})
}

// wantNoSecret fails the test if a text of the report has one of the secrets.
func wantNoSecret(t *testing.T, report *diagnose.Report, secrets ...string) {
	t.Helper()
	for _, f := range report.Findings {
		for _, secret := range secrets {
			if strings.Contains(f.Title+f.Evidence+f.Consequence+f.Fix, secret) {
				t.Errorf("%s shows a secret: %+v", f.ID, f)
			}
		}
	}
}

// clerkSetups have a local Clerk with a setting that does not fit.
var clerkSetups = []setup{
	{"Clerk: dynamic client registration is off",
		"does not support dynamic client registration; MCP Inspector stalls at the registration step",
		"registration.closed_clerk", `turn on "Dynamic client registration"`,
		func(r *rig) { r.local(func(s *localclerk.Settings) { s.DynamicOAuthClientRegistration = false }) }},
	{"Clerk: Organizations are off, and a tool requires one", "invalid_scope", "scopes.organization", "turn on Organizations",
		func(r *rig) {
			r.local(func(s *localclerk.Settings) { s.OrganizationsDisabled = true },
				func(c *clerk.Config) { c.ScopesSupported = []string{"profile", clerk.OrganizationScope} })
		}},
	{"Clerk: access tokens are opaque, and the server has no secret key", "signed in, and then 401 at every call",
		"clerk.opaque",
		"Generate access tokens as JWTs",
		func(r *rig) {
			c := r.local(func(s *localclerk.Settings) { s.OAuthJWTAccessTokens, s.AudClaimEnabled = false, true })
			r.config.ClerkSecretKey = gatehouse.Secret(c.SecretKey())
		}},
	{"Clerk: the secret key was revoked", "tools that ask Clerk fail", "clerk.key_rejected", "copy the secret key",
		func(r *rig) {
			r.local(nil)
			r.config.ClerkSecretKey = "sk_test_revoked"
		}},
	{"Clerk has an outage", "the authorization server fails", "server.error", "status of the provider",
		func(r *rig) { r.fault(r.local(nil), http.StatusServiceUnavailable, "/.well-known/o") }},
	{"Clerk: the keys cannot be fetched", "signed in, and then 503 at every call", "keys.unreachable", "jwks_uri",
		func(r *rig) { r.fault(r.local(nil), http.StatusInternalServerError, "/.well-known/jwks.json") }},
}

// fault makes the local Clerk fail at the paths with a prefix.
func (r *rig) fault(c *gatehousetest.ClerkServer, status int, prefix string) {
	r.t.Helper()
	if err := c.SetFaults(localclerk.Faults{Status: status, Paths: []string{prefix}}); err != nil {
		r.t.Fatal(err)
	}
}
