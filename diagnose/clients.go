package diagnose

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// fact is what is known about one behaviour of a client.
type fact int

const (
	unknown fact = iota // there is no source, so no verdict depends on it
	yes
	no
)

// Ways in which a client compares the resource of the metadata with the URL that its user entered.
type resourceRule int

const (
	resourceUnknown resourceRule = iota
	// resourceOrigin: another origin is rejected; whether the path matters is not known.
	resourceOrigin
	// resourcePrefix: the same origin, and the path of the URL is that of the resource or below it.
	resourcePrefix
	// resourcePrefixSlash is resourcePrefix, and a slash at the end makes no difference.
	resourcePrefixSlash
	// resourceFull: the resource is the URL, in every document.
	resourceFull
	// resourceExact: at the URL of the challenge and at the path, the resource is the URL; at the
	// root of the host, it is the origin, unless the challenge names that document.
	resourceExact
)

// metadataRule says which protected resource metadata a client reads.
type metadataRule int

const (
	metadataUnknown metadataRule = iota
	// metadataHint: the URL in the challenge alone if there is one, and otherwise the path of the
	// endpoint, then the root.
	metadataHint
	// metadataAll: the URL in the challenge, then the path of the endpoint, then the root.
	metadataAll
)

// clientNeeds is one client: what it does on its way to a sign-in, and where that is from. A field
// that is unknown never decides: the verdict is then unknown.
type clientNeeds struct {
	name    string
	version string // that was tested or read; empty for a service

	// cloud says that the client runs at its vendor, so it reaches public https servers only.
	cloud bool
	page  bool // it is a web page, which needs CORS

	// registration: by RFC 7591, with a client ID metadata document of its own, or with a client ID
	// that its user enters, and where.
	dcr, cimd fact
	givenID   string // empty if the user cannot enter one, or that is not known
	// cimdNeedsNone says that it uses its metadata document only if the issuer lists "none" among the
	// client authentication methods.
	cimdNeedsNone bool

	metadata metadataRule
	resource resourceRule

	// issuerEqual: the metadata must name the issuer as the resource metadata does (RFC 8414
	// section 3.3). s256: code_challenge_methods_supported must be present and have S256;
	// s256Listed: it must have S256 if it is present. withoutResource: without protected resource
	// metadata, it looks for the metadata of the issuer at the MCP server.
	issuerEqual, s256, s256Listed, withoutResource fact

	// issuerOrigin: without iss in the answers of the issuer (RFC 9207), the authorization endpoint must
	// have the origin of the issuer.
	issuerOrigin fact

	// legacy and modern are the revisions until 2025-11-25, and from 2026-07-28 on.
	legacy, modern fact

	scopes   string // which it requests
	redirect string // its redirect URI
	iss      string // what it does with iss (RFC 9207)

	sources []clientSource
}

// clientSource says where the facts about a client are from.
type clientSource struct {
	what string // a URL, or "run against an MCP server"
	date string // when it was run or read
}

// run is the source of what the project saw when it ran the client.
func run(date string) clientSource { return clientSource{"run against test servers", date} }

// installed is the source of what was read in the package of the version in the row.
var installed = clientSource{"the source of this version, read", "2026-11-26"}

// The scopes that clients request, in words.
const (
	scopesOfChallenge = "those of the challenge, or else of the resource metadata"
	scopesAndOffline  = scopesOfChallenge + ", and offline_access if the issuer lists it"
	scopesOfDocument  = "all of the resource metadata"
	scopesOfIssuer    = "all that the issuer lists"
)

// clientTable is the table of clients. To add one, add a row: a fact without a source stays unknown.
// Facts that were measured here are those of the version in the row.
var clientTable = []clientNeeds{
	{
		name: "Claude (web, desktop, mobile)", cloud: true,
		dcr: yes, cimd: yes, cimdNeedsNone: true, givenID: "the advanced settings of the connector",
		resource: resourceOrigin,
		legacy:   yes,
		redirect: "https://claude.ai/api/mcp/auth_callback",
		sources: []clientSource{
			{"https://github.com/anthropics/claude-ai-mcp/issues/560", "2026-07-08"},
			{"https://claude.com/docs/connectors/building/authentication", "2026-11-26"},
			{"https://claude.com/docs/connectors/building", "2026-11-26"},
		},
	},
	{
		name: "Claude Code", version: "2.1.332",
		dcr: yes, cimd: yes, cimdNeedsNone: true, givenID: "claude mcp add --client-id ID",
		legacy: yes, modern: yes,
		scopes:   scopesOfChallenge,
		redirect: "http://localhost:PORT/callback",
		iss:      "must be the issuer if it is present",
		sources: []clientSource{
			run("2026-11-26"),
			{"https://claude.com/docs/connectors/building/authentication", "2026-11-26"},
			{"https://github.com/higgsfield-ai/cli/issues/68", "2026-09-19"},
		},
	},
	{
		name: "ChatGPT", cloud: true,
		dcr: yes, cimd: yes, givenID: "the settings of the connector",
		s256: yes, s256Listed: yes,
		legacy:   yes,
		redirect: "https://chatgpt.com/connector/oauth/…",
		sources: []clientSource{
			{"https://developers.openai.com/apps-sdk/build/auth", "2026-11-26"},
			{"https://zuplo.com/learn/mcp/compatibility/clients/chatgpt-connectors", "2026-07-31"},
		},
	},
	{
		name: "VS Code",
		dcr:  yes, cimd: yes, givenID: "VS Code asks for it",
		metadata: metadataHint, resource: resourceFull, withoutResource: yes,
		legacy:   yes,
		scopes:   scopesOfChallenge,
		redirect: "http://127.0.0.1:33418/ and https://vscode.dev/redirect",
		sources: []clientSource{
			{"https://github.com/microsoft/vscode/blob/main/src/vs/base/common/oauth.ts", "2026-11-26"},
			{"https://github.com/microsoft/vscode/blob/main/src/vs/workbench/api/common/extHostMcp.ts", "2026-11-26"},
			{"https://github.com/microsoft/vscode/issues/259251", "2025-08-01"},
			{"https://zuplo.com/learn/mcp/compatibility/clients/vs-code", "2026-07-31"},
			{"https://github.com/microsoft/vscode/issues/278512", "2026-11-26"},
			{"https://github.com/obot-platform/obot/issues/6833", "2026-06-19"},
		},
	},
	{
		name: "Cursor",
		dcr:  yes, givenID: "auth.CLIENT_ID of the server in mcp.json",
		legacy:   yes,
		scopes:   scopesOfDocument,
		redirect: "cursor://anysphere.cursor-mcp/oauth/callback, or http://localhost:8787/callback",
		sources: []clientSource{
			{"https://github.com/makeplane/plane-mcp-server/issues/159", "2026-06-19"},
			{"https://developer.mittwald.de/docs/v2/mcp/getting-connected/cursor", "2026-11-26"},
			{"https://glama.ai/mcp/servers/Echsecutor/idealo-proxy", "2026-11-26"},
			{"https://docs.pipeshub.com/mcp/cursor", "2026-11-26"},
		},
	},
	{
		name: "Codex", version: "0.169.0",
		dcr: yes, cimd: yes, cimdNeedsNone: true, givenID: "client_id in [mcp_servers.NAME.oauth] of config.toml",
		metadata: metadataHint, resource: resourcePrefix, issuerEqual: yes, issuerOrigin: yes, s256: no, s256Listed: yes,
		legacy: yes, modern: no,
		scopes: scopesOfChallenge,
		iss:    "must be the issuer, and present if the issuer says so",
		sources: []clientSource{
			run("2026-11-26"),
			{"the texts of errors in this version, and https://github.com/modelcontextprotocol/rust-sdk, which it uses", "2026-11-26"},
			{"https://github.com/openai/codex/issues/31573", "2026-08-18"},
			{"https://github.com/openai/codex/issues/38944", "2026-09-08"},
			{"opencode issue 47743, about Codex too", "2026-08-31"},
		},
	},
	{
		name: "Gemini CLI", version: "0.61.0",
		dcr: yes, givenID: "oauth.clientId of the server in settings.json",
		metadata: metadataAll, resource: resourceFull, issuerEqual: no, s256: no, s256Listed: no, withoutResource: yes,
		legacy: yes, modern: no,
		iss:     "must be the issuer if it is present",
		scopes:  scopesOfIssuer + ", unless oauth.scopes is set",
		sources: []clientSource{run("2026-11-26"), installed},
	},
	{
		name: "opencode", version: "1.18.33",
		dcr: yes, cimd: yes, cimdNeedsNone: true, givenID: "oauth.clientId of the server in its configuration",
		metadata: metadataHint, resource: resourcePrefix, issuerEqual: no, s256: no, s256Listed: yes, withoutResource: yes,
		legacy: yes, modern: no,
		scopes:   scopesOfChallenge,
		redirect: "port 19876 of 127.0.0.1",
		sources:  []clientSource{run("2026-11-26"), installed, {"opencode issue 47743", "2026-08-31"}},
	},
	{
		name: "MCP Inspector", version: "2.12.0",
		dcr: yes, cimd: no, givenID: "--client-id",
		metadata: metadataHint, resource: resourcePrefix, issuerEqual: yes, s256: no, s256Listed: yes, withoutResource: no,
		legacy: yes, modern: yes,
		scopes:   scopesAndOffline,
		redirect: "http://127.0.0.1:6276/oauth/callback (command line)",
		sources:  []clientSource{run("2026-11-22"), installed},
	},
	{
		name: "mcp-remote", version: "0.15.1",
		dcr: yes, cimd: no, givenID: "--static-oauth-client-info",
		metadata: metadataHint, resource: resourcePrefix, issuerEqual: yes, s256: no, s256Listed: yes, withoutResource: no,
		legacy: yes, modern: yes,
		scopes:  scopesAndOffline + "; all of the issuer if there are none",
		sources: []clientSource{run("2026-11-22"), installed},
	},
	{
		name: "TypeScript SDK 2", version: "@modelcontextprotocol/client 2.4.0",
		dcr: yes, cimd: no, givenID: "the application",
		metadata: metadataHint, resource: resourcePrefix, issuerEqual: yes, s256: no, s256Listed: yes, withoutResource: no,
		legacy: yes, modern: yes,
		scopes:   scopesAndOffline,
		redirect: "what the application sets",
		sources:  []clientSource{run("2026-11-22"), installed},
	},
	{
		name: "TypeScript SDK 1", version: "@modelcontextprotocol/sdk 1.32.2",
		dcr: yes, cimd: no, givenID: "the application",
		metadata: metadataHint, resource: resourcePrefix, issuerEqual: no, s256: no, s256Listed: yes, withoutResource: yes,
		legacy: yes, modern: no,
		scopes:   scopesOfChallenge,
		redirect: "what the application sets",
		sources:  []clientSource{run("2026-11-22"), installed},
	},
	{
		name: "TypeScript SDK 2 in a web page", version: "@modelcontextprotocol/client 2.4.0", page: true,
		dcr: yes, cimd: no, givenID: "the application",
		metadata: metadataHint, resource: resourcePrefix, issuerEqual: yes, s256: no, s256Listed: yes, withoutResource: no,
		legacy: yes, modern: yes,
		scopes:   scopesAndOffline,
		redirect: "a page of the application",
		sources:  []clientSource{run("2026-11-22"), installed},
	},
	{
		name: "Python SDK 2", version: "mcp 2.3.0",
		dcr: yes, cimd: no, givenID: "the application",
		metadata: metadataAll, resource: resourcePrefixSlash, issuerEqual: yes, s256: no, s256Listed: no, withoutResource: yes,
		legacy: yes, modern: yes,
		scopes:   scopesOfChallenge,
		redirect: "what the application sets",
		iss:      "must be the issuer, and present if the issuer says so",
		sources:  []clientSource{run("2026-11-25"), installed},
	},
	{
		name: "Python SDK 1", version: "mcp 1.30.0",
		dcr: yes, cimd: no, givenID: "the application",
		metadata: metadataAll, resource: resourcePrefixSlash, issuerEqual: yes, s256: no, s256Listed: no, withoutResource: yes,
		legacy: yes, modern: no,
		scopes:   scopesOfChallenge,
		redirect: "what the application sets",
		sources:  []clientSource{run("2026-11-25"), installed},
	},
	{
		name: "Go SDK", version: "1.8.0",
		dcr: yes, cimd: no, givenID: "the application",
		metadata: metadataAll, resource: resourceExact, issuerEqual: yes, s256: yes, s256Listed: no, withoutResource: no,
		legacy: yes, modern: yes,
		scopes:   scopesOfChallenge + ", and offline_access",
		redirect: "what the application sets",
		iss:      "must be the issuer",
		sources:  []clientSource{run("2026-11-22"), {"https://github.com/modelcontextprotocol/go-sdk/tree/v1.8.0", "2026-11-26"}},
	},
	{
		name: "gatehouse call",
		dcr:  yes, cimd: no, givenID: "--client-id",
		metadata: metadataAll, resource: resourceExact, issuerEqual: yes, s256: yes, s256Listed: yes, withoutResource: yes,
		legacy: yes, modern: yes,
		scopes:   scopesAndOffline,
		redirect: "http://127.0.0.1:PORT/callback",
		iss:      "must be the issuer, and present if the issuer says so",
		sources:  []clientSource{{"cmd/gatehouse/internal/signin", "2026-11-26"}},
	},
}

// judgeClients returns the verdict for each client. It returns none if the target is not an
// MCP endpoint.
func judgeClients(o *observed) []Client {
	out := []Client{}
	if o.Endpoint == "" {
		return out
	}
	for i := range clientTable {
		out = append(out, clientTable[i].judge(o))
	}
	return out
}

// step is one step of a sign-in. It returns ok if the client passes it, and otherwise why it does
// not. If the client's behaviour is unknown, stops is unknown.
type step struct {
	name  string
	check func(c *clientNeeds, o *observed) (stops fact, why string)
}

// steps are those of a sign-in, in order. The first one at which a client stops, or may stop, is
// the verdict.
var steps = []step{
	{"the connection", stopsAtConnection},
	{"the challenge", stopsAtChallenge},
	{"the resource metadata", stopsAtResource},
	{"the issuer's metadata", stopsAtIssuer},
	{"the check of the issuer's name", stopsAtIssuerName},
	{"PKCE", stopsAtPKCE},
	{"the authorization endpoint", stopsAtIssuerOrigin},
	{"the registration", stopsAtRegistration},
	{"the scopes", stopsAtScopes},
	{"the browser's checks (CORS)", stopsAtCORS},
	{"the revision of MCP", stopsAtRevision},
}

// judge returns the verdict for one client.
func (c *clientNeeds) judge(o *observed) Client {
	out := Client{Name: c.name, Verdict: WillSignIn, Why: c.passes(o)}
	for _, s := range steps {
		stops, why := s.check(c, o)
		switch stops {
		case yes:
			return Client{c.name, WillNotSignIn, "stops at " + s.name + ": " + why}
		case unknown:
			return Client{c.name, Unknown, fmt.Sprintf("at %s: %s; it is not known whether this client goes on", s.name, why)}
		}
	}
	if o.Open {
		return Client{c.name, Unknown, "the endpoint answers without a token, so no client signs in"}
	}
	return out
}

// passes says how the client gets its client ID, if it passes all steps.
func (c *clientNeeds) passes(o *observed) string {
	switch {
	case c.usesCIMD(o) == yes:
		return "with its client ID metadata document"
	case c.dcr == yes && o.Issuer.RegistrationOpen:
		return "it registers itself"
	}
	return ""
}

func stopsAtConnection(c *clientNeeds, o *observed) (fact, string) {
	u, err := url.Parse(o.Endpoint)
	switch {
	case !o.Reachable:
		return yes, "the server does not answer"
	case err == nil && u.Scheme == "http" && !wellknown.IsLoopback(u.Host):
		return yes, "plain http to another machine"
	case c.cloud && o.Loopback:
		return yes, "it runs in the cloud and cannot reach this machine; deploy the server at a public https URL to use it"
	}
	return no, ""
}

func stopsAtChallenge(_ *clientNeeds, o *observed) (fact, string) {
	if o.Open || o.Challenge.Status == 401 || o.Challenge.Status == 0 {
		return no, ""
	}
	return yes, fmt.Sprintf("clients sign in after a 401, and the server answers %d", o.Challenge.Status)
}

// document returns the protected resource metadata that the client uses, or nil. sure is false if it
// is not known which one it reads.
func (c *clientNeeds) document(o *observed) (doc *observedResource, sure bool) {
	places := []string{placeChallenge, placePath, placeRoot}
	hinted := slices.ContainsFunc(o.Documents, func(d observedResource) bool { return d.Place == placeChallenge })
	if c.metadata == metadataHint && hinted {
		places = places[:1]
	}
	var usable []*observedResource
	for _, place := range places {
		for i := range o.Documents {
			if d := &o.Documents[i]; d.Place == place && d.Usable() {
				usable = append(usable, d)
			}
		}
	}
	if len(usable) == 0 {
		return nil, true
	}
	if c.metadata != metadataUnknown || usable[0].Place == o.Documents[0].Place {
		return c.firstMatching(usable, o), true
	}
	return usable[0], false
}

// firstMatching returns the first document whose resource the client accepts, or else the first. A
// client that compares exactly goes on to the next document; see resourceExact.
func (c *clientNeeds) firstMatching(usable []*observedResource, o *observed) *observedResource {
	if c.resource == resourceExact {
		for _, d := range usable {
			if c.acceptsResource(d, o) == yes {
				return d
			}
		}
	}
	return usable[0]
}

// acceptsResource reports whether the client accepts the resource of a document.
func (c *clientNeeds) acceptsResource(d *observedResource, o *observed) fact {
	same := sameResource(d.Resource, o.Endpoint)
	accepts := same
	switch c.resource {
	case resourceUnknown, resourceOrigin:
		if c.resource == resourceOrigin && originOfURL(d.Resource) != originOfURL(o.Endpoint) {
			return no
		}
		if !same {
			return unknown
		}
	case resourceExact:
		// At the root of the host, the document is that of the origin, unless the challenge names it.
		if d.Place == placeRoot {
			accepts = sameResource(d.Resource, originOfURL(o.Endpoint))
		}
	case resourcePrefix:
		accepts = same || isBelow(o.Endpoint, d.Resource)
	case resourcePrefixSlash:
		accepts = same || isBelow(o.Endpoint, strings.TrimSuffix(d.Resource, "/"))
	}
	if accepts {
		return yes
	}
	return no
}

func stopsAtResource(c *clientNeeds, o *observed) (fact, string) {
	if o.Open {
		return no, ""
	}
	d, sure := c.document(o)
	switch {
	case d == nil && c.withoutResource == yes:
		return unknown, "there is no protected resource metadata, so it looks for the issuer's metadata at the MCP server, which was not checked"
	case d == nil:
		return invert(c.withoutResource), "there is no protected resource metadata that it can read"
	case !sure:
		return unknown, "its first document cannot be read"
	case len(d.AuthorizationServers) == 0:
		return yes, "the protected resource metadata names no authorization server"
	}
	switch c.acceptsResource(d, o) {
	case yes:
		return no, ""
	case no:
		return yes, fmt.Sprintf("the metadata says that the resource is %q, and the user entered %q", d.Resource, o.Endpoint)
	}
	return unknown, fmt.Sprintf("the metadata says that the resource is %q, and the user entered %q", d.Resource, o.Endpoint)
}

// invert returns whether a client stops at what it may do without.
func invert(f fact) fact {
	switch f {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func stopsAtIssuer(_ *clientNeeds, o *observed) (fact, string) {
	if o.Open || o.Issuer.Metadata.Usable() {
		return no, ""
	}
	return yes, fmt.Sprintf("no metadata of the issuer %q can be read", o.Issuer.Expected)
}

func stopsAtIssuerName(c *clientNeeds, o *observed) (fact, string) {
	m := o.Issuer.Metadata
	if o.Open || m.Issuer == o.Issuer.Expected || m.Issuer == strings.TrimSuffix(o.Issuer.Expected, "/") {
		return no, ""
	}
	return c.issuerEqual, fmt.Sprintf("the metadata of %q names the issuer %q (RFC 8414 section 3.3)", o.Issuer.Expected, m.Issuer)
}

func stopsAtPKCE(c *clientNeeds, o *observed) (fact, string) {
	switch {
	case o.Open || o.Issuer.S256:
		return no, ""
	case len(o.Issuer.Metadata.ChallengeMethods) > 0:
		return c.s256Listed, "the issuer lists code_challenge_methods_supported without S256"
	}
	return c.s256, "the issuer does not list S256 in code_challenge_methods_supported"
}

// stopsAtIssuerOrigin checks the only known client that compares the origins. The others are taken to
// accept them: issuers with two origins are common.
func stopsAtIssuerOrigin(c *clientNeeds, o *observed) (fact, string) {
	m := o.Issuer.Metadata
	if o.Open || c.issuerOrigin != yes || m.IssParameter || m.AuthorizationEndpoint == "" ||
		originOfURL(m.AuthorizationEndpoint) == originOfURL(m.Issuer) {
		return no, ""
	}
	return yes, fmt.Sprintf("authorization_endpoint of %q is on another origin, and the issuer does not send iss (RFC 9207)", m.Issuer)
}

// usesCIMD reports whether the client signs in with a metadata document of its own.
func (c *clientNeeds) usesCIMD(o *observed) fact {
	switch {
	case !o.Issuer.CIMD || c.cimd == no:
		return no
	case c.cimdNeedsNone && !o.Issuer.PublicClients:
		return no
	}
	return c.cimd
}

func stopsAtRegistration(c *clientNeeds, o *observed) (fact, string) {
	byDocument := c.usesCIMD(o)
	switch {
	case o.Open || byDocument == yes:
		return no, ""
	case o.Issuer.RegistrationOpen && c.dcr != no:
		return invert(c.dcr), "the issuer registers clients by RFC 7591"
	}
	why := "the issuer offers neither registration (RFC 7591) nor client ID metadata documents"
	switch {
	case byDocument == unknown && o.Issuer.CIMD:
		return unknown, "the issuer offers client ID metadata documents only"
	case o.Issuer.CIMD && c.cimdNeedsNone && c.cimd == yes:
		why = `the issuer offers client ID metadata documents, but not "none" in token_endpoint_auth_methods_supported`
	case o.Issuer.CIMD:
		why = "the issuer offers client ID metadata documents only, and this client has none"
	}
	if c.givenID != "" {
		why += fmt.Sprintf("; it signs in with a client ID that its user enters (%s)", c.givenID)
	}
	return yes, why
}

// stopsAtScopes compares the scopes that the client requests with those that the issuer lists. Clerk
// rejects the others; another issuer may have scopes that it does not list.
func stopsAtScopes(c *clientNeeds, o *observed) (fact, string) {
	var asked []string
	d, _ := c.document(o)
	if d != nil {
		asked = d.Scopes
	}
	if len(o.Challenge.Scopes) > 0 && c.scopes != scopesOfDocument {
		asked = o.Challenge.Scopes
	}
	missing := without(asked, o.Issuer.Metadata.Scopes)
	if o.Open || o.Issuer.Metadata.Scopes == nil || len(missing) == 0 || strings.HasPrefix(c.scopes, scopesOfIssuer) {
		return no, ""
	}
	why := fmt.Sprintf("the server asks for %s, which the issuer does not list", strings.Join(missing, ", "))
	if o.Issuer.Kind != "clerk" || c.scopes == "" {
		return unknown, why
	}
	return yes, why
}

func stopsAtCORS(c *clientNeeds, o *observed) (fact, string) {
	switch {
	case !c.page:
		return no, ""
	case o.CORS.Origin == "":
		return unknown, "what the page may do depends on its origin, which was not given (--origin)"
	case !o.CORS.Endpoint:
		return yes, fmt.Sprintf("the preflight of the endpoint does not allow a POST with Authorization from %s", o.CORS.Origin)
	case !o.CORS.Documents && !o.Open:
		return yes, fmt.Sprintf("the browser does not let a page of %s read the resource metadata", o.CORS.Origin)
	case !o.CORS.Issuer && !o.Open:
		return yes, fmt.Sprintf("the issuer does not let a page of %s register and get tokens", o.CORS.Origin)
	}
	return no, ""
}

// stopsAtRevision checks the revisions only if a token showed what the endpoint answers.
func stopsAtRevision(c *clientNeeds, o *observed) (fact, string) {
	legacy := o.Legacy.Answered || !o.Modern.Answered // without a token, nothing is known
	modern := o.Modern.Answered || !o.Legacy.Answered
	switch {
	case legacy && c.legacy != no || modern && c.modern == yes:
		return no, ""
	case legacy:
		return invert(c.legacy), "the server answers the revisions until 2025-11-25 only"
	}
	return invert(c.modern), "the server answers the revision 2026-07-28 only"
}

// sameResource reports whether two identifiers of a resource are the same; an endpoint at the root
// of a host has one with a slash and one without.
func sameResource(a, b string) bool {
	return a == b || pathOfURL(a) == "" && pathOfURL(b) == "" && strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

// isBelow reports whether the endpoint has the origin of the resource, and a path that is that of the
// resource or below it. "/mcp/" is not a prefix of "/mcp".
func isBelow(endpoint, resource string) bool {
	path, prefix := pathOfURL(endpoint), pathOfURL(resource)
	if originOfURL(endpoint) != originOfURL(resource) || len(path) < len(prefix) {
		return false
	}
	return strings.HasPrefix(path+"/", strings.TrimSuffix(prefix, "/")+"/")
}

func originOfURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// pathOf returns the path of a URL; that of a root is empty.
func pathOfURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Path == "/" {
		return ""
	}
	return u.Path
}
