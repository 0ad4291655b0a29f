package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	needsToken  = "without a token the server does not say"
	passToken   = "pass an access token of the server with --send-token-file, or sign in with --sign-in"
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	listTools   = `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}`

	// codeUnsupportedVersion is the JSON-RPC error of a server that does not support the
	// revision of a request (MCP 2026-07-28, versioning).
	codeUnsupportedVersion = -32022
)

// checkWithToken makes the checks that need a valid token: which revisions the server
// supports, whether streams pass, and whether a session is known at the next request.
func (d *doctor) checkWithToken(ctx context.Context) {
	token := string(d.cfg.Token)
	if token == "" && !d.observed.Open && !d.observed.Public {
		if !d.has("revisions", Warning) {
			d.skip("revisions", needsToken+" which revisions it supports; it asks for a token in both eras", passToken)
		}
		d.skip("stream", needsToken+" how it sends streams", passToken)
		return
	}
	d.progress("calling %s with the token", d.endpoint.Host)
	extra := http.Header{}
	if token != "" {
		extra = bearer(token)
	}
	var modern *answer
	answers := make([]*answer, replicaRequests)
	functions := []func(){func() { modern = d.prober.send(ctx, discoverRequest(d.resource(), extra)) }}
	for i := range answers {
		functions = append(functions, func() { answers[i] = d.prober.send(ctx, initializeRequest(d.resource(), extra)) })
	}
	all(functions...)
	defer d.endSessions(ctx, answers, extra)
	legacy := d.firstAccepted(answers)
	if token != "" && !d.tokenAccepted(legacy) {
		return
	}
	d.observed.Legacy = observedEra{Asked: true, Status: legacy.status, Answered: supports(legacy)}
	d.observed.Modern = observedEra{Asked: true, Status: modern.status, Answered: supports(modern)}
	d.checkRevisions(legacy, modern)
	session := legacy.header.Get("Mcp-Session-Id")
	if session == "" {
		d.skip("stream", "the server opens no session, so there is no stream to hold open", "")
		return
	}
	inSession := extra.Clone()
	inSession.Set("Mcp-Session-Id", session)
	d.checkSessions(ctx, inSession)
	d.checkStream(ctx, inSession)
}

// firstAccepted returns the first of the answers that is not a 401, or else the first. It
// reports a token that is accepted only sometimes.
func (d *doctor) firstAccepted(answers []*answer) *answer {
	var accepted, rejected *answer
	for _, a := range answers {
		switch {
		case a.err != nil:
		case a.status == http.StatusUnauthorized && rejected == nil:
			rejected = a
		case a.status != http.StatusUnauthorized && accepted == nil:
			accepted = a
		}
	}
	switch {
	case accepted == nil:
		return answers[0]
	case rejected != nil:
		d.found("replicas.tokens", fmt.Sprintf("of %d requests with the token, one was answered with %d, and another so: %s",
			len(answers), accepted.status, rejected))
	}
	return accepted
}

// endSessions ends the sessions that the answers opened.
func (d *doctor) endSessions(ctx context.Context, answers []*answer, extra http.Header) {
	for _, a := range answers {
		if session := a.header.Get("Mcp-Session-Id"); session != "" {
			header := extra.Clone()
			header.Set("Mcp-Session-Id", session)
			d.prober.send(ctx, request{method: http.MethodDelete, url: d.resource(), header: header})
		}
	}
}

// supports reports whether an answer is one of a server that supports the revision.
func supports(a *answer) bool { return isMCPAnswer(a) && protocolError(a) == 0 }

// tokenAccepted reports whether the server accepts Config.Token, and otherwise says why not,
// as far as it says.
func (d *doctor) tokenAccepted(a *answer) bool {
	if a.err == nil && a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
		return true
	}
	fix := "the log of the server has the reason"
	if info, ok := reason.InfoOf(reason.Reason(readGuardBody(a).Reason)); ok {
		fix = info.When + ": " + info.Do
	}
	d.found("revisions.rejected", a.String()+"; WWW-Authenticate: "+quote.Clip(challengeText(a), 300), "fix", fix)
	d.skip("stream", "the server rejects the token", "")
	return false
}

// checkRevisions judges which revisions the server supports.
func (d *doctor) checkRevisions(legacy, modern *answer) {
	evidence := fmt.Sprintf("initialize (%s): %s; server/discover (%s): %s", legacyRevision, describeEra(legacy),
		modernRevision, describeEra(modern))
	switch o := &d.observed; {
	case o.Legacy.Answered && o.Modern.Answered:
		d.ok("revisions", "%s", evidence)
	case o.Legacy.Answered:
		d.found("revisions.legacy_only", evidence)
	case o.Modern.Answered:
		d.found("revisions.modern_only", evidence)
	default:
		if said, fix, ok := readGatewayFailure(legacy); ok {
			d.found("revisions.upstream", evidence+"; "+said, "fix", fix)
			return
		}
		d.found("revisions.neither", evidence)
	}
}

func describeEra(a *answer) string {
	switch {
	case a.err != nil:
		return "no answer"
	case protocolError(a) == codeUnsupportedVersion:
		return "this revision is not supported"
	case protocolError(a) != 0:
		return fmt.Sprintf("%d, error %d", a.status, protocolError(a))
	}
	return fmt.Sprint(a.status)
}

// checkSessions uses the session on several new connections, which a load balancer may lead
// to other replicas.
func (d *doctor) checkSessions(ctx context.Context, extra http.Header) {
	header := http.Header{"Mcp-Protocol-Version": {legacyRevision}}
	d.prober.send(ctx, mcpRequest(d.resource(), initialized, header.Clone(), extra))
	for i := range replicaRequests {
		a := d.prober.send(ctx, mcpRequest(d.resource(), listTools, header.Clone(), extra))
		if a.err == nil && a.status == http.StatusNotFound {
			d.found("replicas.sessions", fmt.Sprintf("tools/list in a new session, time %d: %s", i+1, a))
			return
		}
	}
}

// checkStream opens the event stream of the session, whose header must come at once, and
// holds it open for Config.Stream.
func (d *doctor) checkStream(ctx context.Context, extra http.Header) {
	hold, cancel := context.WithTimeout(ctx, d.cfg.RequestTimeout+d.cfg.Stream)
	defer cancel()
	req, err := newRequest(hold, request{method: http.MethodGet, url: d.resource(), header: extra})
	if err != nil {
		return
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", legacyRevision)
	headers := time.AfterFunc(d.cfg.RequestTimeout, cancel)
	began := d.cfg.Now()
	resp, err := d.prober.client.Do(req)
	if err != nil {
		d.found("stream.buffered", fmt.Sprintf("GET %s with a session: no header of the stream within %s", d.resource(),
			d.cfg.RequestTimeout))
		return
	}
	headers.Stop()
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusMethodNotAllowed:
		d.skip("stream", "the server offers no stream by GET", "")
	case resp.StatusCode != http.StatusOK:
		d.skip("stream", fmt.Sprintf("GET with a session is answered with %d", resp.StatusCode), "")
	case d.cfg.Stream <= 0:
		d.ok("stream", "the header of the stream came after %s; whether it is cut later is unchecked (--stream 90s)",
			d.cfg.Now().Sub(began).Round(time.Millisecond))
	default:
		d.holdStream(hold, resp.Body, began)
	}
}

// holdStream reads the stream until it ends or the time is up.
func (d *doctor) holdStream(ctx context.Context, body io.Reader, began time.Time) {
	d.progress("holding a stream open for %s", d.cfg.Stream)
	_, err := io.Copy(io.Discard, body)
	held := d.cfg.Now().Sub(began)
	if held < d.cfg.Stream-time.Second && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		d.found("stream.cut", fmt.Sprintf("GET %s: the stream ended after %s", d.resource(), seconds(held)), "seconds",
			fmt.Sprint(int(held.Seconds())))
		return
	}
	d.ok("stream", "the stream was open for %s", seconds(held))
}
