package clerk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// whoami is a tool like those of the examples.
func whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	return nil, user, nil
}

// serveWhoami returns the URL of an endpoint with the tool whoami.
func serveWhoami(t *testing.T, local *gatehousetest.ClerkServer, revoked func(gatehouse.Identity) bool) string {
	server := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"}, whoami)
	return gatehousetest.Serve(t, func(origin string) http.Handler {
		guard, err := gatehouse.New(gatehouse.Config{
			Resource: origin + "/mcp",
			Provider: local.Provider(),
			Revoked:  revoked,
			Logger:   slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(guard.Close)
		mux := http.NewServeMux()
		guard.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
			&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
		return mux
	}) + "/mcp"
}

// callWhoami calls the tool with the token, without a client that signs in.
func callWhoami(t *testing.T, url, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestExpiredWithinTheLeeway has a token that expired ten seconds ago: the guard's leeway
// accepts it, and Clerk does not.
func TestExpiredWithinTheLeeway(t *testing.T) {
	t.Parallel()
	local := gatehousetest.Clerk(t)
	for _, test := range []struct {
		name       string
		revoked    func(gatehouse.Identity) bool
		lifetime   time.Duration
		wantStatus int // of the second call
		wantText   string
	}{
		{"control: valid", clerk.TokenRejected, time.Minute, http.StatusOK, "Ada Lovelace"},
		{"expired", clerk.TokenRejected, -10 * time.Second, http.StatusUnauthorized, `"error":"invalid_token"`},
		{"control: expired, without TokenRejected", nil, -10 * time.Second, http.StatusOK, "sign in again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := serveWhoami(t, local, test.revoked)
			token, err := local.IssueToken(localclerk.Token{Resource: url, Lifetime: test.lifetime})
			if err != nil {
				t.Fatal(err)
			}
			status, body := callWhoami(t, url, token)
			if expired := test.lifetime < 0; status != http.StatusOK ||
				strings.Contains(body, "sign in again") != expired || strings.Contains(body, "try again") {
				t.Errorf("first call: status %d, %s; want 200 and an error exactly if the token has expired", status, body)
			}
			if status, body := callWhoami(t, url, token); status != test.wantStatus || !strings.Contains(body, test.wantText) {
				t.Errorf("second call: status %d, %s; want %d and %q", status, body, test.wantStatus, test.wantText)
			}
		})
	}
}

// TestClientSignsInAgain has a client whose token Clerk no longer accepts.
func TestClientSignsInAgain(t *testing.T) {
	t.Parallel()
	local := gatehousetest.Clerk(t)
	session := local.Connect(t, serveWhoami(t, local, clerk.TokenRejected), gatehousetest.Person{})
	call := func() string {
		t.Helper()
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// The clock of Clerk is a day ahead, so the token has expired there and not here.
	if err := local.SetFaults(localclerk.Faults{ClockOffset: 25 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := call(); !strings.Contains(got, "sign in again") {
		t.Errorf("the first call answered %s, want an error", got)
	}
	if err := local.SetFaults(localclerk.Faults{}); err != nil {
		t.Fatal(err)
	}
	if got := call(); !strings.Contains(got, "Ada Lovelace") {
		t.Errorf("the second call answered %s, want Ada Lovelace, after another sign-in", got)
	}
}

// TestProfileErrorDetails checks that details are in the log and not in the text.
func TestProfileErrorDetails(t *testing.T) {
	in := start(t)
	req, err := call(t, clerk.Provider(in.Issuer()), mint(t, in, accessToken("profile")))
	if err != nil {
		t.Fatal(err)
	}
	failing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	in.answer.Store(&failing)
	_, err = clerk.Profile(t.Context(), req)
	if err == nil || err.Error() != clerk.ErrUnavailable.Error() {
		t.Errorf("error %v, want exactly %v", err, clerk.ErrUnavailable)
	}
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).Warn("no profile", "error", err)
		if !strings.Contains(log.String(), "userinfo answered with status 502") {
			t.Errorf("%s: log %q lacks the status", name, &log)
		}
	}
}
