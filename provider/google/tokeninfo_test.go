package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/endpoint"
)

// responder answers each request with a status, a body and a header.
type responder struct {
	status  int
	body    string
	header  http.Header
	request *http.Request // the last one
}

func (r *responder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.request = req
	header := r.header
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: r.status, Header: header, Body: io.NopCloser(strings.NewReader(r.body)), Request: req}, nil
}

// ask returns what introspect returns about a token if Google answers like r.
func ask(t *testing.T, r *responder, token string) (json.RawMessage, error) {
	t.Helper()
	info := &tokenInfo{clientIDs: []string{client}, client: endpoint.Client(&http.Client{Transport: r})}
	return info.introspect(t.Context(), token)
}

const validAnswer = `{"azp":"` + client + `","aud":"` + client + `","sub":"1","scope":"openid","exp":"%d",` +
	`"expires_in":"3488","access_type":"online"}`

func TestRequestHidesTheToken(t *testing.T) {
	r := &responder{status: 200, body: fmt.Sprintf(validAnswer, time.Now().Add(time.Hour).Unix())}
	if _, err := ask(t, r, "ya29.hush"); err != nil {
		t.Fatal(err)
	}
	if got := r.request.URL.String(); got != tokenInfoURL || r.request.Method != http.MethodPost {
		t.Errorf("%s %s, want POST %s without a query", r.request.Method, got, tokenInfoURL)
	}
	if got := r.request.Header.Get("Authorization"); got != "Bearer ya29.hush" {
		t.Errorf("Authorization is %q, want the token", got)
	}
}

func TestOtherTokensAreNotSent(t *testing.T) {
	for _, token := range []string{"eyJhbGciOiJSUzI1NiJ9.e30.x", "1//refresh", "AIzaKey", "", "YA29.x"} {
		r := &responder{status: 200}
		if _, err := ask(t, r, token); !errors.Is(err, gatehouse.ErrInactive) || r.request != nil {
			t.Errorf("%q: error %v, request %v; want ErrInactive and no request", token, err, r.request)
		}
	}
}

func TestAnswersAboutTheToken(t *testing.T) {
	tests := []struct {
		name         string
		status       int
		body         string
		header       http.Header
		wantInactive bool
		wantErr      string
		wantRetry    time.Duration
	}{
		{
			name:         "invalid",
			status:       400,
			body:         `{"error":"invalid_token","error_description":"Invalid Value"}`,
			wantInactive: true,
		},
		{name: "invalid, without a code", status: 400, body: `{"error_description":"Invalid Value"}`, wantInactive: true},
		{name: "wrong request", status: 400, body: `{"error":"invalid_request"}`, wantErr: "status 400"},
		{name: "invalid, in another status", status: 403, body: `{"error":"invalid_token"}`, wantErr: "status 403"},
		{name: "not JSON", status: 400, body: "<html>", wantErr: "status 400"},
		{name: "failure", status: 500, body: `{"error":"invalid_token"}`, wantErr: "status 500"},
		{name: "rate limit", status: 429, wantErr: "status 429", wantRetry: 10 * time.Second},
		{
			name:      "rate limit with a time",
			status:    429,
			header:    http.Header{"Retry-After": {"30"}},
			wantErr:   "status 429",
			wantRetry: 30 * time.Second,
		},
		{name: "redirect", status: 302, header: http.Header{"Location": {"https://evil.example"}}, wantErr: "status 302"},
		{name: "200 that is not JSON", status: 200, body: "<html>", wantErr: "reading the answer of tokeninfo"},
		{
			name:    "200 with a repeated name",
			status:  200,
			body:    `{"aud":"a","aud":"b"}`,
			wantErr: "reading the answer of tokeninfo",
		},
		{
			name:    "200 that is too long",
			status:  200,
			body:    `{"aud":"` + strings.Repeat("x", endpoint.MaxAnswer) + `"}`,
			wantErr: "longer than",
		},
		{name: "no audience", status: 200, body: `{"sub":"1","exp":"2000000000"}`, wantErr: "has no aud"},
		{name: "no expiry", status: 200, body: `{"aud":"a","sub":"1"}`, wantErr: "has neither exp nor expires_in"},
		{
			name:    "expiry that is not a number",
			status:  200,
			body:    `{"aud":"a","exp":"soon","expires_in":"10"}`,
			wantErr: "has neither exp nor expires_in",
		},
		{
			name:    "expiry that is an object",
			status:  200,
			body:    `{"aud":"a","exp":{}}`,
			wantErr: "want a string, a number or a boolean",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ask(t, &responder{status: test.status, body: test.body, header: test.header}, "ya29.hush")
			switch {
			case err == nil:
				t.Fatal("no error")
			case errors.Is(err, gatehouse.ErrInactive) != test.wantInactive:
				t.Errorf("error %v, want that the token is inactive: %v", err, test.wantInactive)
			case !strings.Contains(err.Error(), test.wantErr) || strings.Contains(err.Error(), "hush"):
				t.Errorf("error %v, want %q without the token", err, test.wantErr)
			}
			var status *endpoint.StatusError
			if errors.As(err, &status) && status.RetryAfter() != test.wantRetry {
				t.Errorf("retry after %v, want %v", status.RetryAfter(), test.wantRetry)
			}
		})
	}
}

// claimsWith returns the claims of an answer with nothing but these, and sub.
func claimsWith(client, audience string, expiry float64) map[string]any {
	return map[string]any{
		"active": true, "iss": issuer, "client_id": client, "aud": audience, "sub": "1", "scope": "", "exp": expiry,
	}
}

func TestClaims(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tests := []struct {
		name, answer string
		want         map[string]any
	}{
		{
			name: "everything, with strings",
			answer: `{"azp":"` + client + `","aud":"` + client + `","sub":"1","scope":"openid","exp":"1800003488",` +
				`"email":"u@example.com","email_verified":"true"}`,
			want: map[string]any{
				"active": true, "iss": issuer, "client_id": client, "aud": client, "sub": "1", "scope": "openid", "exp": 1800003488.0,
				"email": "u@example.com", "email_verified": true,
			},
		},
		{
			name:   "numbers and booleans, without azp and scopes",
			answer: `{"aud":"` + client + `","sub":"1","exp":1800003488,"email":"u@example.com","email_verified":false}`,
			want: map[string]any{
				"active": true, "iss": issuer, "client_id": client, "aud": client, "sub": "1", "scope": "", "exp": 1800003488.0,
				"email": "u@example.com", "email_verified": false,
			},
		},
		{
			name:   "expires_in alone",
			answer: `{"aud":"` + client + `","sub":"1","expires_in":"100"}`,
			want:   claimsWith(client, client, 1800000100.0),
		},
		{
			name:   "expiry far away",
			answer: `{"aud":"` + client + `","sub":"1","exp":"9999999999"}`,
			want:   claimsWith(client, client, 1800086400.0),
		},
		{
			name:   "presented by another client",
			answer: `{"azp":"other","aud":"` + client + `","sub":"1","exp":"1800003488"}`,
			want:   claimsWith("other", "other", 1800003488.0),
		},
		{
			name:   "for another client",
			answer: `{"azp":"` + client + `","aud":"other","sub":"1","exp":"1800003488"}`,
			want:   claimsWith(client, "other", 1800003488.0),
		},
		{
			name:   "an issuer in the answer is ignored",
			answer: `{"iss":"https://evil.example","active":false,"aud":"` + client + `","exp":"1800003488"}`,
			want:   map[string]any{"active": true, "iss": issuer, "client_id": client, "aud": client, "scope": "", "exp": 1800003488.0},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			info := &tokenInfo{clientIDs: []string{client}}
			raw, err := info.claims([]byte(test.answer), now)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}
