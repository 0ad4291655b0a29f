package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCappedBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		body    string
		wantErr string
	}{
		{"control", "1234", ""},
		{"too long", "12345", "answer is longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := &cappedBody{ReadCloser: io.NopCloser(strings.NewReader(test.body)), left: 5}
			_, err := io.ReadAll(body)
			wantErr(t, err, test.wantErr)
		})
	}
}

func TestAnswersAreCapped(t *testing.T) {
	t.Parallel()
	const endpoint = "https://mcp.example.com/mcp"
	traffic := newTraffic(roundTripper(func(*http.Request) (*http.Response, error) {
		return httptest.NewRecorder().Result(), nil
	}), endpoint, &console{stderr: io.Discard})
	resp, err := traffic.RoundTrip(httptest.NewRequest(http.MethodPost, endpoint, nil))
	if err != nil {
		t.Fatal(err)
	}
	if body, ok := resp.Body.(*cappedBody); !ok || body.left != maxAnswer {
		t.Errorf("body is %#v, want one capped at %d bytes", resp.Body, maxAnswer)
	}
}

func TestPeek(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		body    string
		wantErr string
	}{
		{"control", "1234", ""},
		{"too long", "12345", "answer is longer than 4 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp := &http.Response{Body: io.NopCloser(strings.NewReader(test.body))}
			got, err := peek(resp, 4)
			wantErr(t, err, test.wantErr)
			if err != nil {
				return
			}
			again, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, again) || string(got) != test.body {
				t.Errorf("peek = %q, and then the body is %q, %v; want %q", got, again, err, test.body)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, contentType, body, want string }{
		{"RFC 6749", "application/json", `{"error":"invalid_grant","error_description":"it is old"}`, "invalid_grant: it is old"},
		{"code alone", "application/json", `{"error":"invalid_grant"}`, "invalid_grant"},
		{"Clerk", "application/json", `{"errors":[{"code":"a_code","message":"a message","long_message":"longer"}]}`, "a_code: a message"},
		{"text", "text/plain; charset=utf-8", "no\n\x1b[2Jway", "no  [2Jway"},
		{"long text", "text/plain", strings.Repeat("é", maxQuoted+1), strings.Repeat("é", maxQuoted) + "…"},
		{"HTML", "text/html", "<h1>no</h1>", ""},
		{"JSON of another kind", "application/json", `["no"]`, ""},
		{"nothing", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp := &http.Response{Header: http.Header{"Content-Type": {test.contentType}}}
			if got := refusal(resp, []byte(test.body)); got != test.want {
				t.Errorf("refusal = %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzRefusal: whatever a server writes, what is quoted of it is short.
func FuzzRefusal(f *testing.F) {
	f.Add("application/json", []byte(`{"error":"invalid_grant","error_description":"it is old"}`))
	f.Add("application/json", []byte(`{"errors":[{"code":"a","message":"b"}]}`))
	f.Add("text/plain", []byte("no\nway"))
	f.Add("text/plain; x", []byte{0xff, 0})
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		resp := &http.Response{Header: http.Header{"Content-Type": {contentType}}}
		got := refusal(resp, body)
		if n := len([]rune(got)); n > maxQuoted+1 {
			t.Fatalf("refusal has %d letters, want at most %d", n, maxQuoted+1)
		}
	})
}

func TestDocumentsAsksOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		change func(req *http.Request)
		want   int // requests that arrive, of two
	}{
		{"control", 200, func(*http.Request) {}, 1},
		{"not found", 404, func(*http.Request) {}, 2},
		{"post", 200, func(req *http.Request) { req.Method = http.MethodPost }, 2},
		{"query", 200, func(req *http.Request) { req.URL.RawQuery = "a=b" }, 2},
		{"with a token", 200, func(req *http.Request) { req.Header.Set("Authorization", "Bearer x") }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			arrived := 0
			next := roundTripper(func(*http.Request) (*http.Response, error) {
				arrived++
				rec := httptest.NewRecorder()
				rec.Header().Set("Content-Type", "application/json")
				rec.WriteHeader(test.status)
				rec.WriteString(`{"a":1}`)
				return rec.Result(), nil
			})
			d := &documents{next: next}
			for range 2 {
				req := httptest.NewRequest(http.MethodGet, "https://issuer.example.com/.well-known/x", nil)
				test.change(req)
				resp, err := d.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || string(body) != `{"a":1}` || resp.Header.Get("Content-Type") != "application/json" {
					t.Errorf("answer = %q %v, %v", body, resp.Header, err)
				}
			}
			if arrived != test.want {
				t.Errorf("%d requests arrived, want %d", arrived, test.want)
			}
		})
	}
}

func TestDocumentsHasBounds(t *testing.T) {
	t.Parallel()
	size := 1
	d := &documents{next: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(strings.Repeat("x", size)))}, nil
	})}
	for i := range maxDocuments + 5 {
		if _, err := d.RoundTrip(httptest.NewRequest(http.MethodGet, "https://issuer.example.com/"+strings.Repeat("x", i), nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.kept); n != maxDocuments {
		t.Errorf("remembers %d documents, want %d", n, maxDocuments)
	}
	d.kept, size = nil, maxDocument+1
	_, err := d.RoundTrip(httptest.NewRequest(http.MethodGet, "https://issuer.example.com/long", nil))
	wantErr(t, err, "answer is longer than")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestTrafficTellsOfFailures(t *testing.T) {
	t.Parallel()
	const endpoint = "https://mcp.example.com/mcp"
	var stderr bytes.Buffer
	con := &console{stderr: &stderr, verbose: true}
	traffic := newTraffic(roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("no route")
	}), endpoint, con)
	traffic.learn("https://issuer.example.com/register", roleRegistration)
	traffic.learn("https://issuer.example.com/token", roleToken)
	traffic.learn("https://issuer.example.com/revoke", roleRevocation)
	traffic.learn(endpoint, roleToken) // a server cannot make its endpoint another's
	for _, url := range []string{
		endpoint,
		"https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		"https://issuer.example.com/tenant/.well-known/openid-configuration",
		"https://issuer.example.com/register",
		"https://issuer.example.com/token?x=secret",
		"https://issuer.example.com/revoke",
		"https://other.example.com/",
	} {
		if _, err := traffic.RoundTrip(httptest.NewRequest(http.MethodGet, url, nil)); err == nil {
			t.Errorf("no error for %q", url)
		}
	}
	want := `1. asked https://mcp.example.com/mcp: no route
2. looked for the protected resource document at https://mcp.example.com/.well-known/oauth-protected-resource/mcp: no route
3. looked for the metadata of the authorization server at https://issuer.example.com/tenant/.well-known/openid-configuration: no route
4. asked https://issuer.example.com/register to register a client: no route
5. asked https://issuer.example.com/token for a token: no route
6. asked https://issuer.example.com/revoke to revoke a token: no route
7. GET https://other.example.com/: no route
`
	if got := stderr.String(); got != want {
		t.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
}
