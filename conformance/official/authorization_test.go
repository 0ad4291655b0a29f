//go:build official

package official

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// Lines that the suite writes while it waits for a user to sign in.
var (
	authorizationLine = regexp.MustCompile(`^\s*(http://\S+/oauth/authorize\?\S+)$`)
	listeningLine     = regexp.MustCompile(`Callback server started`)
)

// authorizationRun runs the suite against a local Clerk as the authorization server. A
// request that names the user stands in for the browser.
func (c command) authorizationRun(t *testing.T) (got outcome, passed bool) {
	t.Helper()
	issuer := startClerk(t)
	port := freePort(t)
	ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.node, c.script, "authorization", "--url", issuer,
		"--client-id", register(t, issuer, "http://127.0.0.1:"+port+"/callback"), "--port", port, "-o", t.TempDir())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	authorizationURL := ""
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Fprintln(&out, lines.Text())
		if m := authorizationLine.FindStringSubmatch(lines.Text()); m != nil {
			authorizationURL = m[1]
		}
		if listeningLine.MatchString(lines.Text()) {
			signIn(ctx, t, authorizationURL)
		}
	}
	verdict := cmd.Wait()
	t.Log(out.String())
	if got, err = summarize([]byte(out.String())); err != nil {
		t.Fatalf("conformance authorization: %v", err)
	}
	return got, verdict == nil
}

// startClerk starts a local Clerk that accepts client ID metadata documents, and returns
// its issuer identifier.
func startClerk(t *testing.T) string {
	t.Helper()
	local := gatehousetest.Clerk(t)
	settings := local.Settings()
	settings.ClientIDMetadataDocumentsAdvertised = true
	if err := local.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	return local.Issuer()
}

// freePort returns a port that was free a moment ago. The suite listens on it, but needs
// its number as an argument.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// register registers a public client and returns its ID.
func register(t *testing.T, issuer, redirectURI string) string {
	t.Helper()
	body := fmt.Sprintf(`{"client_name":"conformance","redirect_uris":[%q],"token_endpoint_auth_method":"none"}`, redirectURI)
	resp, err := http.Post(issuer+"/oauth/register", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var client struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&client); err != nil || client.ID == "" {
		t.Fatalf("registering: status %d, client %+v (%v)", resp.StatusCode, client, err)
	}
	return client.ID
}

// signIn opens the authorization URL as the browser of a signed-in user would, and follows
// the redirect to the suite.
func signIn(ctx context.Context, t *testing.T, authorizationURL string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizationURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(localclerk.SignInHeader, "ada")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Errorf("signing in: %v", err)
		return
	}
	resp.Body.Close()
}
