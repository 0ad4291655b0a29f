package window

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// TestNothingSecretIsKept sends a token to a server that repeats it in its response.
func TestNothingSecretIsKept(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		token func(t *testing.T, r *rig) string
	}{
		{"JWT", func(t *testing.T, r *rig) string { return r.mint(t, localclerk.Token{}) }},
		{"session token", func(t *testing.T, r *rig) string { return r.mint(t, localclerk.Token{Kind: localclerk.SessionToken}) }},
		{"opaque token", func(t *testing.T, r *rig) string { return r.mint(t, localclerk.Token{Opaque: true}) }},
		{"API key", func(t *testing.T, r *rig) string { return r.mint(t, localclerk.Token{Kind: localclerk.APIKey}) }},
		{"token of an unknown form", func(*testing.T, *rig) string { return "zwischen.den-zeilen/steht+alles~0123456789" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"access_token":"`+token+`","nested":{"refresh_token":"0123456789abcdefghijklmnop"},"text":"it was `+token+`"}`)
			})
			token := test.token(t, r)
			body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{"token":"` + token + `"}}}`
			do(t, "POST", r.proxy.URL+"/mcp?access_token="+token+"&code=abcdefghijklmnopqrstuvwxyz0123", body,
				"Authorization", "Bearer "+token, "Cookie", "session="+token)
			step := r.await(t, 1)
			text, err := json.Marshal([]any{step, r.state()})
			if err != nil {
				t.Fatal(err)
			}
			secrets := []string{token, token[:len(token)-8], "0123456789abcdefghijklmnop", "abcdefghijklmnopqrstuvwxyz0123"}
			for _, secret := range secrets {
				if strings.Contains(string(text), secret) {
					t.Errorf("the step has %q in it: %s", secret, text)
				}
			}
			if !strings.Contains(string(text), token[len(token)-shownOfSecret:]) || step.Title != "Calls the tool whoami" {
				t.Errorf("step = %+v, want a call of whoami with the token's last characters", step)
			}
		})
	}
}

// TestNothingSecretOfClerkIsKept runs a complete sign-in at the local Clerk.
func TestNothingSecretOfClerkIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, registered := postJSON(t, r.page.URL+"/oauth/register", `{"redirect_uris":["http://127.0.0.1:1/callback"]}`)
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(registered), &client); err != nil || client.Secret == "" {
		t.Fatalf("registration answered %s, want a client with a secret (%v)", registered, err)
	}
	const parameters = "response_type=code&state=0123456789abcdef&redirect_uri=http://127.0.0.1:1/callback"
	link := r.page.URL + "/oauth/authorize?" + parameters + "&client_id=" + client.ID
	resp, _ := do(t, "GET", link, "", localclerk.SignInHeader, "ada", localclerk.ConsentHeader, "allow")
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	code := to.Query().Get("code")
	_, answer := do(t, "POST", r.page.URL+"/oauth/token",
		"grant_type=authorization_code&redirect_uri=http://127.0.0.1:1/callback"+
			"&code="+code+"&client_id="+client.ID+"&client_secret="+client.Secret,
		"Content-Type", "application/x-www-form-urlencoded")
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(answer), &tokens); err != nil || tokens.Access == "" {
		t.Fatalf("the token endpoint answered %s, want a token (%v)", answer, err)
	}
	r.await(t, 3)
	text, err := json.Marshal([]any{r.journal.after(0), r.state()})
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{
		"client secret": client.Secret,
		"code":          code,
		"access token":  tokens.Access,
		"refresh token": tokens.Refresh,
	} {
		if secret != "" && strings.Contains(string(text), secret) {
			t.Errorf("the %s is in the steps or the state: %s", name, text)
		}
	}
	n := r.journal.after(0)
	if got, want := n.Runs[len(n.Runs)-1].Headline, "signed in as Ada Lovelace"; got != want {
		t.Errorf("headline = %q, want %q", got, want)
	}
	if got := r.state().Tokens; len(got) != 1 || got[0].User != "Ada Lovelace" || got[0].ClientID != client.ID {
		t.Errorf("live tokens = %+v, want Ada's", got)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", maxBody)
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		io.WriteString(w, long)
	})
	_, body := do(t, "POST", r.proxy.URL+"/mcp", long, "Authorization", "Bearer x", "Mcp-Method", strings.Repeat("m", 5000))
	if body != long {
		t.Errorf("the client got %d bytes, want all %d", len(body), len(long))
	}
	step := r.await(t, 1)
	for name, m := range map[string]Message{"request": step.Request, "response": step.Response} {
		if got := len(m.Body); got > maxBody+len("…") || got < maxBody/2 {
			t.Errorf("%s: recorded %d bytes, want about %d", name, got, maxBody)
		}
	}
	if len(step.Title) > 2*maxName {
		t.Errorf("the title has %d bytes", len(step.Title))
	}
}

func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	j := newJournal()
	now := time.Now()
	for i := range maxSteps + 10 {
		j.add(Step{Time: now.Add(time.Duration(i) * idleTime), Kind: kindCall}, owner{userAgent: "a", issued: &Token{}})
	}
	n := j.after(0)
	if len(n.Steps) != maxSteps || n.Steps[0].ID != 11 || len(j.runs.list) != maxRuns || len(j.issuedTokens()) != maxTokens {
		t.Errorf("got %d steps from %d, %d runs, %d tokens", len(n.Steps), n.Steps[0].ID, len(j.runs.list), len(j.issuedTokens()))
	}
}

// TestStreamsAreNotBuffered has a server that sends the next event only after the client has
// read the last one.
func TestStreamsAreNotBuffered(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			io.WriteString(w, "data: {}\n\n")
			http.NewResponseController(w).Flush()
			select {
			case <-read:
			case <-req.Context().Done():
				return
			}
		}
	})
	req, err := http.NewRequest("GET", r.proxy.URL+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if step := r.await(t, 1); step.Kind != kindStream || step.Status != http.StatusOK {
		t.Errorf("step = %+v, want an open stream", step)
	}
	lines := bufio.NewReader(resp.Body)
	for range 3 {
		if line, err := lines.ReadString('\n'); err != nil || line != "data: {}\n" {
			t.Fatalf("got %q, %v, want an event", line, err)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		read <- struct{}{}
	}
	if n := r.journal.after(0); len(n.Steps) != 1 {
		t.Errorf("got %d steps of one stream, want 1", len(n.Steps))
	}
}

func TestHostPassesThrough(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, req.Host+" "+req.Header.Get("X-Forwarded-For"))
	})
	if _, body := do(t, "GET", r.proxy.URL+"/", "", "Host", "localhost:3000"); body != "localhost:3000 " {
		t.Errorf("the server saw %q, want the client's host and no header of a proxy", body)
	}
}

func TestServerDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.server.Close()
	resp, body := do(t, "POST", r.proxy.URL+"/mcp", "{}")
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "PORT") {
		t.Errorf("got %d %s, want 502 that names PORT", resp.StatusCode, body)
	}
	if step := r.await(t, 1); step.Outcome != Failed || step.Problem != "endpoint.gateway" {
		t.Errorf("step = %+v, want one that says that the server does not answer", step)
	}
}

// TestSignInIsRecordedBeforeItContinues checks that a client gets the responses of discovery
// after their steps were recorded. A client sends its next request at once, and the steps must be
// recorded in their order.
func TestSignInIsRecordedBeforeItContinues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, path string
		status     int
		chunked    bool
		sentFirst  bool // before the step is recorded
	}{
		{name: "challenge", path: "/mcp", status: http.StatusUnauthorized},
		{name: "challenge of unknown length", path: "/mcp", status: http.StatusUnauthorized, chunked: true},
		{name: "metadata", path: "/.well-known/oauth-protected-resource/mcp", status: http.StatusOK},
		{name: "metadata of unknown length", path: "/.well-known/oauth-protected-resource/mcp", status: http.StatusOK, chunked: true},
		{name: "rejected call", path: "/mcp", status: http.StatusForbidden},
		{name: "call", path: "/mcp", status: http.StatusOK, chunked: true, sentFirst: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				io.WriteString(w, "{}")
				if test.chunked {
					http.NewResponseController(w).Flush()
				}
			})
			answer := &flushRecorder{ResponseRecorder: httptest.NewRecorder(), recorded: func() int { return len(r.journal.after(0).Steps) }}
			r.proxy.Config.Handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, test.path, strings.NewReader("{}")))
			if answer.flushedFirst != test.sentFirst {
				t.Errorf("sent before the step was recorded: %v, want %v", answer.flushedFirst, test.sentFirst)
			}
			if got := answer.recorded(); got != 1 || answer.Code != test.status || answer.Body.String() != "{}" {
				t.Errorf("got %d steps, status %d and body %q, want 1, %d and {}", got, answer.Code, answer.Body, test.status)
			}
		})
	}
}

// flushRecorder is a response that records whether it was flushed before there was a step.
type flushRecorder struct {
	*httptest.ResponseRecorder
	recorded     func() int // number of steps
	flushedFirst bool
}

func (w *flushRecorder) Flush() {
	w.flushedFirst = w.flushedFirst || w.recorded() == 0
	w.ResponseRecorder.Flush()
}
