package forwardauth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Proxy is a reverse proxy that asks. It says in which headers the original request is described:
// no others are read, because a client could have sent them.
type Proxy string

// The proxies that can ask.
const (
	Nginx   Proxy = "nginx"   // X-Original-Method, X-Original-URI, X-Original-Host, as in examples/forwardauth
	Caddy   Proxy = "caddy"   // X-Forwarded-Method, X-Forwarded-Uri, X-Forwarded-Host
	Traefik Proxy = "traefik" // the same
	HAProxy Proxy = "haproxy" // X-Original-Method, X-Original-URI, X-Original-Host, from the Lua script in examples/forwardauth
	Envoy   Proxy = "envoy"   // the request itself, below AuthPath
)

// Proxies returns the names of all proxies that can ask.
func Proxies() []Proxy { return []Proxy{Nginx, Caddy, Traefik, HAProxy, Envoy} }

// maxMethod bounds the name of a method, in bytes.
const maxMethod = 32

// partialBody is the header with which Envoy, and the Lua script for HAProxy, say that a body is not
// complete.
const partialBody = "X-Envoy-Auth-Partial-Body"

// original is the request that a proxy asks about.
type original struct {
	method, host string
	url          *url.URL // path and query only
	partial      bool     // whether the body of the question is not the whole one
}

// proxy is how one proxy describes the original request.
type proxy struct {
	method, uri, host string // names of headers; empty if the request itself is the original one
	sendsBodies       bool   // whether it can send bodies
	errorInHeader     bool   // whether it discards the body of an answer
	fix               string // how to make it send a header, with a verb for the header's name
}

var proxies = map[Proxy]proxy{
	Nginx: {method: "X-Original-Method", uri: "X-Original-Uri", host: "X-Original-Host", errorInHeader: true,
		fix: "set %s with proxy_set_header, as examples/forwardauth/nginx.conf does"},
	Caddy: {method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", host: "X-Forwarded-Host",
		fix: "%s is set by forward_auth; see examples/forwardauth/Caddyfile"},
	Traefik: {method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", host: "X-Forwarded-Host", sendsBodies: true,
		fix: "%s is set by forwardAuth; see examples/forwardauth/traefik-dynamic.yml"},
	HAProxy: {method: "X-Original-Method", uri: "X-Original-Uri", host: "X-Original-Host", sendsBodies: true,
		fix: "%s is set by examples/forwardauth/gatehouse.lua"},
	Envoy: {sendsBodies: true},
}

// read returns the original request.
func (p *proxy) read(r *http.Request) (*original, error) {
	o := &original{method: r.Method, host: r.Host, partial: p.sendsBodies && isPartial(r.Header[partialBody])}
	uri := strings.TrimPrefix(r.RequestURI, AuthPath)
	if p.uri != "" {
		var err error
		for _, header := range []struct {
			name string
			to   *string
		}{{p.method, &o.method}, {p.uri, &uri}, {p.host, &o.host}} {
			if *header.to, err = p.single(r.Header, header.name); err != nil {
				return nil, err
			}
		}
	}
	if !isMethod(o.method) {
		return nil, &questionError{fmt.Sprintf("%s is not a method", quote.String(o.method)), "see examples/forwardauth"}
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || !strings.HasPrefix(uri, "/") {
		return nil, &questionError{fmt.Sprintf("%s is not a path with a query", quote.String(uri)), "see examples/forwardauth"}
	}
	o.url = u
	return o, nil
}

// isPartial reports whether the values of partialBody say that the body may not be complete: one is
// other than "false".
func isPartial(values []string) bool {
	return slices.ContainsFunc(values, func(value string) bool { return value != "false" })
}

// single returns the only value of a header.
func (p *proxy) single(h http.Header, name string) (string, error) {
	switch values := h[name]; {
	case len(values) > 1:
		return "", &questionError{fmt.Sprintf("the question has %d headers %s, want one", len(values), name),
			"have the proxy replace the header of the client"}
	case len(values) == 0 || values[0] == "":
		return "", &questionError{"the question has no header " + name, fmt.Sprintf(p.fix, name)}
	default:
		return values[0], nil
	}
}

// isMethod reports whether text is the name of a method that may be passed on: letters, as all
// registered ones are, and hyphens. An MCP server would answer TRACE with what the proxy has added to
// the request (RFC 9110 §9.3.8), and CONNECT asks for a tunnel.
func isMethod(text string) bool {
	return text != "" && text != http.MethodTrace && text != http.MethodConnect && len(text) <= maxMethod &&
		!strings.ContainsFunc(text, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '-' })
}

// hosts are the values of Host under which clients reach an endpoint.
type hosts struct {
	scheme   string
	names    []string
	loopback bool // whether every loopback name is one of them
}

func newHosts(resource *url.URL, allowed []string) hosts {
	out := hosts{scheme: resource.Scheme, loopback: wellknown.IsLoopback(resource.Host)}
	for _, host := range append([]string{resource.Host}, allowed...) {
		out.names = append(out.names, out.plain(host))
	}
	return out
}

// has reports whether host is one of them. The default port may be written.
func (h *hosts) has(host string) bool {
	return slices.Contains(h.names, h.plain(host)) || h.loopback && wellknown.IsLoopback(host)
}

func (h *hosts) plain(host string) string {
	port := ":443"
	if h.scheme == "http" {
		port = ":80"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}
