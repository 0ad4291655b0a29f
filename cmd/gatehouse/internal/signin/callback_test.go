package signin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
)

func TestCallback(t *testing.T) {
	t.Parallel()
	const host = "127.0.0.1:1234"
	for _, test := range []struct {
		name, method, host, target string
		answered                   bool // the callback has a response already
		outcome                    error
		wantStatus                 int
		wantText                   string
	}{
		{"control", "GET", host, "/callback?code=c&state=s", false, nil, 200, "You are signed in"},
		{
			"failed",
			"GET",
			host,
			"/callback?code=c&state=s",
			false,
			failure.New("do <this>", "it is <broken>"),
			400,
			"it is &lt;broken&gt;</p>\n<p>do &lt;this&gt;",
		},
		{
			"failed without a hint",
			"GET",
			host,
			"/callback?error=x",
			false,
			errors.New("it is broken"),
			400,
			"it is broken",
		},
		{"second response", "GET", host, "/callback?code=c&state=s", true, nil, 409, "already answered"},
		{
			"DNS rebinding",
			"GET",
			"evil.example.com:1234",
			"/callback?code=c&state=s",
			false,
			nil,
			403,
			`want "127.0.0.1:1234"`,
		},
		{"no query", "GET", host, "/callback", false, nil, 400, "neither a code nor an error"},
		{"code twice", "GET", host, "/callback?code=c&code=d", false, nil, 400, "twice"},
		{"other path", "GET", host, "/favicon.ico", false, nil, 404, "not found"},
		{"other method", "POST", host, "/callback?code=c&state=s", false, nil, 405, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cb := newCallback(host)
			if test.answered {
				cb.responses <- authResponse{}
			}
			cb.finish(test.outcome)
			req := httptest.NewRequest(test.method, test.target, nil)
			req.Host = test.host
			rec := httptest.NewRecorder()
			cb.server.Handler.ServeHTTP(rec, req)
			if rec.Code != test.wantStatus || !strings.Contains(rec.Body.String(), test.wantText) {
				t.Errorf("answer = %d %s, want %d with %q", rec.Code, rec.Body, test.wantStatus, test.wantText)
			}
			if rec.Code == http.StatusOK && rec.Header().Get("Referrer-Policy") != "no-referrer" {
				t.Error("the page sends its address, which has the code, as a referrer")
			}
		})
	}
}

func TestListenAgain(t *testing.T) {
	t.Parallel()
	first, err := listenAt(0)
	if err != nil {
		t.Fatal(err)
	}
	uri := first.redirectURI
	if again := listenAgain(uri); again != nil {
		t.Error("listens twice on one port")
	}
	first.close()
	for _, invalid := range []string{
		"",
		"http://127.0.0.1/callback",
		"http://127.0.0.1:0/callback",
		"http://127.0.0.1:99999/callback",
		"://",
	} {
		if cb := listenAgain(invalid); cb != nil {
			t.Errorf("listenAgain(%q) = %q, want nil", invalid, cb.redirectURI)
		}
	}
}
