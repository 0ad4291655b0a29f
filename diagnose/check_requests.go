package diagnose

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// replicaRequests is how often a request is sent, to see whether replicas answer
// differently. Each time it is on a new connection.
const replicaRequests = 3

// foreignOrigin is a web origin that no server allows by name.
const foreignOrigin = "https://attacker.example"

// otherAnswers are the answers to requests without a token, other than the first one.
type otherAnswers struct {
	discover, get, head, put, delete, slash, doubleSlash, upperCase *answer
	foreignOrigin, foreignHost                                      *answer // only of a server on this machine
	preflight, fromPage                                             *answer
	repeated                                                        []*answer
	documents                                                       []*answer // the metadata again
	copies                                                          []*answer // authorization server metadata at the endpoint's own origin
}

// probeOtherRequests sends the requests without a token that other clients, browsers and
// attackers send, and judges the answers.
func (d *doctor) probeOtherRequests(ctx context.Context) {
	var o otherAnswers
	resource := d.resource()
	send := func(target **answer, r request) func() {
		return func() { *target = d.prober.send(ctx, r) }
	}
	path := d.endpoint.Path
	functions := []func(){
		send(&o.discover, discoverRequest(resource, nil)),
		send(&o.get, request{method: http.MethodGet, url: resource, header: http.Header{"Accept": {"text/event-stream"}}}),
		send(&o.head, request{method: http.MethodHead, url: resource, header: http.Header{"Accept": {"text/event-stream"}}}),
		send(&o.put, request{
			method: http.MethodPut, url: resource, body: initializeBody, header: http.Header{"Content-Type": {"application/json"}},
		}),
		send(&o.delete, request{method: http.MethodDelete, url: resource,
			header: http.Header{"Mcp-Session-Id": {"gatehouse-doctor"}}}),
		send(&o.preflight, request{method: http.MethodOptions, url: resource,
			header: preflightHeader(d.pageOrigin(), http.MethodPost, "authorization,content-type,mcp-protocol-version")}),
		send(&o.fromPage, initializeRequest(resource, http.Header{"Origin": {d.pageOrigin()}})),
	}
	if strings.Trim(path, "/") != "" {
		functions = append(functions,
			send(&o.slash, initializeRequest(d.otherPath(toggleSlash(path)), nil)),
			send(&o.doubleSlash, initializeRequest(d.otherPath("/"+path), nil)),
			send(&o.upperCase, initializeRequest(d.otherPath(strings.ToUpper(path)), nil)))
	}
	if d.observed.Loopback {
		foreign := initializeRequest(resource, nil)
		foreign.host = "attacker.example"
		functions = append(functions,
			send(&o.foreignOrigin, initializeRequest(resource, http.Header{"Origin": {foreignOrigin}})),
			send(&o.foreignHost, foreign))
	}
	functions = append(functions, d.repetitions(ctx, &o)...)
	all(functions...)
	d.observed.Modern = observedEra{Asked: true, Status: o.discover.status, Answered: isMCPAnswer(o.discover)}
	d.observed.Legacy = observedEra{Asked: true, Status: d.first.status, Answered: isMCPAnswer(d.first)}
	d.checkReplicas(&o)
	d.checkCopies(&o)
	if d.observed.Open {
		d.skipProtected()
		return
	}
	if d.observed.Public {
		d.skip("verbs", "some operations are public, so requests without a token are answered; whether all others need a token "+
			"cannot be seen from here", "call a tool that should need a token without one")
	} else {
		d.checkVerbs(&o)
	}
	d.checkOrigin(&o)
	d.checkCORS(&o)
	d.checkRevisionsWithoutToken(&o)
}

// repetitions returns the requests that are sent again.
func (d *doctor) repetitions(ctx context.Context, o *otherAnswers) []func() {
	o.repeated = make([]*answer, replicaRequests-1)
	o.documents = make([]*answer, replicaRequests-1)
	var functions []func()
	document := d.document()
	for i := range replicaRequests - 1 {
		functions = append(functions, func() { o.repeated[i] = d.prober.send(ctx, initializeRequest(d.resource(), nil)) })
		if document != nil {
			functions = append(functions, func() { o.documents[i] = d.prober.get(ctx, document.URL, !d.isLoopbackTarget()) })
		}
	}
	copies := []string{originOf(d.endpoint) + "/.well-known/oauth-authorization-server"}
	o.copies = make([]*answer, len(copies))
	for i, c := range copies {
		functions = append(functions, func() { o.copies[i] = d.prober.get(ctx, c, false) })
	}
	return functions
}

// repeat calls f with 0 to replicaRequests-1, at the same time.
func (d *doctor) repeat(f func(i int)) {
	var functions []func()
	for i := range replicaRequests {
		functions = append(functions, func() { f(i) })
	}
	all(functions...)
}

func toggleSlash(path string) string {
	if strings.HasSuffix(path, "/") {
		return strings.TrimSuffix(path, "/")
	}
	return path + "/"
}

// skipProtected adds the unchecked findings of an endpoint that asks for no token.
func (d *doctor) skipProtected() {
	for _, id := range []string{"verbs", "origin", "cors"} {
		if id != "origin" || d.observed.Loopback {
			d.skip(id, "the endpoint asks for no token", "")
		}
	}
}

// checkVerbs judges whether anything at the endpoint is open although POST is not.
func (d *doctor) checkVerbs(o *otherAnswers) {
	for _, v := range []struct {
		method string
		a      *answer
	}{{"GET", o.get}, {"HEAD", o.head}, {"PUT", o.put}, {"DELETE", o.delete}, {"POST server/discover", o.discover}} {
		if isServed(v.a) {
			d.found("verbs.open", v.a.String()+"; the request had no token", "method", v.method)
		}
	}
	for _, p := range []struct {
		id string
		a  *answer
	}{{"verbs.slash_open", o.slash}, {"verbs.double_slash_open", o.doubleSlash}, {"verbs.case_open", o.upperCase}} {
		if p.a != nil && isMCPAnswer(p.a) {
			d.found(p.id, p.a.String()+"; the request had no token")
		}
	}
	d.ok("verbs", "without a token, GET is answered with %s, DELETE with %s, and server/discover with %s",
		statusOf(o.get), statusOf(o.delete), statusOf(o.discover))
}

// isServed reports whether a request without a token reached the MCP server behind the
// guard: it was carried out, or rejected for what only the server knows.
func isServed(a *answer) bool {
	switch {
	case a.err != nil || a.isHTML():
		return false
	case isMCPAnswer(a):
		return true
	case a.request.method == http.MethodGet, a.request.method == http.MethodHead:
		return a.status == http.StatusOK && hasMedia(a, "text/event-stream")
	case a.request.method == http.MethodDelete, a.request.method == http.MethodPut:
		return a.status == http.StatusOK || a.status == http.StatusNoContent || a.status == http.StatusAccepted
	}
	return false
}

func statusOf(a *answer) string {
	if a == nil || a.err != nil {
		return "no answer"
	}
	return fmt.Sprint(a.status)
}

// checkOrigin judges whether a local server can be used by foreign web pages.
func (d *doctor) checkOrigin(o *otherAnswers) {
	if o.foreignOrigin == nil {
		return
	}
	if o.foreignOrigin.err == nil && o.foreignOrigin.status != http.StatusForbidden {
		d.found("origin.any", fmt.Sprintf("%s; the request had Origin: %s", o.foreignOrigin, foreignOrigin))
	}
	if a := o.foreignHost; a.err == nil && (a.status < 400 || a.status == http.StatusUnauthorized) {
		d.found("origin.host", a.String()+"; the request had Host: attacker.example")
	}
	d.ok("origin", "with Origin: %s the answer is %s, with Host: attacker.example it is %s", foreignOrigin,
		statusOf(o.foreignOrigin), statusOf(o.foreignHost))
}

// checkRevisionsWithoutToken judges what can be seen of the revisions without a token.
func (d *doctor) checkRevisionsWithoutToken(o *otherAnswers) {
	if o.discover.err == nil && o.discover.status != http.StatusUnauthorized && !isMCPAnswer(o.discover) {
		d.found("revisions.modern", o.discover.String()+"; initialize is answered with "+statusOf(d.first))
	}
}

// checkReplicas compares the answers to the same request.
func (d *doctor) checkReplicas(o *otherAnswers) {
	for _, a := range o.repeated {
		if a.err == nil && a.status != d.first.status && a.status != http.StatusTooManyRequests {
			d.found("replicas.statuses", fmt.Sprintf("POST %s without a token: %d, and then %d", withoutQuery(d.resource()),
				d.first.status, a.status))
			break
		}
	}
	document := d.document()
	if document == nil {
		d.skip("replicas", "the server has no metadata to compare", "")
		return
	}
	for _, a := range o.documents {
		if a == nil || a.err != nil || a.status == http.StatusTooManyRequests {
			continue
		}
		if again := readResource(document.Place, a); !sameDocument(*document, again) {
			d.found("replicas.documents", fmt.Sprintf("GET %s: %s, and then %s", document.URL, describeReplica(*document),
				describeReplica(again)))
			break
		}
	}
	d.ok("replicas", "%d requests were answered alike", replicaRequests)
}

func sameDocument(a, b observedResource) bool { return describeReplica(a) == describeReplica(b) }

func describeReplica(r observedResource) string {
	if !r.Usable() {
		return r.Problem
	}
	return fmt.Sprintf("resource %q, authorization_servers %q, scopes %q", r.Resource, r.AuthorizationServers, r.Scopes)
}

// checkCopies judges what the endpoint's own origin serves to clients of 2025-03-26, which
// look for an authorization server there.
func (d *doctor) checkCopies(o *otherAnswers) {
	document := d.document()
	if document == nil || len(document.AuthorizationServers) == 0 {
		return
	}
	for _, a := range o.copies {
		s := readServer(formOAuth, a)
		issuer := document.AuthorizationServers[0]
		switch {
		case a.err == nil && a.status == http.StatusOK && a.isHTML():
			d.found("server.copy_html", a.String(), "url", a.request.url)
		case s.Usable() && s.Issuer != issuer && !sameOrigin(issuer, d.resource()):
			d.found("server.copy", fmt.Sprintf("GET %s: issuer %q; the metadata of the server names %q", a.request.url,
				s.Issuer, issuer),
				"url", a.request.url)
		}
	}
}
