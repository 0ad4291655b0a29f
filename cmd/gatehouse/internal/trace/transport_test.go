package trace

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const endpoint = "https://mcp.example.com/mcp"

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// respond returns a RoundTripper with a fixed response.
func respond(status int, header http.Header, body string) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// recorder returns a Transport whose steps are appended to the returned slice.
func recorder(next http.RoundTripper) (*Transport, *[]string) {
	var steps []string
	return NewTransport(next, endpoint, func(format string, args ...any) {
		steps = append(steps, fmt.Sprintf(format, args...))
	}), &steps
}

func callRequest() *http.Request {
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`
	req := httptest.NewRequest(http.MethodPost, endpoint, nil)
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	return req
}

func TestTransportReportsNetworkErrors(t *testing.T) {
	t.Parallel()
	transport, steps := recorder(roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("no route")
	}))
	transport.Learn("https://issuer.example.com/register", RoleRegistration)
	transport.Learn("https://issuer.example.com/token", RoleToken)
	transport.Learn("https://issuer.example.com/revoke", RoleRevocation)
	transport.Learn(endpoint, RoleToken) // a server cannot change the role of its endpoint
	for _, url := range []string{
		endpoint,
		"https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		"https://issuer.example.com/tenant/.well-known/openid-configuration",
		"https://issuer.example.com/register",
		"https://issuer.example.com/token?x=secret",
		"https://issuer.example.com/revoke",
		"https://other.example.com/",
	} {
		if _, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, url, nil)); err == nil {
			t.Errorf("no error for %q", url)
		}
	}
	want := []string{
		"asked https://mcp.example.com/mcp: no route",
		"asked https://mcp.example.com/.well-known/oauth-protected-resource/mcp for the protected resource metadata: no route",
		"asked https://issuer.example.com/tenant/.well-known/openid-configuration for the authorization server metadata: no route",
		"asked https://issuer.example.com/register to register a client: no route",
		"asked https://issuer.example.com/token for a token: no route",
		"asked https://issuer.example.com/revoke to revoke a token: no route",
		"GET https://other.example.com/: no route",
	}
	if diff := cmp.Diff(want, *steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestReasonOfTheGuard checks that the reason in the body of a rejection is kept and
// shown, if it is one of Gatehouse's.
func TestReasonOfTheGuard(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body, wantReason, wantStep string
	}{
		{
			"reason",
			`{"error":"invalid_token","error_description":"the token was issued for another server","reason":"wrong_audience"}`,
			"wrong_audience",
			"called whoami: 401, the server rejects the token: wrong_audience: invalid_token: the token was issued for another server",
		},
		{
			"reason in a JSON-RPC error",
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32040,"message":"wrong server","data":` +
				`{"error":"invalid_token","error_description":"the token was issued for another server","reason":"wrong_audience"}}}`,
			"wrong_audience",
			"called whoami: 401, the server rejects the token: wrong_audience: invalid_token: the token was issued for another server",
		},
		{
			"JSON-RPC error without data",
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown tool"}}`,
			"",
			"called whoami: 401, the server rejects the token: unknown tool",
		},
		{
			"no reason",
			`{"error":"invalid_token"}`,
			"",
			"called whoami: 401, the server rejects the token: invalid_token",
		},
		{
			"unknown reason",
			`{"error":"invalid_token","reason":"\u001b[2J"}`,
			"",
			"called whoami: 401, the server rejects the token: invalid_token",
		},
		{
			"reason of another type",
			`{"error":"invalid_token","reason":{"code":7}}`,
			"",
			"called whoami: 401, the server rejects the token: invalid_token",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			transport, steps := recorder(respond(http.StatusUnauthorized, http.Header{"Content-Type": {"application/json"}}, test.body))
			req := callRequest()
			req.Header.Set("Authorization", "Bearer secret")
			if _, err := transport.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			if got := transport.LastAnswer(); string(got.Reason) != test.wantReason {
				t.Errorf("reason is %q, want %q", got.Reason, test.wantReason)
			}
			if diff := cmp.Diff([]string{test.wantStep}, *steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLongChallenge has challenges that are too long, one of which the go-sdk would
// parse for minutes.
func TestLongChallenge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		padding string
		want    string
	}{
		{"control", `, padding="` + strings.Repeat(",", 100) + `"`, "profile"},
		{"too long", `, padding="` + strings.Repeat(",", maxChallenge) + `"`, ""},
		{"too long and slow", strings.Repeat(",", 1<<20) + "=", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			challenge := `Bearer scope="profile"` + test.padding
			transport, _ := recorder(respond(http.StatusUnauthorized, http.Header{"Www-Authenticate": {challenge}}, ""))
			resp, err := transport.RoundTrip(callRequest())
			if err != nil {
				t.Fatal(err)
			}
			if got := transport.LastAnswer().Challenge["scope"]; got != test.want {
				t.Errorf("scope of the challenge is %q, want %q", got, test.want)
			}
			if got := resp.Header.Get("WWW-Authenticate") != ""; got != (test.want != "") {
				t.Errorf("header is passed on: %v, want %v", got, test.want != "")
			}
		})
	}
}

func TestLimitedBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, wantErr string }{
		{"control", "1234", "<nil>"},
		{"too long", "12345", "response is longer than 67108864 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := &limitedBody{ReadCloser: io.NopCloser(strings.NewReader(test.body)), left: 5}
			if _, err := io.ReadAll(body); fmt.Sprint(err) != test.wantErr {
				t.Errorf("ReadAll: %v, want %s", err, test.wantErr)
			}
		})
	}
}

func TestAnswersAreLimited(t *testing.T) {
	t.Parallel()
	transport, _ := recorder(respond(http.StatusOK, nil, ""))
	resp, err := transport.RoundTrip(callRequest())
	if err != nil {
		t.Fatal(err)
	}
	if body, ok := resp.Body.(*limitedBody); !ok || body.left != maxAnswerBody {
		t.Errorf("body is %#v, want one limited to %d bytes", resp.Body, maxAnswerBody)
	}
}

func TestPeek(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, wantErr string }{
		{"control", "1234", "<nil>"},
		{"too long", "12345", "response is longer than 4 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp := &http.Response{Body: io.NopCloser(strings.NewReader(test.body))}
			got, err := Peek(resp, 4)
			if fmt.Sprint(err) != test.wantErr {
				t.Errorf("Peek: %v, want %s", err, test.wantErr)
			}
			if err != nil {
				return
			}
			again, err := io.ReadAll(resp.Body)
			if err != nil || string(again) != test.body || string(got) != test.body {
				t.Errorf("Peek = %q, and then the body is %q, %v; want %q", got, again, err, test.body)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", maxErrorText/2)
	for _, test := range []struct{ name, contentType, body, want string }{
		{
			"RFC 6749",
			"application/json",
			`{"error":"invalid_grant","error_description":"it is old"}`,
			"invalid_grant: it is old",
		},
		{"only a code", "application/json", `{"error":"invalid_grant"}`, "invalid_grant"},
		{
			"Clerk",
			"application/json",
			`{"errors":[{"code":"a_code","message":"a message","long_message":"longer"}]}`,
			"a_code: a message",
		},
		{"text", "text/plain; charset=utf-8", "no\n\x1b[2Jway", "no  [2Jway"},
		{"long text", "text/plain", long + "é", long + "…"},
		{"HTML", "text/html", "<h1>no</h1>", ""},
		{"JSON of another form", "application/json", `["no"]`, ""},
		{"empty", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp := &http.Response{Header: http.Header{"Content-Type": {test.contentType}}}
			if got := ErrorText(resp, []byte(test.body)); got != test.want {
				t.Errorf("ErrorText = %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzErrorText checks that the text is short, whatever a server sends.
func FuzzErrorText(f *testing.F) {
	f.Add("application/json", []byte(`{"error":"invalid_grant","error_description":"it is old"}`))
	f.Add("application/json", []byte(`{"errors":[{"code":"a","message":"b"}]}`))
	f.Add("text/plain", []byte("no\nway"))
	f.Add("text/plain; x", []byte{0xff, 0})
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		resp := &http.Response{Header: http.Header{"Content-Type": {contentType}}}
		if n := len([]rune(ErrorText(resp, body))); n > maxErrorText+1 {
			t.Fatalf("text has %d characters, want at most %d", n, maxErrorText+1)
		}
	})
}
