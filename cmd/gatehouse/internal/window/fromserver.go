package window

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/challenge"
)

// Headers that are shown, in this order.
var (
	requestHeaders = []string{
		"Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id", "Last-Event-ID", "Accept",
		"Content-Type", "Origin", "User-Agent", "Host",
		"Access-Control-Request-Method", "Access-Control-Request-Headers",
	}
	responseHeaders = []string{
		"WWW-Authenticate", "Retry-After", "Location", "Mcp-Session-Id", "Mcp-Protocol-Version", "Content-Type",
		"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cache-Control",
	}
)

// fromServer makes a step of an exchange with the MCP server.
func (w *Window) fromServer(x *exchange) (Step, hint) {
	r := x.request
	asked, _ := x.asked.kept()
	call := readCall(r, asked)
	s := Step{
		Time: x.began, Took: milliseconds(time.Since(x.began)),
		From: Client, To: Server,
		Line:   r.Method + " " + scrubURL(r.URL),
		Status: x.status,
	}
	s.Kind = x.kind()
	s.Title, s.Purpose = about[s.Kind].title, about[s.Kind].purpose
	if s.Kind == kindCall {
		s.Title += " " + call.String()
	}
	x.show(&s)
	s.Outcome, s.Why, s.Do = w.judge(x, s.Kind)
	return s, hint{
		userAgent: r.UserAgent(),
		clientID:  w.clientOf(x.token),
		user:      w.userOf(x.token),
		session:   cmp.Or(r.Header.Get("Mcp-Session-Id"), x.header.Get("Mcp-Session-Id")),
		client:    call.client,
	}
}

// kind tells by path, verb and answer what the exchange was for.
func (x *exchange) kind() kind {
	path := x.request.URL.Path
	switch {
	case x.request.Method == http.MethodOptions:
		return kindPreflight
	case strings.HasPrefix(path, "/.well-known/oauth-protected-resource"):
		return kindResource
	case strings.HasPrefix(path, "/.well-known/oauth-authorization-server"), strings.HasPrefix(path, "/.well-known/openid-configuration"):
		return kindServerMetadata
	case x.status == http.StatusUnauthorized && x.token.raw == "":
		return kindChallenge
	case x.request.Method == http.MethodPost:
		return kindCall
	case x.request.Method == http.MethodDelete && x.request.Header.Get("Mcp-Session-Id") != "":
		return kindGoodbye
	case x.request.Method == http.MethodGet && (x.token.raw != "" || strings.Contains(x.request.Header.Get("Accept"), "text/event-stream")):
		return kindStream
	}
	return kindOther
}

// show fills in both messages.
func (x *exchange) show(s *Step) {
	x.token.show(&s.Request)
	if x.token.raw == "" && x.request.Header.Get("Authorization") != "" {
		s.Request.add("Authorization", shorten(x.request.Header.Get("Authorization")))
	}
	for _, name := range requestHeaders {
		value := x.request.Header.Get(name)
		if name == "Host" {
			value = x.request.Host
		}
		if value != "" {
			s.Request.add(name, field(name, value))
		}
	}
	body, cut := x.asked.kept()
	s.Request.Body = scrubBody(body, cut, x.token.raw)
	for _, name := range responseHeaders {
		for _, value := range x.header.Values(name) {
			s.Response.add(name, field(name, value))
		}
	}
	for _, c := range x.challenges() {
		for _, name := range slices.Sorted(keysOf(c.Params)) {
			s.Response.add(c.Scheme+" "+name, field(name, c.Params[name]))
		}
	}
	if encoding := x.header.Get("Content-Encoding"); encoding != "" {
		s.Response.Body = "(compressed: " + clip(encoding, maxValue) + ")"
		return
	}
	body, cut = x.answer.kept()
	s.Response.Body = scrubBody(body, cut, x.token.raw)
}

// challenges are those of the answer, none if they are malformed.
func (x *exchange) challenges() []challenge.Challenge {
	challenges, _ := challenge.Parse(x.header.Values("WWW-Authenticate"))
	return challenges
}

// bearer returns the parameters of the answer's Bearer challenge.
func (x *exchange) bearer() map[string]string {
	for _, c := range x.challenges() {
		if strings.EqualFold(c.Scheme, "Bearer") {
			return c.Params
		}
	}
	return nil
}

func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range m {
			if !yield(name) {
				return
			}
		}
	}
}

// call is what a JSON-RPC request asks for.
type call struct {
	method string // "tools/call"
	name   string // of the tool, prompt or resource
	client string // what the client calls itself
}

func (c call) String() string {
	switch {
	case c.method == "tools/call" && c.name != "":
		return "the tool " + c.name
	case c.method == "":
		return "the server"
	}
	return strings.TrimSpace(c.method + " " + c.name)
}

// readCall reads it from the headers of 2026-07-28 and from the body.
func readCall(r *http.Request, body []byte) call {
	c := call{method: name(r.Header.Get("Mcp-Method")), name: name(r.Header.Get("Mcp-Name"))}
	var m struct {
		Method string `json:"method"`
		Params struct {
			Name       string         `json:"name"`
			URI        string         `json:"uri"`
			ClientInfo implementation `json:"clientInfo"`
			Meta       struct {
				ClientInfo implementation `json:"io.modelcontextprotocol/clientInfo"`
			} `json:"_meta"`
		} `json:"params"`
	}
	if json.Unmarshal(body, &m) != nil {
		return c
	}
	c.method = cmp.Or(c.method, name(m.Method))
	c.name = cmp.Or(c.name, name(m.Params.Name), name(m.Params.URI))
	c.client = name(cmp.Or(m.Params.ClientInfo.Title, m.Params.ClientInfo.Name, m.Params.Meta.ClientInfo.Title, m.Params.Meta.ClientInfo.Name))
	return c
}

// maxName bounds what is shown as a name.
const maxName = 120

// name is text as it may stand in a title.
func name(text string) string { return scrub(clip(text, maxName)) }

type implementation struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// clientOf is the client a token was issued to, if that can be told.
func (w *Window) clientOf(p presented) string {
	if t, ok := w.clerk.OpaqueToken(p.raw); ok {
		return t.ClientID
	}
	return clip(p.ClientID, maxName)
}

func (w *Window) userOf(p presented) string {
	if t, ok := w.clerk.OpaqueToken(p.raw); ok {
		return w.userName(t.User)
	}
	if p.Subject == "" {
		return ""
	}
	return name(w.userName(p.Subject))
}
