package diagnose

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// doctor is one run. The probes run in parallel and write to fields of their own; findings
// are added by one goroutine.
type doctor struct {
	cfg    Config
	prober *prober
	target string
	query  string // of the target

	endpoint *url.URL // nil if the target is an issuer, or has a fault
	issuer   string   // the issuer as the target or the metadata names it; empty if unknown

	first           *answer   // to initialize without a token
	challenged      *answer   // the one that should be a 401: first, unless some operations are public
	documentAnswers []*answer // in the order of observed.Documents
	metadataAnswer  *answer   // with observed.Issuer.Metadata

	settings environment // if the target is empty
	signer   webKey      // the first key that the issuer may sign with
	keyIDs   []string    // of all of them

	rejectsOpaque bool // the server says that it accepts no opaque tokens
	endpointSkew,
	issuerSkew *time.Duration // the clock of the other side minus this machine's

	observed observed
	findings []Finding

	progressMu sync.Mutex
}

func newDoctor(cfg Config) *doctor {
	d := &doctor{cfg: cfg, prober: newProber(cfg)}
	d.observed.CORS.Origin = cfg.Origin
	return d
}

func (d *doctor) progress(format string, args ...any) {
	if d.cfg.Progress == nil {
		return
	}
	d.progressMu.Lock()
	defer d.progressMu.Unlock()
	d.cfg.Progress(d.clean(fmt.Sprintf(format, args...)))
}

// examine makes every check, in the order in which clients meet the problems.
func (d *doctor) examine(ctx context.Context, target string) error {
	if err := d.resolve(ctx, target); err != nil {
		return err
	}
	d.dropGuess(ctx)
	if d.endpoint != nil {
		d.examineEndpoint(ctx)
	}
	if d.issuer == "" {
		d.issuer = d.settings.issuer
	}
	if d.issuer != "" {
		d.examineIssuer(ctx)
	}
	if d.endpoint != nil {
		d.examineTokens(ctx)
	}
	d.checkClocks()
	d.checkClerkSettings(ctx)
	d.skipRest()
	return nil
}

// skipRest adds an unchecked finding for each check that was not made and that the target
// is about.
func (d *doctor) skipRest() {
	for i := range checks {
		c := &checks[i]
		if d.has(c.id, OK, Warning, Fault, Unchecked) || d.isOptional(c.id) {
			continue
		}
		if !d.blocked(c.id) {
			d.skip(c.id, "the run ended before this check", "give the command more time with --timeout")
		}
	}
}

// isOptional reports whether a check without a finding is left out of the report: it is not
// about this target.
func (d *doctor) isOptional(id string) bool {
	switch id {
	case "config":
		return d.target != ""
	case "signin":
		return true
	case "dns", "connect":
		return d.subject() == "" || !d.has("connect", Fault, Warning, OK) && !d.has("url", Fault)
	case "tls":
		return !strings.HasPrefix(d.subject(), "https://")
	case "entra":
		return d.observed.Issuer.Kind != "entra"
	case "clerk":
		return d.observed.Issuer.Kind != "clerk"
	case "origin":
		return !d.observed.Loopback
	case "url":
		return true
	case "server", "pkce", "registration", "keys", "clock":
		return d.subject() == "" && !d.has("url", Fault) && !d.has("config", Fault)
	}
	return d.endpoint == nil // the other checks are about an endpoint
}

func (d *doctor) report() *Report {
	report := &Report{
		Version:  Version,
		Target:   d.clean(cmpOr(d.target, d.subject())),
		Findings: sorted(d.findings),
		Clients:  []Client{},
	}
	if d.endpoint != nil {
		report.Clients = append(report.Clients, judgeClients(&d.observed)...)
	}
	return report
}

func cmpOr(a, b string) string {
	if a != "" {
		return wellknown.Redacted(a)
	}
	return b
}

// resource is the URL of the endpoint, which clients compare with the metadata.
func (d *doctor) resource() string { return d.endpoint.String() }

// metadataURL returns the URL at which the metadata of the endpoint belongs.
func (d *doctor) metadataURL() string { return metadataURLOf(d.endpoint) }

func metadataURLOf(endpoint *url.URL) string {
	address := originOf(endpoint) + wellknown.ProtectedResource(withoutSlash(endpoint))
	if endpoint.RawQuery != "" { // a part of the identifier of a resource (RFC 9728 section 3.1)
		address += "?" + endpoint.RawQuery
	}
	return address
}

func (d *doctor) rootMetadataURL() string {
	return originOf(d.endpoint) + wellknown.ProtectedResourcePath
}

// withoutSlash returns u without a slash at the end of its path.
func withoutSlash(u *url.URL) *url.URL {
	plain := *u
	plain.Path, plain.RawPath = strings.TrimSuffix(u.Path, "/"), ""
	return &plain
}

// checkNamed returns the problem of a URL that a document of the target names, or "". A
// server on another machine may not name one on this machine, and a server on the internet
// none on a private network: only this machine can connect to those.
func (d *doctor) checkNamed(raw string) (problem string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Opaque != "":
		return "is not an absolute URL"
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("has scheme %q, want https", u.Scheme)
	case reachOf(u.Host) < d.targetReach():
		return "is on the machine or the private network of the server"
	case u.Scheme == "http" && !wellknown.IsLoopback(u.Host):
		return "is plain http"
	}
	return ""
}

// targetReach is the reach of the target.
func (d *doctor) targetReach() reach {
	u, err := url.Parse(d.subject())
	if err != nil {
		return internet
	}
	return reachOf(u.Host)
}

// isLoopbackTarget reports whether the target is on this machine.
func (d *doctor) isLoopbackTarget() bool { return d.targetReach() == thisMachine }

// reach says from where a host can be reached.
type reach int

const (
	thisMachine reach = iota
	privateNetwork
	internet
)

// reachOf returns the reach of a host, with or without a port. It looks no name up.
func reachOf(host string) reach {
	switch {
	case wellknown.IsLoopback(host):
		return thisMachine
	case isLocal(host):
		return privateNetwork
	}
	return internet
}

// localSuffixes are names that no public DNS server resolves (RFC 6762, RFC 8375, and ICANN's
// reservation of .internal).
var localSuffixes = []string{".local", ".localhost", ".home.arpa", ".internal", ".svc"}

// isLocal reports whether a host cannot be reached from the internet.
func isLocal(host string) bool {
	if wellknown.IsLoopback(host) {
		return true
	}
	name := (&url.URL{Host: host}).Hostname()
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.IsPrivate() || !addr.IsGlobalUnicast()
	}
	name = strings.ToLower(name)
	return !strings.Contains(name, ".") ||
		slices.ContainsFunc(localSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// seconds formats a duration for people: in seconds, or in minutes if it is several.
func seconds(d time.Duration) string {
	if d.Abs() < 2*time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
