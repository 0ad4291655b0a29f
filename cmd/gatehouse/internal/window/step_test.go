package window

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestTitlesOfCalls(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ method, name, want string }{
		{"tools/call", "whoami", "Calls the tool whoami"},
		{"tools/list", "", "Lists the tools"},
		{"resources/read", "file:///x", "Reads file:///x"},
		{"initialize", "", "Initializes"},
		{"tools/call", "", "Calls tools/call"},
		{"x/unknown", "", "Calls x/unknown"},
		{"", "", "Calls the server"},
	} {
		if got := (call{method: test.method, name: test.name}).title(); got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.method, test.name, got, test.want)
		}
	}
}

// TestEveryKindNamesItsSpecification checks the table of kinds.
func TestEveryKindNamesItsSpecification(t *testing.T) {
	t.Parallel()
	for k, info := range kinds {
		if k.recorded() && k != kindOther && info.spec == "" {
			t.Errorf("kind %q has no name in a specification", k)
		}
		if info.unfinished != "" && rank(k) == 0 {
			t.Errorf("kind %q can leave a sign-in unfinished, but is not a part of one", k)
		}
	}
}

// TestLandingPage opens the MCP server in a browser, which also asks for parts of the page.
func TestLandingPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!doctype html>") })
	get := func(path, accept, dest string) {
		do(t, "GET", r.proxy.URL+path, "", "User-Agent", chromeAgent, "Accept", accept, "Sec-Fetch-Dest", dest)
	}
	for range 2 {
		get("/mcp", "text/html,*/*;q=0.8", "document")
		get("/favicon.ico", "image/*", "image")
		get("/style.css", "text/css", "style")
	}
	u := r.journal.after(0)
	if len(u.Steps) != 2 || len(u.Runs) != 1 {
		t.Fatalf("got %d steps in %d runs, want 2 in one: %+v", len(u.Steps), len(u.Runs), u.Steps)
	}
	if s := u.Steps[0]; s.Title != "Opens the landing page" || s.From != Browser {
		t.Errorf("step = %+v, want a browser at the landing page", s)
	}
	if run := u.Runs[0]; run.Client != "Chrome" || run.Headline != "opened the landing page" {
		t.Errorf("run = %+v, want Chrome at the landing page", run)
	}
	do(t, "GET", r.proxy.URL+"/mcp", "", "User-Agent", chromeAgent, "Accept", "text/event-stream", "Sec-Fetch-Dest", "empty")
	if s := r.await(t, 3); s.Kind != kindStream || s.From != Client {
		t.Errorf("control: step = %+v, want a stream of a client", s)
	}
}

// TestSignInWithoutABrowser signs in by the headers of the local Clerk.
func TestSignInWithoutABrowser(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	postJSON(t, r.page.URL+"/oauth/register", `{"redirect_uris":["http://127.0.0.1:1/callback"]}`)
	r.await(t, 1)
	link := r.page.URL + "/oauth/authorize?response_type=code&state=0123456789abcdef&client_id=" + r.clerk.Clients()[0].ID
	do(t, "GET", link, "", localclerk.SignInHeader, "ada")
	if s := r.await(t, 2); s.From != Client {
		t.Errorf("the step is from the %s, want the client", s.From)
	}
	do(t, "GET", link, "")
	if s := r.await(t, 3); s.From != Browser {
		t.Errorf("control: the step is from the %s, want the browser", s.From)
	}
}

// TestPagesOfTwoClients chooses an account at the page of the first of two clients.
func TestPagesOfTwoClients(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	var pages []string
	for i, name := range []string{"First", "Second"} {
		metadata := `{"client_name":"` + name + `","redirect_uris":["http://127.0.0.1:1/callback"]}`
		postJSON(t, r.page.URL+"/oauth/register", metadata)
		r.await(t, uint64(2*i+1))
		link := r.page.URL + "/oauth/authorize?response_type=code&state=0123456789abcdef&client_id=" + r.clerk.Clients()[i].ID
		resp, _ := do(t, "GET", link, "")
		r.await(t, uint64(2*i+2))
		pages = append(pages, resp.Header.Get("Location"))
	}
	_, transaction, _ := strings.Cut(pages[0], "transaction=")
	form := "action=sign_in&transaction=" + transaction + "&user=" + r.clerk.Users()[0].ID
	do(t, "POST", r.page.URL+"/oauth/authorize/continue", form, "Content-Type", "application/x-www-form-urlencoded")
	s := r.await(t, 5)
	if s.Title != "Chooses an account" || s.Run != r.await(t, 2).Run {
		t.Errorf("step %q is in run %d, want that of the first client, %d", s.Title, s.Run, r.await(t, 2).Run)
	}
}
