// Package gatewayfile reads the configuration of the gateway from a YAML file. It reports every
// mistake with its line, and has the JSON Schema of the file, which is made from the same types.
package gatewayfile

import (
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// File is the content of a file. The names in the file are those of the fields, in lower case
// and with underscores. The tag doc has the description for the schema.
type File struct {
	At

	Listen string `doc:"Address to listen on, like localhost:3000, or :3000 for all addresses of this machine."`

	TLSCertFile string `doc:"PEM file with the certificate of this server and its chain, to serve https. It is read again when it changes."`
	TLSKeyFile  string `doc:"PEM file with the private key of the certificate."`

	Provider  *Provider  `doc:"Identity provider of every endpoint that names none itself: a name, or a name with settings."`
	Providers []Provider `doc:"Several identity providers, in place of provider."`

	Endpoints []Endpoint `doc:"The endpoints, each with a public URL of its own." need:"true"`

	SessionKey          gatehouse.SessionKey   `doc:"Secret key of session IDs, at least 32 bytes; the same in all replicas. Random for each process if it is missing."`
	AcceptedSessionKeys []gatehouse.SessionKey `doc:"Further keys whose session IDs are accepted, to replace session_key without ending sessions. The file has one on each line."`
	AssertionKeyFile    string                 `doc:"PEM file with EC private keys on the curve P-256, for replicas. The first one signs assertions; all are published. Random keys for each process if it is missing."`
	KeyFolder           string                 `doc:"Folder in which the last valid signing keys of the providers are stored, so that a gateway that restarts while a provider is unavailable can still verify tokens."`

	LogRequests     bool          `doc:"Log each request, not only rejections and failures."`
	Audit           *Audit        `doc:"Write an audit event for each decision about a request."`
	Operator        *Operator     `doc:"A port for those who run the gateway, which users do not reach."`
	Limits          *Limits       `doc:"Limits of invalid tokens and of requests, and the proxies that say where these come from."`
	Revocations     *Revocations  `doc:"Where the revocations are that gateways share: \"gatehouse revoke\" shuts a user out of all of them within a second."`
	DrainDelay      time.Duration `doc:"How long requests are still accepted when the gateway stops, while /readyz answers 503."`
	ShutdownTimeout time.Duration `doc:"How long running calls may then take to finish; 10s if it is missing."`
}

// Audit configures audit events.
type Audit struct {
	At

	File     string             `doc:"File to which events are appended, one JSON object a line; - for standard output. Empty means the log."`
	Subjects string             `doc:"How events name the caller: hash (a keyed hash, the default) or clear." one:"hash clear"`
	Key      gatehouse.AuditKey `doc:"Key of the hashes, at least 32 bytes. Random for each process if it is missing."`
}

// Endpoint is one endpoint.
type Endpoint struct {
	At

	URL           string `doc:"Public URL of the endpoint, as users type it into their client, like https://mcp.example.com/mcp." need:"true"`
	LocalPath     string `doc:"Path on which the gateway receives requests, if a proxy in front of it removes a prefix of the public path."`
	HostDocuments bool   `doc:"Serve the documents of this endpoint at the paths that exist once on a host. The first endpoint of a host does it otherwise."`

	Upstream  *Upstream  `doc:"The MCP server: its URL, or a URL with settings."`
	Upstreams []Upstream `doc:"Several MCP servers, in place of upstream. A session stays with the one that opened it."`

	Provider  *Provider  `doc:"Identity provider of this endpoint."`
	Providers []Provider `doc:"Several identity providers, in place of provider."`

	RequiredScopes         []string            `doc:"Scopes that every request needs."`
	Requirements           []Requirement       `doc:"What a caller needs to use single tools, prompts, resources and resource templates."`
	Default                *Require            `doc:"What a caller needs for everything that has no requirement of its own."`
	DenyUndeclared         bool                `doc:"Reject every tool, prompt and resource that has no requirement of its own."`
	ShowLocked             bool                `doc:"Keep in lists what the caller can never use."`
	OperationScopesOnly    bool                `doc:"Name in the answer to a missing scope only the scopes of the operation."`
	ChallengeInResult      bool                `doc:"Answer a call without its scope with a result of status 200, for an endpoint that serves ChatGPT alone."`
	SecuritySchemes        bool                `doc:"Add to each tool in a list what a caller needs for it, in _meta, as ChatGPT reads it."`
	DraftStructuredDenials bool                `doc:"Answer a rejected message with a JSON-RPC error in the form of the draft SEP-2643, which may change."`
	ImpliedScopes          map[string][]string `doc:"Maps a scope to the narrower scopes that it includes."`

	Name          string `doc:"Name of the server for its users."`
	Documentation string `doc:"URL of a page for developers."`

	AllowedOrigins []string      `doc:"Web origins whose pages may call the endpoint from a browser."`
	AllowedHeaders []string      `doc:"Further request headers that these pages may send."`
	AllowedHosts   []string      `doc:"Further values of Host, for a proxy on this machine that sends another one than that of url."`
	Leeway         time.Duration `doc:"Tolerated difference of the clocks; 30s if it is missing, at most 2m."`

	MaxBodyBytes       int64         `doc:"Largest body of a request in bytes; 4194304 if it is missing. A larger one gets 413."`
	MaxSessions        int           `doc:"Open sessions of all users, and open streams; 10000 if it is missing."`
	MaxSessionsPerUser int           `doc:"Open sessions of one user, and open streams; 200 if it is missing."`
	SessionTimeout     time.Duration `doc:"How long an idle session counts; 1h if it is missing."`
	HeaderTimeout      time.Duration `doc:"How long the MCP server may take to begin its answer; no limit if it is missing."`
	KeepAlive          time.Duration `doc:"How long an event stream may be silent before its client gets a comment, which keeps proxies from closing the connection: 1s to 25s; 20s if it is missing."`
	MaxListBytes       int64         `doc:"Largest list that is filtered, in bytes; 16777216 if it is missing."`

	Headers        *Headers `doc:"Names of the headers that say who is calling. An empty name turns one off."`
	Principal      bool     `doc:"Make issuer and subject, joined by |, the user in these headers. With several providers or tenants it is always so."`
	ForwardCookies bool     `doc:"Forward cookies in both directions."`

	DangerouslyForwardAccessToken bool `doc:"Forward the access token to the MCP server. Anyone who controls that server, or reads its logs, can then call every server that accepts the token in the name of the user."`
}

// Upstream is one MCP server. A text is its URL.
type Upstream struct {
	At

	URL            string        `doc:"URL of the MCP server, like http://localhost:8000/mcp. Without a path, it has that of the endpoint." need:"true"`
	H2C            bool          `doc:"Send requests by HTTP/2 without TLS."`
	CAFile         string        `doc:"PEM file with the authorities that may have signed the certificate of an https server; those of this machine if it is missing."`
	HealthPath     string        `doc:"Path that is requested with GET to check the health of the server. While the answer is not 2xx, other servers of the endpoint get its requests."`
	HealthInterval time.Duration `doc:"Time between two checks; 10s if it is missing."`
}

// Headers are the names of the identity headers; see package forwarded.
type Headers struct {
	At

	User              *string `doc:"The user: the subject of the token. X-Forwarded-User if it is missing."`
	Email             *string `doc:"The claim email, unless email_verified is false. X-Forwarded-Email if it is missing."`
	PreferredUsername *string `doc:"The claim preferred_username, or else username. X-Forwarded-Preferred-Username if it is missing."`
	Groups            *string `doc:"The roles of the user, separated by commas. X-Forwarded-Groups if it is missing."`
	Assertion         *string `doc:"A signed JWT that says all of it. X-Gatehouse-Assertion if it is missing. In Authorization, it follows the word Bearer."`
}

// Requirement is what a caller needs for the operations that it names.
type Requirement struct {
	At

	Tool             Names `doc:"Name of a tool, or a list of names."`
	Prompt           Names `doc:"Name of a prompt, or a list of names."`
	Resource         Names `doc:"URI of a resource, or a list of URIs."`
	ResourceTemplate Names `doc:"URI template, like notes://{name}, or a list of templates."`

	Require
}

// Require is what a caller needs: everything that is set.
type Require struct {
	Scopes       []string  `doc:"Scopes of the token."`
	Roles        []string  `doc:"Roles of the user, or of the user in the organization."`
	Permissions  []string  `doc:"Permissions of the user, or of the user in the organization."`
	Organization bool      `doc:"Whether the token must be for an organization."`
	Person       bool      `doc:"Whether the caller must be a user and not a machine."`
	SignedIn     bool      `doc:"Whether a valid token is enough."`
	Public       bool      `doc:"Whether callers without a token may do it too. They have no identity headers and no assertion."`
	AnyOf        []Require `doc:"Alternatives, of which the caller must meet at least one."`
}

// Names is one name or several.
type Names []string

// Provider is an identity provider. A text is its name; its settings are then read from the
// environment.
type Provider struct {
	At

	Name   string
	config any // of the provider's package, or nil if the name is not known
}

// At is where a mapping is in the file, with the lines of its members.
type At struct {
	line  int
	lines map[string]int
}

// lineOf returns the line of the member, or that of the mapping if it has none.
func (a At) lineOf(member string) int {
	if line := a.lines[member]; line > 0 {
		return line
	}
	return a.line
}
