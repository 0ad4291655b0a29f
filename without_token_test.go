package gatehouse_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// closedConfigs are configurations in which nothing is Public.
var closedConfigs = map[string]func(*gatehouse.Config){
	"nothing declared": func(*gatehouse.Config) {},
	"requirements": func(cfg *gatehouse.Config) {
		cfg.Requirements = []gatehouse.Requirement{
			{Tool: "open", Require: gatehouse.Require{SignedIn: true}},
			{Tool: "write", Require: gatehouse.Require{Scopes: []string{"notes:write"}}},
			{ResourceTemplate: "notes://{name}", Require: gatehouse.Require{Scopes: []string{"notes:read"}}},
		}
	},
	"DenyUndeclared":    func(cfg *gatehouse.Config) { cfg.DenyUndeclared = true },
	"Default":           func(cfg *gatehouse.Config) { cfg.Default = gatehouse.Require{Scopes: []string{"admin"}} },
	"ChallengeInResult": func(cfg *gatehouse.Config) { cfg.ChallengeInResult = true },
}

// requestsWithoutToken are requests that have no valid token: each method with each body, and
// each header with a call.
func requestsWithoutToken() map[string]request {
	out := map[string]request{}
	bodies := map[string]string{
		"nothing": "", "initialize": initializeBody, "ping": pingBody, "a list": rpc("tools/list", ""), "a call": call("open"),
		"a batch": "[" + call("open") + "," + call("write") + "]", "a response": `{"jsonrpc":"2.0","id":1,"result":{}}`,
		"a notification": `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "text": "open", "5 MiB": strings.Repeat(" ", 5<<20),
	}
	for _, method := range []string{"POST", "GET", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS", "QUERY"} {
		for what, text := range bodies {
			out[method+" with "+what] = request{method: method, body: text}
		}
		out[method+" in a session"] = request{method: method, header: http.Header{"Mcp-Session-Id": {"a.AAAAAAAAAAAAAAAAAAAAAA"}}}
	}
	for name, header := range map[string]http.Header{
		"an empty Authorization header":      {"Authorization": {""}},
		"two empty Authorization headers":    {"Authorization": {"", ""}},
		"a scheme without a token":           {"Authorization": {"Bearer"}},
		"another scheme":                     {"Authorization": {"Basic YTpi"}},
		"a text that is not a token":         {"Authorization": {"Bearer a b"}},
		"a token in another header":          {"Proxy-Authorization": {"Bearer a"}},
		"a compressed body":                  {"Content-Encoding": {"gzip"}},
		"two session IDs":                    {"Mcp-Session-Id": {"a", "b"}},
		"an allowed origin":                  {"Origin": {"http://localhost:3000"}},
		"another origin":                     {"Origin": {"https://evil.example"}},
		"a header that asks for a page":      {"Accept": {"text/html"}},
		"the ID of an event":                 {"Last-Event-Id": {"1"}},
		"the ID of a session and of a trace": {"Mcp-Session-Id": {"a"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
	} {
		out["a call with "+name] = request{body: call("open"), header: header}
	}
	out["a call to another host"] = request{body: call("open"), host: "evil.example"}
	out["a call with a token in the query"] = request{body: call("open"), target: "/mcp?access_token=a"}
	out["a preflight request"] = request{method: "OPTIONS", header: http.Header{
		"Origin": {"http://localhost:3000"}, "Access-Control-Request-Method": {"POST"},
	}}
	return out
}

// countedBody is a body that counts what is read of it.
type countedBody struct {
	io.Reader
	read int
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *countedBody) Close() error { return nil }

// answerText is everything that the client gets, and what the guard did for it.
func answerText(handler http.Handler, rq request) string {
	r := rq.make()
	body := &countedBody{Reader: strings.NewReader(rq.body)}
	r.Body = body
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	var b strings.Builder
	fmt.Fprintf(&b, "%d, %d bytes of the body read\n", w.Code, body.read)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		fmt.Fprintf(&b, "%s: %q\n", name, w.Header()[name])
	}
	fmt.Fprintf(&b, "%s\n", w.Body)
	return b.String()
}

// Where nothing is Public, the answers to requests without a token are, byte for byte, those of
// the versions that did not have Public, and no body is read for them. The file was written with
// such a version.
func TestAnswersWithoutATokenWhereNothingIsPublic(t *testing.T) {
	const name = "testdata/without_token.txt"
	by := map[string][]string{} // names of requests by answer
	for config, configure := range closedConfigs {
		cfg := gatehouse.Config{Resource: resource, Provider: gatehouse.OIDC("https://issuer.example.com", "profile"), Logger: quiet()}
		configure(&cfg)
		guard, err := gatehouse.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		handler := guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") }))
		for what, rq := range requestsWithoutToken() {
			answer := answerText(handler, rq)
			by[answer] = append(by[answer], config+": "+what)
		}
		guard.Close()
	}
	var b bytes.Buffer
	for _, answer := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[answer])
		fmt.Fprintf(&b, "%s  %s\n\n", answer, strings.Join(by[answer], "\n  "))
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the answers differ from %s:\n%s", name, b.Bytes())
	}
}
