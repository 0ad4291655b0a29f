package window

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
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

// stepOfServer returns the step of a request to the MCP server.
func (w *Window) stepOfServer(x *roundTrip) (Step, owner) {
	r := x.request
	body, _ := x.requestBody.read()
	call := readCall(r, body)
	k := x.kind()
	s := Step{
		Time: x.began, Took: milliseconds(time.Since(x.began)),
		From: Client, To: Server,
		Kind:    k,
		Title:   kinds[k].title,
		Spec:    kinds[k].spec,
		Purpose: kinds[k].purpose,
		Line:    r.Method + " " + redactURL(r.URL),
		Status:  x.status,
	}
	switch {
	case k == kindCall:
		s.Title, s.Spec = call.title(), cmp.Or(call.method, s.Spec)
	case k == kindLanding:
		s.From = Browser
		if x.status >= 300 && x.status < 400 {
			s.Title = "Opens the address"
		}
	}
	x.show(&s)
	var e explanation
	s.Outcome, e = w.outcomeOf(x, k)
	s.explain(e)
	clientID := w.clientIDOf(x.token)
	return s, owner{
		userAgent: r.UserAgent(),
		clientID:  clientID,
		user:      w.userOf(x.token),
		session:   cmp.Or(r.Header.Get("Mcp-Session-Id"), x.header.Get("Mcp-Session-Id")),
		client:    cmp.Or(call.client, w.registeredName(clientID)),
		landing:   k == kindLanding,
	}
}

// kind returns what the request was for, by its path, its method and the response.
func (x *roundTrip) kind() kind {
	path := x.request.URL.Path
	acceptsStream := strings.Contains(x.request.Header.Get("Accept"), "text/event-stream")
	switch {
	case x.request.Method == http.MethodOptions:
		return kindPreflight
	case strings.HasPrefix(path, "/.well-known/oauth-protected-resource"):
		return kindResource
	case strings.HasPrefix(path, "/.well-known/oauth-authorization-server"),
		strings.HasPrefix(path, "/.well-known/openid-configuration"):
		return kindServerMetadata
	case x.status == http.StatusUnauthorized && x.token.raw == "":
		return kindChallenge
	case x.request.Method == http.MethodPost:
		return kindCall
	case x.request.Method == http.MethodDelete && x.request.Header.Get("Mcp-Session-Id") != "":
		return kindSessionEnd
	case x.request.Method == http.MethodGet && (x.token.raw != "" || acceptsStream):
		return kindStream
	}
	switch {
	case isPartOfPage(x.request):
		return kindPagePart
	case wantsPage(x.request):
		return kindLanding
	}
	return kindOther
}

// show fills in the request and the response of s.
func (x *roundTrip) show(s *Step) {
	x.token.show(&s.Request)
	if authorization := x.request.Header.Get("Authorization"); authorization != "" && x.token.raw == "" {
		s.Request.add("Authorization", shorten(authorization))
	}
	for _, name := range requestHeaders {
		value := x.request.Header.Get(name)
		if name == "Host" {
			value = x.request.Host
		}
		s.Request.add(name, redactField(name, value))
	}
	body, cut := x.requestBody.read()
	s.Request.Body = redactBody(x.request.Header, body, cut, x.token.raw)
	for _, name := range responseHeaders {
		for _, value := range x.header.Values(name) {
			s.Response.add(name, redactField(name, value))
		}
	}
	for _, c := range x.challenges() {
		for _, name := range slices.Sorted(maps.Keys(c.Params)) {
			s.Response.add(c.Scheme+" "+name, redactField(name, c.Params[name]))
		}
	}
	if encoding := x.header.Get("Content-Encoding"); encoding != "" {
		s.Response.Body = "(compressed: " + quote.Clip(encoding, maxValue) + ")"
		return
	}
	body, cut = x.responseBody.read()
	s.Response.Body = redactBody(x.header, body, cut, x.token.raw)
}

// call is what a JSON-RPC request asks for.
type call struct {
	method string // such as "tools/call"
	name   string // of the tool, prompt or resource
	client string // the name that the client gives itself
}

// callTitles are the titles of MCP requests by method. A name follows those that end
// with a space.
var callTitles = map[string]string{
	"completion/complete":       "Completes an argument",
	"initialize":                "Initializes",
	"logging/setLevel":          "Sets the log level",
	"notifications/cancelled":   "Cancels a request",
	"notifications/initialized": "Is initialized",
	"ping":                      "Pings the server",
	"prompts/get":               "Gets the prompt ",
	"prompts/list":              "Lists the prompts",
	"resources/list":            "Lists the resources",
	"resources/read":            "Reads ",
	"resources/templates/list":  "Lists resource templates",
	"server/discover":           "Discovers the server",
	"subscriptions/listen":      "Listens for changes",
	"tools/call":                "Calls the tool ",
	"tools/list":                "Lists the tools",
}

// title returns the title of the step of c.
func (c call) title() string {
	title, known := callTitles[c.method]
	switch {
	case c.method == "":
		return "Calls the server"
	case !known, strings.HasSuffix(title, " ") && c.name == "":
		return strings.TrimSpace("Calls " + c.method + " " + c.name)
	case strings.HasSuffix(title, " "):
		return title + c.name
	}
	return title
}

// readCall reads a call from the headers of the 2026-07-28 revision and from the body.
func readCall(r *http.Request, body []byte) call {
	c := call{method: redactName(r.Header.Get("Mcp-Method")), name: redactName(r.Header.Get("Mcp-Name"))}
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
	c.method = cmp.Or(c.method, redactName(m.Method))
	c.name = cmp.Or(c.name, redactName(m.Params.Name), redactName(m.Params.URI))
	c.client = redactName(cmp.Or(m.Params.ClientInfo.name(), m.Params.Meta.ClientInfo.name()))
	return c
}

// implementation is MCP's description of a client or server.
type implementation struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

func (i implementation) name() string { return cmp.Or(i.Title, i.Name) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// registeredName returns the name with which a client is registered at the local Clerk, or "".
func (w *Window) registeredName(clientID string) string {
	if clientID == "" {
		return ""
	}
	for _, c := range w.clerk.Clients() {
		if c.ID == clientID {
			return c.Name
		}
	}
	return ""
}

// clientIDOf returns the ID of the client that t was issued to, or "" if it is unknown.
func (w *Window) clientIDOf(t bearerToken) string {
	if opaque, ok := w.clerk.OpaqueToken(t.raw); ok {
		return opaque.ClientID
	}
	return redactName(t.ClientID)
}

// userOf returns the name of the user that t was issued to, or "" if it is unknown.
func (w *Window) userOf(t bearerToken) string {
	if opaque, ok := w.clerk.OpaqueToken(t.raw); ok {
		return w.userName(opaque.User)
	}
	if t.Subject == "" {
		return ""
	}
	return redactName(w.userName(t.Subject))
}
