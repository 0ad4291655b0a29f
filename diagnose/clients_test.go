package diagnose

import (
	"strings"
	"testing"
)

const (
	testEndpoint = "https://mcp.example.com/mcp"
	testIssuer   = "https://issuer.example.com"
)

// healthy is what the probes see of a server at which every client signs in.
func healthy() *observed {
	metadata := observedServer{
		Form:             formOAuth,
		URL:              testIssuer + "/.well-known/oauth-authorization-server",
		Status:           200,
		Issuer:           testIssuer,
		ChallengeMethods: []string{"S256"},
		AuthMethods:      []string{"none"},
		CIMD:             true,
	}
	document := func(place, url string) observedResource {
		return observedResource{Place: place, URL: url, Status: 200, Resource: testEndpoint, AuthorizationServers: []string{testIssuer}}
	}
	return &observed{
		Endpoint:  testEndpoint,
		Reachable: true,
		Challenge: observedChallenge{
			Status: 401, Present: true, Bearer: true, ResourceMetadata: "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		},
		Documents: []observedResource{
			document(placeChallenge, "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"),
			document(placeRoot, "https://mcp.example.com/.well-known/oauth-protected-resource"),
		},
		Issuer: observedIssuer{
			Expected: testIssuer, Documents: []observedServer{metadata}, Metadata: metadata,
			RegistrationOpen: true, CIMD: true, PublicClients: true, S256: true,
		},
		CORS: observedCORS{Origin: "https://app.example.com", Endpoint: true, Documents: true, Issuer: true},
	}
}

// withoutHint removes the URL from the challenge; the same document is at the path then.
func withoutHint(o *observed) {
	o.Challenge.ResourceMetadata = ""
	o.Documents[0].Place = placePath
}

func setResource(resource string) func(*observed) {
	return func(o *observed) {
		for i := range o.Documents {
			o.Documents[i].Resource = resource
		}
	}
}

// verdicts returns the verdicts of the clients, by name.
func verdictsOf(change func(*observed)) map[string]Client {
	o := healthy()
	change(o)
	out := make(map[string]Client)
	for _, c := range judgeClients(o) {
		out[c.Name] = c
	}
	return out
}

// TestClientsHealthy checks that each client signs in at a server without a fault, and that the table
// has every client with a source and a date.
func TestClientsHealthy(t *testing.T) {
	t.Parallel()
	verdicts := verdictsOf(func(*observed) {})
	if len(verdicts) != len(clientTable) {
		t.Errorf("got %d verdicts of %d clients; two have the same name", len(verdicts), len(clientTable))
	}
	for _, c := range clientTable {
		if got := verdicts[c.name]; got.Verdict != WillSignIn || got.Why == "" {
			t.Errorf("%s: got %q (%s), want that it signs in", c.name, got.Verdict, got.Why)
		}
		if len(c.sources) == 0 {
			t.Errorf("%s has no source", c.name)
		}
		for _, s := range c.sources {
			if s.what == "" || len(s.date) != len("2026-11-26") {
				t.Errorf("%s: source %+v has no date", c.name, s)
			}
		}
	}
	if got := judgeClients(&observed{}); got == nil || len(got) != 0 {
		t.Errorf("got %v for a target that is not an endpoint, want an empty list", got)
	}
}

// all and none of the clients.
var (
	everyone = func(clientNeeds) bool { return true }
	noOne    = func(clientNeeds) bool { return false }
)

func named(names ...string) func(clientNeeds) bool {
	return func(c clientNeeds) bool {
		for _, name := range names {
			if c.name == name {
				return true
			}
		}
		return false
	}
}

// measured are the clients whose comparison of the resource is known.
func measured(c clientNeeds) bool { return c.resource > resourceOrigin }

// TestClientNeeds changes one thing of a server without a fault, and checks which clients stop, at
// which step, and of which that is not known. All others still sign in.
func TestClientNeeds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		change  func(*observed)
		step    string
		stop    func(clientNeeds) bool
		unknown func(clientNeeds) bool
	}{
		{"unreachable", func(o *observed) { o.Reachable = false }, "the connection", everyone, noOne},
		{"plain http", func(o *observed) { o.Endpoint = "http://mcp.example.com/mcp" }, "the connection", everyone, noOne},
		{"on this machine", func(o *observed) { o.Loopback = true }, "the connection", func(c clientNeeds) bool { return c.cloud }, noOne},
		{"403 in place of 401", func(o *observed) { o.Challenge.Status = 403 }, "the challenge", everyone, noOne},
		{"no URL in the challenge", withoutHint, "", noOne, noOne},
		{"document at the root only, without a hint", func(o *observed) {
			withoutHint(o)
			o.Documents[0].Problem = "status 404"
		}, "the resource metadata", named("Go SDK", "gatehouse call"), func(c clientNeeds) bool { return c.metadata == metadataUnknown }},
		{"broken document at the URL of the challenge", func(o *observed) { o.Documents[0].Problem = "status 404" }, "the resource metadata",
			func(c clientNeeds) bool {
				return c.metadata == metadataHint && c.withoutResource == no || c.resource == resourceExact
			},
			func(c clientNeeds) bool {
				return c.metadata == metadataUnknown || c.metadata == metadataHint && c.withoutResource != no
			}},
		{"no document", func(o *observed) {
			o.Documents[0].Problem, o.Documents[1].Problem = "status 404", "status 404"
		}, "the resource metadata", func(c clientNeeds) bool { return c.withoutResource == no },
			func(c clientNeeds) bool { return c.withoutResource != no }},
		{"document without an issuer", func(o *observed) {
			o.Documents[0].AuthorizationServers, o.Documents[1].AuthorizationServers = nil, nil
		}, "the resource metadata", everyone, noOne},
		{"resource with a slash", setResource(testEndpoint + "/"), "the resource metadata",
			func(c clientNeeds) bool { return measured(c) && c.resource != resourcePrefixSlash },
			func(c clientNeeds) bool { return !measured(c) }},
		{"resource is the origin in both places", setResource("https://mcp.example.com"), "the resource metadata",
			func(c clientNeeds) bool { return c.resource == resourceFull },
			func(c clientNeeds) bool { return !measured(c) }},
		{"resource of another host", setResource("https://other.example.com/mcp"), "the resource metadata",
			func(c clientNeeds) bool { return c.resource != resourceUnknown },
			func(c clientNeeds) bool { return c.resource == resourceUnknown }},
		{"resource of another path", setResource("https://mcp.example.com/other"), "the resource metadata", measured,
			func(c clientNeeds) bool { return !measured(c) }},
		{"no metadata of the issuer", func(o *observed) { o.Issuer.Metadata = observedServer{} }, "the issuer's metadata", everyone, noOne},
		{"issuer with another name", func(o *observed) { o.Issuer.Metadata.Issuer = "https://mcp.example.com" }, "the check of the issuer's name",
			func(c clientNeeds) bool { return c.issuerEqual == yes }, func(c clientNeeds) bool { return c.issuerEqual == unknown }},
		{"no challenge methods", func(o *observed) { o.Issuer.S256, o.Issuer.Metadata.ChallengeMethods = false, nil }, "PKCE",
			func(c clientNeeds) bool { return c.s256 == yes }, func(c clientNeeds) bool { return c.s256 == unknown }},
		{"plain only", func(o *observed) { o.Issuer.S256, o.Issuer.Metadata.ChallengeMethods = false, []string{"plain"} }, "PKCE",
			func(c clientNeeds) bool { return c.s256Listed == yes }, func(c clientNeeds) bool { return c.s256Listed == unknown }},
		{"authorization endpoint on another origin, without iss", func(o *observed) {
			o.Issuer.Metadata.AuthorizationEndpoint, o.Issuer.Metadata.IssParameter = "https://app.example.com/authorize", false
		}, "the authorization endpoint", named("Codex"), noOne},
		{"authorization endpoint on another origin, with iss", func(o *observed) {
			o.Issuer.Metadata.AuthorizationEndpoint, o.Issuer.Metadata.IssParameter = "https://app.example.com/authorize", true
		}, "", noOne, noOne},
		{"no registration, metadata documents only", func(o *observed) { o.Issuer.RegistrationOpen = false }, "the registration",
			func(c clientNeeds) bool { return c.cimd == no }, func(c clientNeeds) bool { return c.cimd == unknown }},
		{"metadata documents without public clients", func(o *observed) {
			o.Issuer.RegistrationOpen, o.Issuer.PublicClients = false, false
		}, "the registration", func(c clientNeeds) bool { return c.cimd == no || c.cimdNeedsNone }, func(c clientNeeds) bool { return c.cimd == unknown }},
		{"neither registration nor metadata documents", func(o *observed) {
			o.Issuer.RegistrationOpen, o.Issuer.CIMD = false, false
		}, "the registration", everyone, noOne},
		{"registration without metadata documents", func(o *observed) { o.Issuer.CIMD = false }, "", noOne, noOne},
		{"a scope that Clerk does not have", func(o *observed) {
			o.Issuer.Kind, o.Issuer.Metadata.Scopes = "clerk", []string{"profile"}
			o.Challenge.Scopes, o.Documents[0].Scopes = []string{"notes"}, []string{"notes"}
		}, "the scopes", func(c clientNeeds) bool { return c.scopes != "" && !strings.HasPrefix(c.scopes, scopesOfIssuer) },
			func(c clientNeeds) bool { return c.scopes == "" }},
		{"a scope that Clerk does not have, in the metadata", func(o *observed) {
			o.Issuer.Kind, o.Issuer.Metadata.Scopes = "clerk", []string{"profile"}
			o.Challenge.Scopes, o.Documents[0].Scopes = []string{"profile"}, []string{"profile", "notes"}
		}, "the scopes", func(c clientNeeds) bool { return c.scopes == scopesOfDocument }, noOne},
		{"a scope that another issuer does not list", func(o *observed) {
			o.Issuer.Metadata.Scopes, o.Challenge.Scopes = []string{"profile"}, []string{"notes"}
			o.Documents[0].Scopes = []string{"notes"}
		}, "the scopes", noOne, func(c clientNeeds) bool { return !strings.HasPrefix(c.scopes, scopesOfIssuer) }},
		{"scopes that the issuer lists", func(o *observed) {
			o.Issuer.Metadata.Scopes, o.Challenge.Scopes = []string{"profile"}, []string{"profile"}
		}, "", noOne, noOne},
		{"an issuer that lists no scopes", func(o *observed) { o.Challenge.Scopes = []string{"notes"} }, "", noOne, noOne},
		{"no CORS", func(o *observed) { o.CORS.Endpoint = false }, "the browser's checks (CORS)", func(c clientNeeds) bool { return c.page }, noOne},
		{"no CORS of the documents", func(o *observed) { o.CORS.Documents = false }, "the browser's checks (CORS)",
			func(c clientNeeds) bool { return c.page }, noOne},
		{"no CORS of the issuer", func(o *observed) { o.CORS.Issuer = false }, "the browser's checks (CORS)",
			func(c clientNeeds) bool { return c.page }, noOne},
		{"no origin was given", func(o *observed) { o.CORS = observedCORS{} }, "the browser's checks (CORS)",
			noOne, func(c clientNeeds) bool { return c.page }},
		{"new revision only", func(o *observed) {
			o.Legacy.Asked, o.Modern = true, observedEra{Asked: true, Status: 200, Answered: true}
		},
			"the revision of MCP", func(c clientNeeds) bool { return c.modern == no }, func(c clientNeeds) bool { return c.modern == unknown }},
		{"old revisions only", func(o *observed) {
			o.Modern.Asked, o.Legacy = true, observedEra{Asked: true, Status: 200, Answered: true}
		},
			"", noOne, noOne},
	} {
		checkVerdicts(t, test.name, verdictsOf(test.change), test.step, test.stop, test.unknown)
	}
}

func checkVerdicts(t *testing.T, name string, verdicts map[string]Client, step string, stop, unknown func(clientNeeds) bool) {
	t.Helper()
	for _, c := range clientTable {
		want := WillSignIn
		switch {
		case stop(c):
			want = WillNotSignIn
		case unknown(c):
			want = Unknown
		}
		got := verdicts[c.name]
		if got.Verdict != want {
			t.Errorf("%s: %s: got %q (%s), want %q", name, c.name, got.Verdict, got.Why, want)
		} else if want != WillSignIn && !strings.Contains(got.Why, "at "+step+": ") {
			t.Errorf("%s: %s: got %q, want the step %q", name, c.name, got.Why, step)
		}
	}
}

// TestClientsOpen checks that no client is said to sign in at a server that needs no sign-in.
func TestClientsOpen(t *testing.T) {
	t.Parallel()
	for name, got := range verdictsOf(func(o *observed) { o.Open = true; o.Challenge.Status = 200 }) {
		if got.Verdict != Unknown || !strings.Contains(got.Why, "without a token") {
			t.Errorf("%s: got %q (%s), want that no client signs in", name, got.Verdict, got.Why)
		}
	}
}

// TestClientsAtRoot checks an endpoint without a path, which has one document, with a slash or
// without.
func TestClientsAtRoot(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{"https://mcp.example.com", "https://mcp.example.com/"} {
		verdicts := verdictsOf(func(o *observed) {
			o.Endpoint = "https://mcp.example.com"
			o.Documents = o.Documents[:1]
			setResource(resource)(o)
		})
		for name, got := range verdicts {
			if got.Verdict != WillSignIn {
				t.Errorf("%s: %s: got %q (%s), want that it signs in", resource, name, got.Verdict, got.Why)
			}
		}
	}
}
