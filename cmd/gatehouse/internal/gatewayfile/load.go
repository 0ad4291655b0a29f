package gatewayfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/certfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwardauth"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"go.yaml.in/yaml/v3"
)

// acceptedKeysVariable has the session keys that are accepted in addition to MCP_SESSION_KEY.
const acceptedKeysVariable = "MCP_ACCEPTED_SESSION_KEYS"

// minHealthInterval is the shortest time between two checks of a server, which each cost it a request.
const minHealthInterval = time.Second

// maxEndpoints bounds the endpoints of a file.
const maxEndpoints = 256

// Loader loads a file again and again. What a file leaves to each process, such as the key of
// session IDs, is the same each time.
type Loader struct {
	path   string
	env    *env.Env
	logger *slog.Logger

	sessionKey gatehouse.SessionKey
	accepted   []gatehouse.SessionKey // of acceptedKeysVariable; they belong to sessionKey
	auditKey   gatehouse.AuditKey
	keyFolder  string // of this process; removed by Close

	forwardAuth      *forwardauth.Config // what ForwardAuth sets
	withoutUpstreams bool                // what WithoutUpstreams sets

	certificate      *certfile.Certificate
	certificateFiles [2]string // of certificate

	audits    audits
	checkOnly bool
	stores    map[[sha256.Size]byte]openedStore
	opened    []*revocationstore.Store
	inMemory  *revocationstore.Store // nil until a file needs it
}

// NewLoader returns a loader of the file at path. settings are the environment.
func NewLoader(path string, settings *env.Env, logger *slog.Logger) *Loader {
	folder, err := os.MkdirTemp("", "gatehouse-keys-")
	if err != nil { // as in a container without /tmp
		logger.Info("a changed configuration will need an answer of the provider, because its keys cannot be stored; "+
			"set key_folder to store them", "error", err)
	}
	l := &Loader{path: path, env: settings, logger: logger, keyFolder: folder, stores: map[[sha256.Size]byte]openedStore{}}
	l.sessionKey, l.auditKey = make(gatehouse.SessionKey, sha256.Size), make(gatehouse.AuditKey, sha256.Size)
	rand.Read(l.sessionKey) // never returns an error
	rand.Read(l.auditKey)
	for _, key := range settings.List(acceptedKeysVariable) {
		l.accepted = append(l.accepted, gatehouse.SessionKey(key))
	}
	if key := settings.Get("MCP_SESSION_KEY"); key != "" || l.accepted != nil { // without it, they are a fault
		l.sessionKey = gatehouse.SessionKey(key)
	}
	return l
}

// Close removes what the loader has made.
func (l *Loader) Close() {
	l.audits.close()
	for _, s := range l.opened {
		s.Close()
	}
	if l.keyFolder != "" {
		os.RemoveAll(l.keyFolder)
	}
}

// Loaded is what a file says.
type Loaded struct {
	Gateway gateway.Config
	Listen  string
	Stop    gateway.Stop

	// Certificate is that of the listener; nil without TLS. It is the same each time that the file
	// is loaded, unless other files are named.
	Certificate *certfile.Certificate
	Operator    OperatorPort
	Revocations *revocationstore.Store // nil if the file has none; in memory if only the operator port takes revocations

	files []string // that the file refers to
	path  string
}

// Read returns the text of the file and of the files that it refers to. If it is the same, so is
// what Load returns.
func (l *Loaded) Read() ([]byte, error) {
	text, err := yamlfile.Read(l.path)
	if err != nil {
		return nil, err
	}
	for _, path := range l.files {
		more, err := yamlfile.Read(path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(more)
		text = append(append(text, 0), sum[:]...)
	}
	return text, nil
}

// Load reads the file. Its error joins one *[yamlfile.Error] for each mistake.
func (l *Loader) Load() (*Loaded, error) {
	text, err := yamlfile.Load(l.path)
	if err != nil {
		return nil, err
	}
	top, err := yamlfile.Parse(l.path, text, "split it into the files of several gateways")
	if err != nil {
		return nil, err
	}
	if top == nil {
		return nil, &yamlfile.Error{File: l.path, Problem: "the file is empty", Fix: `"gatehouse gateway --print-config" prints an example`}
	}
	d := &decoder{file: l.path, getenv: l.env.Get, used: sha256.New()}
	var file File
	d.structure(top, "the file", reflect.ValueOf(&file).Elem())
	b := &builder{Loader: l, decoder: d, file: &file, shared: sharedText(top)}
	loaded := b.build(top)
	if err := errors.Join(d.sorted()...); err != nil {
		return nil, err
	}
	return loaded, nil
}

// sorted returns the mistakes in the order of the file, each once.
func (d *decoder) sorted() []error {
	slices.SortStableFunc(d.errors, func(a, b error) int { return a.(*yamlfile.Error).Line - b.(*yamlfile.Error).Line })
	return slices.CompactFunc(d.errors, func(a, b error) bool { return a.Error() == b.Error() })
}

// sharedText returns the text of everything but the endpoints.
func sharedText(top *yaml.Node) string {
	rest := *top
	rest.Content = nil
	if top.Kind == yaml.MappingNode {
		for pair := range slices.Chunk(top.Content, 2) {
			if pair[0].Value != "endpoints" {
				rest.Content = append(rest.Content, pair...)
			}
		}
	}
	text, _ := yaml.Marshal(&rest)
	return string(text)
}

// builder makes the configuration of the gateway of a file.
type builder struct {
	*Loader
	*decoder
	file   *File
	shared string
}

func (b *builder) build(top *yaml.Node) *Loaded {
	f := b.file
	loaded := &Loaded{Listen: f.Listen, Stop: gateway.Stop{Delay: f.DrainDelay, Timeout: f.ShutdownTimeout}, path: b.path}
	loaded.Gateway = gateway.Config{LogRequests: f.LogRequests, Logger: b.logger}
	if len(f.SessionKey) == 0 && len(f.AcceptedSessionKeys) == 0 && b.forwardAuth == nil {
		f.SessionKey, f.AcceptedSessionKeys = b.sessionKey, b.accepted
	}
	if len(f.Endpoints) > maxEndpoints {
		b.report(f.lineOf("endpoints"), fmt.Sprintf("there are %d endpoints, want at most %d", len(f.Endpoints), maxEndpoints),
			"use several gateways")
	} else if len(f.Endpoints) == 0 && f.lines["endpoints"] > 0 {
		b.report(f.lineOf("endpoints"), "endpoints is empty", "add an endpoint, with its url and upstream")
	}
	if f.AssertionKeyFile != "" {
		loaded.Gateway.AssertionKeys = b.assertionKeys()
	}
	auditLogger := b.auditLogger()
	loaded.Certificate = b.certificateOfListener()
	loaded.Operator, loaded.Revocations = b.operatorPort(), b.revocations(top)
	nodes := endpointNodes(top)
	for i := range f.Endpoints {
		e := &f.Endpoints[i]
		if e.line == 0 {
			continue // not a mapping, which is reported
		}
		config := b.endpoint(e)
		config.Guard.AuditLogger = auditLogger
		if loaded.Revocations != nil {
			config.Guard.Revocations = loaded.Revocations
		}
		b.setLimits(&config.Guard, loaded.Revocations)
		if auditLogger != nil {
			config.Guard.AuditKey = f.Audit.Key
			if len(f.Audit.Key) == 0 {
				config.Guard.AuditKey = b.auditKey
			}
			if f.Audit.Subjects == "clear" {
				config.Guard.AuditSubjects = gatehouse.AuditSubjectsClear
			}
		}
		b.validate(i, config)
		config.Identity = b.identity(nodes[i])
		loaded.Gateway.Endpoints = append(loaded.Gateway.Endpoints, config)
	}
	b.duplicates()
	b.checkFile(loaded.Gateway.Endpoints)
	if len(b.errors) == 0 {
		b.checkTogether(loaded.Gateway)
	}
	loaded.files = b.files
	return loaded
}

// checkTogether reports endpoints that are valid alone and not together, such as two on one path.
func (b *builder) checkTogether(config gateway.Config) {
	if b.forwardAuth != nil {
		b.checkForwardAuth(0, config.Endpoints...)
		return
	}
	gw, err := gateway.New(config)
	if err == nil {
		gw.Close()
		return
	}
	e := &b.file.Endpoints[0]
	if fault := (*gateway.EndpointError)(nil); errors.As(err, &fault) {
		e, err = &b.file.Endpoints[fault.Index], fault.Err
	}
	b.explain(e, err)
}

// duplicates reports endpoints with the same URL.
func (b *builder) duplicates() {
	seen := map[string]int{}
	for i := range b.file.Endpoints {
		e := &b.file.Endpoints[i]
		if first := seen[e.URL]; first > 0 && e.URL != "" {
			b.report(e.lineOf("url"), fmt.Sprintf("url %q is also that of the endpoint on line %d", e.URL, first),
				"give each endpoint a URL of its own")
		}
		seen[e.URL] = e.line
	}
}

func endpointNodes(top *yaml.Node) []*yaml.Node {
	if n := memberNode(top, "endpoints"); n != nil {
		return n.Content
	}
	return nil
}

// identity returns a hash of everything that the endpoint depends on.
func (b *builder) identity(node *yaml.Node) string {
	text, _ := yaml.Marshal(node)
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s", len(b.shared), b.shared, len(text), text)
	h.Write(b.used.Sum(nil))
	return hex.EncodeToString(h.Sum(nil))
}

func (b *builder) assertionKeys() *forwarded.Keys {
	line := b.file.lineOf("assertion_key_file")
	text, err := b.readFile(b.file.AssertionKeyFile, maxSecretFile)
	if err == nil {
		var keys *forwarded.Keys
		if keys, err = forwarded.ParseKeys(text); err == nil {
			return keys
		}
	}
	b.report(line, fmt.Sprintf("assertion_key_file %q cannot be used: %v", b.file.AssertionKeyFile, err),
		`make it with "openssl ecparam -name prime256v1 -genkey -noout -out FILE"`)
	return nil
}

// endpoint returns the configuration of an endpoint.
func (b *builder) endpoint(e *Endpoint) gateway.Endpoint {
	config := gateway.Endpoint{
		Upstreams: b.upstreams(e), Headers: e.headers(), Principal: e.Principal, ForwardCookies: e.ForwardCookies,
		DangerouslyForwardAccessToken: e.DangerouslyForwardAccessToken, HeaderTimeout: e.HeaderTimeout, MaxListBytes: e.MaxListBytes,
		KeepAlive: e.KeepAlive,
	}
	if e.MaxListBytes < 0 {
		b.report(e.lineOf("max_list_bytes"), "max_list_bytes is negative", "use a positive number, or remove it")
	}
	config.Guard = gatehouse.Config{
		Resource: e.URL, LocalPath: e.LocalPath, HostDocuments: e.HostDocuments,
		RequiredScopes: e.RequiredScopes, Requirements: e.requirements(), DenyUndeclared: e.DenyUndeclared, ShowLocked: e.ShowLocked,
		DraftStructuredDenials: e.DraftStructuredDenials, OperationScopesOnly: e.OperationScopesOnly, ChallengeInResult: e.ChallengeInResult, SecuritySchemes: e.SecuritySchemes,
		ImpliedScopes: e.ImpliedScopes,
		ResourceName:  e.Name, ResourceDocumentation: e.Documentation,
		AllowedOrigins: e.AllowedOrigins, AllowedHeaders: e.AllowedHeaders, AllowedHosts: e.AllowedHosts, Leeway: e.Leeway,
		SessionKey: b.file.SessionKey, AcceptedSessionKeys: b.file.AcceptedSessionKeys, MaxSessions: e.MaxSessions, MaxSessionsPerUser: e.MaxSessionsPerUser, SessionTimeout: e.SessionTimeout,
		MaxBodyBytes: e.MaxBodyBytes, Logger: b.logger,
	}
	if e.Default != nil {
		config.Guard.Default = e.Default.require()
	}
	b.setProviders(e, &config.Guard)
	return config
}

// setProviders sets the providers of the endpoint, or those of the file.
func (b *builder) setProviders(e *Endpoint, guard *gatehouse.Config) {
	one, several := e.Provider, e.Providers
	at, line := e.At, e.line
	if one == nil && len(several) == 0 {
		one, several, at = b.file.Provider, b.file.Providers, b.file.At
	}
	switch {
	case one == nil && len(several) == 0:
		b.report(line, "the endpoint has no provider, and neither has the file", "add provider: clerk, or another of "+
			strings.Join(providername.Names(), ", "))
		return
	case one != nil && len(several) > 0:
		b.report(at.lineOf("provider"), "provider is set in addition to providers", "write it as one of providers")
		return
	case one != nil:
		guard.Provider = b.provider(one)
		guard.KeyFile = b.keyFile(guard.Provider)
		return
	}
	for i := range several {
		guard.Providers = append(guard.Providers, b.provider(&several[i]))
	}
	guard.KeyFile = b.keyFile(guard.Providers[0])
}

func (b *builder) provider(p *Provider) gatehouse.Provider {
	known, ok := providername.Find(p.Name)
	if !ok || p.config == nil {
		return placeholder // the mistake is reported
	}
	made := known.New(p.config)
	if made.Err != nil {
		b.explainProvider(p, made.Err)
		return placeholder
	}
	return made
}

// placeholder is in the place of a provider that has mistakes, so that the rest of the endpoint
// is checked. A file with mistakes is never used.
var placeholder = newPlaceholder()

// newPlaceholder returns a provider whose tokens have everything that a requirement can name, so that
// a mistake of the provider does not make mistakes of its requirements.
func newPlaceholder() gatehouse.Provider {
	p := gatehouse.OIDC("https://issuer.invalid")
	p.Claims.Roles, p.Claims.Permissions = []gatehouse.ClaimPath{{"roles"}}, []gatehouse.ClaimPath{{"permissions"}}
	p.Claims.Organization = gatehouse.ClaimPath{"organization"}
	return p
}

// keyFile returns the file for the keys of the provider. Without a folder in the configuration,
// it is one of this process: a changed configuration then needs no answer of the provider.
func (b *builder) keyFile(p gatehouse.Provider) string {
	folder := b.file.KeyFolder
	if folder == "" {
		folder = b.keyFolder
	}
	if folder == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(p.Issuer + "\x00" + p.JWKSURL))
	return filepath.Join(folder, "keys-"+hex.EncodeToString(sum[:8])+".json")
}

func (b *builder) upstreams(e *Endpoint) []gateway.Upstream {
	if e.Upstream != nil && len(e.Upstreams) > 0 {
		b.report(e.lineOf("upstream"), "upstream is set in addition to upstreams", "write it as one of upstreams")
	}
	all := e.Upstreams
	if e.Upstream != nil {
		all = []Upstream{*e.Upstream}
	}
	if len(all) == 0 && b.needsUpstreams() {
		b.report(e.line, "the endpoint has no upstream", `add the URL of the MCP server, like upstream: http://localhost:8000/mcp`)
	}
	var out []gateway.Upstream
	for _, u := range all {
		if u.URL == "" {
			continue // which is reported
		}
		target, err := url.Parse(u.URL)
		if err != nil {
			b.report(u.lineOf("url"), fmt.Sprintf("upstream %q is not a URL", u.URL), "write it like http://localhost:8000/mcp")
			continue
		}
		if public, err := url.Parse(e.URL); err == nil && target.Path == "" {
			target.Path = public.Path
		}
		if u.HealthPath != "" && !strings.HasPrefix(u.HealthPath, "/") {
			b.report(u.lineOf("health_path"), fmt.Sprintf("health_path %q does not begin with a slash", u.HealthPath),
				"write it like /healthz")
		}
		if u.HealthPath == "" && u.HealthInterval != 0 {
			b.report(u.lineOf("health_interval"), "health_interval has no effect without health_path",
				"add health_path, or remove it")
		}
		if u.HealthInterval != 0 && u.HealthInterval < minHealthInterval {
			b.report(u.lineOf("health_interval"), fmt.Sprintf("health_interval %q is too short", u.HealthInterval), "use at least 1s")
		}
		out = append(out, gateway.Upstream{URL: target, H2C: u.H2C, HealthPath: u.HealthPath, HealthInterval: u.HealthInterval, RootCAs: b.roots(&u)})
	}
	return out
}

func (e *Endpoint) headers() forwarded.Headers {
	names := forwarded.DefaultHeaders()
	if e.Headers == nil {
		return names
	}
	for _, header := range []struct {
		set  *string
		name *string
	}{
		{e.Headers.User, &names.User}, {e.Headers.Email, &names.Email}, {e.Headers.PreferredUsername, &names.PreferredUsername},
		{e.Headers.Groups, &names.Groups}, {e.Headers.Assertion, &names.Assertion},
	} {
		if header.set != nil {
			*header.name = *header.set
		}
	}
	return names
}

// requirements returns a requirement for each name.
func (e *Endpoint) requirements() []gatehouse.Requirement {
	var out []gatehouse.Requirement
	for i := range e.Requirements {
		out = append(out, e.Requirements[i].each()...)
	}
	return out
}

// each returns a requirement for each name of r. Without any there is one, which is a mistake
// that the guard reports.
func (r *Requirement) each() []gatehouse.Requirement {
	require := r.require()
	var out []gatehouse.Requirement
	for _, name := range r.Tool {
		out = append(out, gatehouse.Requirement{Tool: name, Require: require})
	}
	for _, name := range r.Prompt {
		out = append(out, gatehouse.Requirement{Prompt: name, Require: require})
	}
	for _, name := range r.Resource {
		out = append(out, gatehouse.Requirement{Resource: name, Require: require})
	}
	for _, name := range r.ResourceTemplate {
		out = append(out, gatehouse.Requirement{ResourceTemplate: name, Require: require})
	}
	if len(out) == 0 {
		out = append(out, gatehouse.Requirement{Require: require})
	}
	return out
}

func (r *Require) require() gatehouse.Require {
	out := gatehouse.Require{
		Scopes: r.Scopes, Roles: r.Roles, Permissions: r.Permissions,
		Organization: r.Organization, Person: r.Person, SignedIn: r.SignedIn, Public: r.Public,
	}
	if r.AnyOf != nil {
		out.AnyOf = []gatehouse.Require{}
	}
	for i := range r.AnyOf {
		out.AnyOf = append(out.AnyOf, r.AnyOf[i].require())
	}
	return out
}
