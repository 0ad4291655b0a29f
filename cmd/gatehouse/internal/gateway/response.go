package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// hiddenPrefixes and hiddenNames are headers of the backend that a client does not get. The
// gateway answers sign-in and CORS itself: a challenge of the backend would send clients to
// another issuer, and two Access-Control-Allow-Origin are an error. The others name software
// and machines behind the gateway.
var (
	hiddenPrefixes = []string{
		"Access-Control-", "X-Forwarded-", "X-Auth-Request-", "X-Gatehouse-", "X-Envoy-", "X-Original-", "X-Internal-",
	}
	hiddenNames = []string{
		"Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Proxy-Authentication-Info", "Server", "X-Powered-By",
		"X-Aspnet-Version",
		"X-Runtime", "X-Served-By", "X-Backend", "Via", "Alt-Svc", "Forwarded", "Location", "Content-Location", "Refresh", "Link", "Nel",
		"Report-To", "Reporting-Endpoints", "Sourcemap", "X-Sourcemap", "Strict-Transport-Security", "Public-Key-Pins", "Clear-Site-Data", "Service-Worker-Allowed",
		"Trailer", "Upgrade", "X-Real-Ip", "Remote-User", "Server-Timing", "Dpop-Nonce",
		// A proxy in front of the gateway would answer with a file or page of its own.
		"X-Accel-Redirect", "X-Sendfile", "X-Lighttpd-Send-File", "X-Reproxy-Url",
	}
)

// hideHeaders removes what a client must not get of the backend's answer.
func (e *endpoint) hideHeaders(h http.Header) {
	for name := range h {
		if slices.Contains(hiddenNames, name) ||
			slices.ContainsFunc(hiddenPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			delete(h, name)
		}
	}
	if !e.config.ForwardCookies {
		delete(h, "Set-Cookie")
		delete(h, "Set-Cookie2")
	}
	for _, name := range e.identityHeaders {
		delete(h, name)
	}
}

// modifyResponse makes of the backend's answer what the client gets. Its error, a *problem, is
// answered in place of it.
func (e *endpoint) modifyResponse(resp *http.Response) error {
	x := exchangeOf(resp.Request.Context())
	if problem := e.checkStatus(resp); problem != nil {
		return problem
	}
	e.hideHeaders(resp.Header)
	if id := resp.Header.Get(sessionHeader); id != "" {
		resp.Header[sessionHeader] = []string{x.answeredBy.sessionID(id)}
	}
	x.streaming = isEventStream(resp.Header)
	if x.lists && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		if err := e.filterAnswer(x, resp); err != nil {
			return err
		}
	} else if x.streaming {
		resp.Body = &streamBody{ReadCloser: resp.Body, exchange: x, endpoint: e}
	}
	if x.streaming && canBeKeptAlive(resp) {
		resp.Body = newKeptAlive(resp.Body, x.client, e.config.KeepAlive)
	}
	return nil
}

// checkStatus returns a problem for answers that would be misread as those of the gateway.
//
// A 401 would make clients discard a token that is valid. A redirect would show them an address
// behind the gateway, to which they would send their token.
func (e *endpoint) checkStatus(resp *http.Response) *problem {
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired:
		return &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "upstream_wants_credentials",
			text: "the MCP server behind the gateway asks for credentials of its own",
			hint: "switch its own sign-in off, or have it verify the assertion of the gateway", upstreamStatus: status}
	case status >= 300 && status < 400 && status != http.StatusNotModified:
		return &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "upstream_redirects",
			text: "the MCP server behind the gateway redirects to another address",
			hint: "set the upstream to the URL to which it redirects: " + redirectTarget(resp), upstreamStatus: status}
	case status == http.StatusSwitchingProtocols:
		return &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "upstream_switches_protocol",
			text: "the MCP server behind the gateway switches to another protocol", upstreamStatus: status}
	case status < 200 || status > 599: // net/http panics for some, and clients differ about the others
		return &problem{status: http.StatusBadGateway, code: codeBadGateway, reason: "upstream_invalid_status",
			text: "the MCP server behind the gateway answers with a status that HTTP does not have", upstreamStatus: status}
	}
	return nil
}

func redirectTarget(resp *http.Response) string {
	if u, err := resp.Location(); err == nil {
		return u.Redacted()
	}
	return "it names none"
}
