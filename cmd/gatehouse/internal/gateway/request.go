package gateway

import (
	"net"
	"net/http"
	"net/http/httputil"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
	"go.opentelemetry.io/otel/propagation"
)

// notForwarded are headers of the client that the backend does not get.
//
// The guard has checked Origin and the token. A backend on localhost would reject the origin of
// a web page, whose host is not its own, or add CORS headers of its own. Compressed answers
// could not be filtered, and compressing what a process on the same machine sends costs more
// than it saves. CGI makes HTTP_PROXY of Proxy, which is the name of the variable with which programs
// find their proxy (CVE-2016-5385).
var notForwarded = []string{
	"Authorization", "Proxy-Authorization", "Proxy", "Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User",
	"Access-Control-Request-Method", "Access-Control-Request-Headers", "Access-Control-Request-Private-Network",
	"Upgrade", "Connection", "Te", "Expect", "Trailer", "Via", "Dpop", "Max-Forwards", "Host", "Accept-Encoding",
}

// rewrite makes of a client's request what the backend gets. ReverseProxy has removed the
// hop-by-hop headers before, among them those that the client named in Connection, so none of
// the headers that are set here can be removed by a client.
func (e *endpoint) rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In.Context())
	h := pr.Out.Header
	for _, name := range notForwarded {
		delete(h, name)
	}
	if !e.config.ForwardCookies {
		delete(h, "Cookie")
		delete(h, "Cookie2")
	}
	e.forwarder.Strip(h)
	// Servers that merge trailers into the headers would take an identity from them.
	pr.Out.Trailer = nil
	// The backend's own host: the go-sdk, for example, rejects others on localhost.
	pr.Out.Host = ""
	h["X-Forwarded-Host"] = []string{e.host}
	h["X-Forwarded-Proto"] = []string{e.scheme}
	if address := e.clientAddress(pr.In); address != "" {
		h[clientaddr.XForwardedFor] = []string{address}
	}
	if x.session != "" {
		h[sessionHeader] = []string{x.session}
	} else {
		delete(h, sessionHeader)
	}
	h["Accept-Encoding"] = []string{"identity"}
	// If the request has a span, the backend's own spans are inside of it. Otherwise the client's
	// trace context is forwarded as it is.
	propagation.TraceContext{}.Inject(pr.In.Context(), propagation.HeaderCarrier(h))
	if e.config.DangerouslyForwardAccessToken {
		h["Authorization"], _ = pr.In.Context().Value(accessTokenKey{}).([]string)
	}
	// A caller without a token, of an operation that is public, has no identity.
	if identity, signedIn := gatehouse.IdentityOfHTTP(pr.In); signedIn || !e.public {
		x.unnamed = e.forwarder.Set(h, identity)
	}
}

// clientAddress returns the address of the client, or "" if it is not known: that of the connection,
// or the one that the trusted proxies in front of the gateway have written. The backend gets it alone,
// without those of the proxies and without what the client has written before them: whether a backend
// reads the first address, the last one, or that before its proxy, it is always this one.
func (e *endpoint) clientAddress(in *http.Request) string {
	if len(e.clients.Trusted) > 0 {
		return e.clients.Find(in).String()
	}
	address, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		return "" // as for a Unix socket
	}
	return address
}
