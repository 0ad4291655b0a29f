package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"
)

// eras are the revisions of MCP with the two kinds of transport: without sessions, and with them.
var eras = []string{"2026-07-28", "2025-11-25"}

// fixture is the server of the example with a signed-in user.
type fixture struct {
	clerk  *gatehousetest.ClerkServer
	tools  *tools
	server *serve.Server
	url    string
	left   chan string // the tool of a call whose client has left
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{clerk: gatehousetest.Clerk(t), tools: newTools(), left: make(chan string, 10)}
	f.tools.index = func(context.Context, int) error { return nil }
	f.tools.billing.key = "key of the server"
	f.url = gatehousetest.Serve(t, func(origin string) http.Handler {
		var err error
		f.server, err = newServer(serve.Config{
			URL: origin, Provider: f.clerk.Provider(), Logger: slog.New(slog.DiscardHandler), Audit: f.audit,
		}, f.tools)
		if err != nil {
			t.Fatal(err)
		}
		return f.server.Handler()
	}) + "/mcp"
	return f
}

// audit reports calls whose client has left.
func (f *fixture) audit(_ context.Context, e gatehouse.AuditEvent) {
	if e.Ended == "client" && len(e.Operations) == 1 && e.Operations[0].Name != "" {
		f.left <- e.Operations[0].Name
	}
}

// connect signs a user in and opens a session of an era.
func (f *fixture) connect(t *testing.T, era, user string, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	transport := &mcp.StreamableClientTransport{Endpoint: f.url, HTTPClient: f.clerk.SignIn(t, f.url, gatehousetest.Person{User: user})}
	session, err := client.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		t.Fatal(err)
	}
	if got := session.InitializeResult().ProtocolVersion; got != era {
		t.Fatalf("got revision %s, want %s", got, era)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// call calls a tool and returns its first text, and whether it is an error for the model.
func call(t *testing.T, session *mcp.ClientSession, tool string, args any) (text string, isError bool) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return result.Content[0].(*mcp.TextContent).Text, result.IsError
}

// inBothEras runs a test with a new server for each era.
func inBothEras(t *testing.T, test func(t *testing.T, f *fixture, era string)) {
	for _, era := range eras {
		t.Run(era, func(t *testing.T) { test(t, start(t), era) })
	}
}

func TestResults(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		session := f.connect(t, era, "ada", nil)
		for _, test := range []struct {
			tool string
			args any
			want string // the structured content has it
		}{
			{"whoami", nil, `"subject":"` + f.clerk.Users()[0].ID + `"`},
			{"count_words", countInput{"one two"}, `{"characters":6,"words":2}`},
			{"weekly_report", nil, `{"orders":2,"returns":1}`},
		} {
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: test.tool, Arguments: test.args})
			if err != nil || result.IsError {
				t.Fatalf("%s = %v, %v", test.tool, result, err)
			}
			text, err := json.Marshal(result.StructuredContent)
			if err != nil || !strings.Contains(string(text), test.want) {
				t.Errorf("%s: got %s, %v, want %s", test.tool, text, err, test.want)
			}
		}
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "weekly_report"})
		if err != nil || len(result.Content) != 3 {
			t.Errorf("weekly_report has %d contents, %v, want 3", len(result.Content), err)
		}
		if text, isError := call(t, session, "count_words", map[string]any{"text": 1}); !isError || !strings.Contains(text, "validating") {
			t.Errorf("an argument of another type: got %q, %v", text, isError)
		}
	})
}

// In a session, the context of a tool is that of the first request; the identity of the request is the caller's.
func TestIdentityIsThatOfTheRequest(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		ada, grace := f.connect(t, era, "ada", nil), f.connect(t, era, "grace", nil)
		for i, session := range []*mcp.ClientSession{ada, grace} {
			if text, _ := call(t, session, "whoami", nil); !strings.Contains(text, f.clerk.Users()[i].ID) {
				t.Errorf("user %d: got %s", i, text)
			}
		}
	})
}

func TestErrors(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		session := f.connect(t, era, "ada", nil)
		if text, isError := call(t, session, "read_note", noteInput{"welcome"}); isError || text != "# Welcome" {
			t.Errorf("control: got %q, %v", text, isError)
		}
		if text, isError := call(t, session, "read_note", noteInput{"x"}); !isError || text != string(errNoSuchNote) {
			t.Errorf("got %q, %v, want %q", text, isError, errNoSuchNote)
		}
		f.tools.index = func(context.Context, int) error { return errors.New("open /var/lib/index: permission denied") }
		if text, isError := call(t, session, "index_files", indexInput{1}); !isError || text != string(errInternal) {
			t.Errorf("got %q, %v, want %q", text, isError, errInternal)
		}
		_, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: notePrefix + "x"})
		if err == nil || !strings.Contains(err.Error(), "not found") {
			t.Errorf("a resource that does not exist: got %v", err)
		}
	})
}

// A panic in a tool is an error of that call, and the session goes on.
func TestPanic(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		session := f.connect(t, era, "ada", nil)
		f.tools.index = func(context.Context, int) error { panic("secret") }
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "index_files", Arguments: indexInput{1}})
		if err == nil || !strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
		call(t, session, "whoami", nil)
	})
}

func TestProgress(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		reports := make(chan float64, 10)
		session := f.connect(t, era, "ada", &mcp.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
				reports <- req.Params.Progress
			},
		})
		params := &mcp.CallToolParams{Name: "index_files", Arguments: indexInput{3}}
		params.SetProgressToken("p")
		result, err := session.CallTool(t.Context(), params)
		if err != nil || result.IsError {
			t.Fatalf("got %v, %v", result, err)
		}
		for want := 1.0; want <= 3; want++ {
			if got := <-reports; got != want {
				t.Errorf("got progress %v, want %v", got, want)
			}
		}
		if text, isError := call(t, session, "index_files", indexInput{maxFiles + 1}); !isError || !strings.Contains(text, "want 1 to 100") {
			t.Errorf("too many files: got %q, %v", text, isError)
		}
	})
}

// When the client cancels a call, the context of the tool ends.
func TestCancellation(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		started, ended := make(chan struct{}), make(chan error, 1)
		f.tools.index = func(ctx context.Context, _ int) error {
			close(started)
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		session := f.connect(t, era, "ada", nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-started
			cancel()
		}()
		if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "index_files", Arguments: indexInput{1}}); !errors.Is(err, context.Canceled) {
			t.Errorf("the client got %v, want %v", err, context.Canceled)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the tool got %v, want %v", err, context.Canceled)
		}
	})
}

// When the client disconnects, the context of the tool ends in revision 2026-07-28, and goes on in those with sessions,
// where the client may resume the stream.
func TestDisconnect(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		started, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		f.tools.index = func(ctx context.Context, _ int) error {
			close(started)
			select {
			case <-ctx.Done():
			case <-release:
			}
			ended <- ctx.Err()
			return ctx.Err()
		}
		var connections connections
		client := f.clerk.SignIn(t, f.url, gatehousetest.Person{})
		client.Transport.(*oauth2.Transport).Base = &http.Transport{DialContext: connections.dial}
		transport := &mcp.StreamableClientTransport{Endpoint: f.url, HTTPClient: client, MaxRetries: -1}
		session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).
			Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: era})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		go session.CallTool(t.Context(), &mcp.CallToolParams{Name: "index_files", Arguments: indexInput{1}})
		<-started
		connections.drop()
		if name := <-f.left; name != "index_files" {
			t.Errorf("the client left %q", name)
		}
		if era == "2026-07-28" {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the tool got %v, want %v", err, context.Canceled)
			}
			return
		}
		close(release)
		if err := <-ended; err != nil {
			t.Errorf("the tool got %v, want that its context goes on", err)
		}
	})
}

// connections are the open connections of a client.
type connections struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open = append(c.open, conn)
	}
	return conn, err
}

func (c *connections) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tools := &tools{index: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		begin := time.Now()
		_, _, err := tools.indexFiles(t.Context(), &mcp.CallToolRequest{}, indexInput{1})
		if err != errTimeout || time.Since(begin) != indexTimeout {
			t.Errorf("got %v after %s, want %v after %s", err, time.Since(begin), errTimeout, indexTimeout)
		}
	})
}

// asker returns the options of a client whose user answers every question so. requests gets what was asked.
func asker(action string, withURL bool, requests *[]*mcp.ElicitParams) *mcp.ClientOptions {
	var mu sync.Mutex
	capabilities := &mcp.ElicitationCapabilities{Form: &mcp.FormElicitationCapabilities{}}
	if withURL {
		capabilities.URL = &mcp.URLElicitationCapabilities{}
	}
	return &mcp.ClientOptions{
		Capabilities: &mcp.ClientCapabilities{Elicitation: capabilities},
		ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			mu.Lock()
			defer mu.Unlock()
			*requests = append(*requests, req.Params)
			return &mcp.ElicitResult{Action: action}, nil
		},
	}
}

func TestConfirmation(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		for _, test := range []struct {
			action, want string
			deleted      bool
		}{
			{"decline", "was not deleted", false},
			{"cancel", "was not deleted", false},
			{"accept", "was deleted", true},
		} {
			var asked []*mcp.ElicitParams
			session := f.connect(t, era, "ada", asker(test.action, false, &asked))
			text, isError := call(t, session, "delete_note", noteInput{"todo"})
			if isError || !strings.Contains(text, test.want) || len(asked) != 1 || !strings.Contains(asked[0].Message, `"todo"`) {
				t.Errorf("%s: got %q, %v after %d questions", test.action, text, isError, len(asked))
			}
			if _, missing := call(t, session, "read_note", noteInput{"todo"}); missing != test.deleted {
				t.Errorf("%s: deleted is %v, want %v", test.action, missing, test.deleted)
			}
		}
		text, isError := call(t, f.connect(t, era, "grace", nil), "delete_note", noteInput{"todo"})
		if !isError || !strings.Contains(text, "cannot ask") {
			t.Errorf("a client that cannot ask: got %q, %v", text, isError)
		}
	})
}

// An answer counts only for the question that the same user was asked, and only for a while.
func TestAnswerToAnotherQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStates()
		ada := gatehouse.Identity{Issuer: "https://a.example.com", Subject: "ada", ClientID: "c"}
		other, otherIssuer, otherClient := ada, ada, ada
		other.Subject, otherIssuer.Issuer, otherClient.ClientID = "grace", "https://b.example.com", "d"
		state := s.seal(ada, "delete_note", "todo")
		later := s.sign(time.Now().Add(time.Hour), ada, []string{"share_note", "todo"})
		for name, test := range map[string]struct{ got, want bool }{
			"control":         {s.isValid(state, ada, "delete_note", "todo"), true},
			"another user":    {s.isValid(state, other, "delete_note", "todo"), false},
			"another issuer":  {s.isValid(state, otherIssuer, "delete_note", "todo"), false},
			"another client":  {s.isValid(state, otherClient, "delete_note", "todo"), false},
			"another note":    {s.isValid(state, ada, "delete_note", "welcome"), false},
			"another tool":    {s.isValid(state, ada, "share_note", "todo"), false},
			"joined words":    {s.isValid(state, ada, "delete_notetodo"), false},
			"another key":     {newStates().isValid(state, ada, "delete_note", "todo"), false},
			"no state":        {s.isValid("", ada, "delete_note", "todo"), false},
			"not base64":      {s.isValid("%"+state, ada, "delete_note", "todo"), false},
			"a later expiry":  {s.isValid(later[:10]+state[10:], ada, "delete_note", "todo"), false},
			"with more bytes": {s.isValid(state+"AAAA", ada, "delete_note", "todo"), false},
		} {
			if test.got != test.want {
				t.Errorf("%s: got %v, want %v", name, test.got, test.want)
			}
		}
		time.Sleep(stateLifetime)
		if s.isValid(state, ada, "delete_note", "todo") {
			t.Error("an expired state is valid")
		}
	})
}

// A client that sends an answer to a question that it was not asked deletes nothing.
func TestForgedAnswer(t *testing.T) {
	f := start(t)
	session := f.connect(t, "2026-07-28", "ada", nil)
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{
		Name: "delete_note", Arguments: noteInput{"todo"},
		InputResponses: mcp.InputResponseMap{"confirm": &mcp.ElicitResult{Action: "accept"}},
	})
	if err != nil || !result.IsError || !strings.Contains(result.Content[0].(*mcp.TextContent).Text, "another question") {
		t.Errorf("got %+v, %v", result, err)
	}
	if _, missing := call(t, session, "read_note", noteInput{"todo"}); missing {
		t.Error("the note was deleted")
	}
}

func TestConnectInTheBrowser(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		var asked []*mcp.ElicitParams
		session := f.connect(t, era, "ada", asker("accept", true, &asked))
		if text, isError := call(t, session, "connect_calendar", nil); isError || !strings.Contains(text, "call the tool again") {
			t.Errorf("while the page is open: got %q, %v", text, isError)
		}
		if len(asked) != 1 || asked[0].Mode != "url" || !strings.HasSuffix(asked[0].URL, "?id="+asked[0].ElicitationID) {
			t.Fatalf("the user was asked %+v", asked)
		}
		id := gatehouse.Identity{Issuer: f.clerk.Issuer(), Subject: f.clerk.Users()[0].ID}
		other := gatehouse.Identity{Issuer: f.clerk.Issuer(), Subject: f.clerk.Users()[1].ID}
		if err := f.tools.links.finish(asked[0].ElicitationID, other.Principal()); !errors.Is(err, errOtherUser) {
			t.Errorf("another user at the page: got %v, want %v", err, errOtherUser)
		}
		if err := f.tools.links.finish(asked[0].ElicitationID, id.Principal()); err != nil {
			t.Error(err)
		}
		if err := f.tools.links.finish(asked[0].ElicitationID, id.Principal()); err == nil {
			t.Error("a link was used twice")
		}
		if text, isError := call(t, session, "connect_calendar", nil); isError || text != "the calendar is connected" {
			t.Errorf("after the page: got %q, %v", text, isError)
		}
		text, isError := call(t, f.connect(t, era, "grace", asker("accept", false, &asked)), "connect_calendar", nil)
		if !isError || !strings.Contains(text, "cannot open pages") {
			t.Errorf("a client that cannot open pages: got %q, %v", text, isError)
		}
		var declined []*mcp.ElicitParams
		text, isError = call(t, f.connect(t, era, "alan", asker("decline", true, &declined)), "connect_calendar", nil)
		if isError || !strings.Contains(text, "does not want") {
			t.Errorf("a user who declines: got %q, %v", text, isError)
		}
	})
}

func TestLinksAreBoundedAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLinks("https://www.example.com/connect")
		_, first, err := l.begin("ada")
		if err != nil {
			t.Fatal(err)
		}
		for i := range maxLinks - 1 {
			if _, _, err := l.begin(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := l.begin("ada"); !errors.Is(err, errTooManyLinks) {
			t.Errorf("one link too many: got %v", err)
		}
		time.Sleep(linkLifetime)
		if err := l.finish(first, "ada"); !errors.Is(err, errOtherUser) {
			t.Errorf("an expired link: got %v", err)
		}
		if _, _, err := l.begin("ada"); err != nil {
			t.Errorf("after the others have expired: %v", err)
		}
	})
}

// The provider gets the caller's token; another API gets the credentials of the server, and never the token.
func TestOtherAPIs(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		answer := `[{"number":"A-1","cents":1200}]`
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "Bearer key of the server" {
				t.Errorf("the API got %q, want the key of the server", got)
			}
			if got := r.URL.Query().Get("customer"); got != f.clerk.Users()[0].ID {
				t.Errorf("the API got customer %q", got)
			}
			fmt.Fprint(w, answer)
		}))
		defer upstream.Close()
		f.tools.billing.url = upstream.URL
		session := f.connect(t, era, "ada", nil)
		if text, isError := call(t, session, "get_email", nil); isError || text != "ada@example.com" {
			t.Errorf("get_email: got %q, %v", text, isError)
		}
		if text, isError := call(t, session, "list_invoices", nil); isError || !strings.Contains(text, "A-1") {
			t.Errorf("list_invoices: got %q, %v", text, isError)
		}
		for name, wrong := range map[string]string{"too long": `"` + strings.Repeat("x", maxAnswer) + `"`, "not JSON": "<html>secret"} {
			answer = wrong
			if text, isError := call(t, session, "list_invoices", nil); !isError || text != string(errInternal) {
				t.Errorf("%s: got %q, %v, want %q", name, text, isError, errInternal)
			}
		}
	})
}

func TestResourceAndPrompt(t *testing.T) {
	inBothEras(t, func(t *testing.T, f *fixture, era string) {
		session := f.connect(t, era, "ada", nil)
		resource, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: notePrefix + "welcome"})
		if err != nil || resource.Contents[0].Text != "# Welcome" {
			t.Errorf("got %v, %v", resource, err)
		}
		prompt, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "improve_note", Arguments: map[string]string{"id": "welcome"}})
		if err != nil || len(prompt.Messages) != 2 {
			t.Errorf("got %v, %v", prompt, err)
		}
		_, err = session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "improve_note", Arguments: map[string]string{"id": "x"}})
		if err == nil || !strings.Contains(err.Error(), string(errNoSuchNote)) {
			t.Errorf("a prompt about a note that does not exist: got %v", err)
		}
	})
}

// Without a guard there is no caller, and no tool answers as if there were one.
func TestWithoutGuard(t *testing.T) {
	ts := newTools()
	req := &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{}}
	for name, handler := range map[string]func() error{
		"whoami":           func() error { _, _, err := whoami(t.Context(), req, struct{}{}); return err },
		"read_note":        func() error { _, _, err := ts.readNote(t.Context(), req, noteInput{"todo"}); return err },
		"delete_note":      func() error { _, _, err := ts.deleteNote(t.Context(), req, noteInput{"todo"}); return err },
		"connect_calendar": func() error { _, _, err := ts.connectCalendar(t.Context(), req, struct{}{}); return err },
		"get_email":        func() error { _, _, err := getEmail(t.Context(), req, struct{}{}); return err },
		"list_invoices":    func() error { _, _, err := ts.listInvoices(t.Context(), req, struct{}{}); return err },
		"note":             func() error { _, err := ts.noteResource(t.Context(), &mcp.ReadResourceRequest{}); return err },
		"improve_note":     func() error { _, err := ts.improveNote(t.Context(), &mcp.GetPromptRequest{}); return err },
	} {
		if err := handler(); !errors.Is(err, errNotSignedIn) {
			t.Errorf("%s: got %v, want %v", name, err, errNotSignedIn)
		}
	}
}

func TestNotesAreBounded(t *testing.T) {
	n := newNotes()
	for i := range maxOwners {
		if _, err := n.read(fmt.Sprint(i), "welcome"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.read("one more", "welcome"); !errors.Is(err, errTooManyOwners) {
		t.Errorf("got %v, want %v", err, errTooManyOwners)
	}
}
