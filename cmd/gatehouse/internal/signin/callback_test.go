package signin

import (
	"errors"
	"fmt"
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
			"<p class=\"problem\">It is &lt;broken&gt;.</p>\n<p class=\"fix\">Do &lt;this&gt;.</p>",
		},
		{
			"failed without a hint",
			"GET",
			host,
			"/callback?error=x&state=s",
			false,
			errors.New("it is broken"),
			400,
			"It is broken.",
		},
		{"second response", "GET", host, "/callback?code=c&state=s", true, nil, 409, "has its answer"},
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
		{"no query", "GET", host, "/callback", false, nil, 404, "belongs to another sign-in"},
		{"other state", "GET", host, "/callback?code=c&state=S", false, nil, 404, "belongs to another sign-in"},
		{"no state", "GET", host, "/callback?error=access_denied", false, nil, 404, "belongs to another sign-in"},
		{"empty state", "GET", host, "/callback?code=c&state=", false, nil, 404, "belongs to another sign-in"},
		{"state twice", "GET", host, "/callback?code=c&state=s&state=s", false, nil, 404, "belongs to another sign-in"},
		{"state alone", "GET", host, "/callback?state=s", false, nil, 400, "neither a code nor an error"},
		{"code twice", "GET", host, "/callback?code=c&code=d&state=s", false, nil, 400, "twice"},
		{"other path", "GET", host, "/favicon.ico", false, nil, 404, "not found"},
		{"other method", "POST", host, "/callback?code=c&state=s", false, nil, 405, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cb := newCallback(host, ignoreSteps)
			cb.expect("s")
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

// TestCallbackIgnoresOtherAnswers sends answers without the state of the request, as any
// page can that guesses the port. They must not end the wait.
func TestCallbackIgnoresOtherAnswers(t *testing.T) {
	t.Parallel()
	const host = "127.0.0.1:1234"
	var steps []string
	cb := newCallback(host, func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) })
	send := func(target string) int {
		req := httptest.NewRequest(http.MethodGet, target, nil)
		req.Host = host
		rec := httptest.NewRecorder()
		cb.server.Handler.ServeHTTP(rec, req)
		return rec.Code
	}
	const early = "/callback?code=c&state="
	if status := send(early); status != http.StatusNotFound {
		t.Errorf("answer before there is a request: %d, want 404", status)
	}
	cb.expect("the state")
	for range 2 * maxReportedAnswers {
		for _, target := range []string{
			"/callback?code=forged&state=guess",
			"/callback?error=access_denied",
			"/callback?state=the+stat",
		} {
			if status := send(target); status != http.StatusNotFound {
				t.Errorf("GET %s = %d, want 404", target, status)
			}
		}
	}
	if len(cb.responses) != 0 {
		t.Fatalf("an answer without the state ended the sign-in: %v", <-cb.responses)
	}
	if len(steps) != maxReportedAnswers+1 {
		t.Errorf("reported %d steps, want %d:\n%s", len(steps), maxReportedAnswers+1, strings.Join(steps, "\n"))
	}
	cb.finish(nil)
	if status := send("/callback?code=c&state=the+state"); status != http.StatusOK {
		t.Errorf("answer with the state: %d, want 200", status)
	}
	if got := <-cb.responses; got.code != "c" {
		t.Errorf("code = %q, want c", got.code)
	}
}

// TestCallbackPageSaysEachThingOnce shows the page of a user who chose Deny.
func TestCallbackPageSaysEachThingOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, description, want string }{
		{"no description", "", "Access was denied."},
		{"description of the code", "The resource owner denied the request.", "Access was denied."},
		{"a cause", "User is not assigned to the app", "Access was denied: User is not assigned to the app."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rec := httptest.NewRecorder()
			showPage(rec, http.StatusBadRequest, failedPage(explainAuthError("access_denied", test.description, nil, nil)))
			body := rec.Body.String()
			if !strings.Contains(body, test.want) {
				t.Errorf("page has no %q:\n%s", test.want, body)
			}
			for _, text := range []string{"denied", "choose Allow", "<h1>You are not signed in</h1>"} {
				if n := strings.Count(body, text); n != 1 {
					t.Errorf("page has %q %d times, want once:\n%s", text, n, body)
				}
			}
		})
	}
}

func TestListenAgain(t *testing.T) {
	t.Parallel()
	first, err := listenAt(0, ignoreSteps)
	if err != nil {
		t.Fatal(err)
	}
	uri := first.redirectURI
	if again := listenAgain(uri, ignoreSteps); again != nil {
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
		if cb := listenAgain(invalid, ignoreSteps); cb != nil {
			t.Errorf("listenAgain(%q) = %q, want nil", invalid, cb.redirectURI)
		}
	}
}
