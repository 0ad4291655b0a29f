package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const callHelp = `usage: gatehouse call [flags] URL TOOL [ARGUMENTS]
       gatehouse call [flags] URL list
       gatehouse call [flags] --logout URL

Calls a tool of an MCP server and prints what it answers. Where the server asks
for sign-in, the browser opens; the sign-in is kept for the next call.

URL is the MCP endpoint, exactly as the server knows itself, like
http://localhost:3000/mcp. ARGUMENTS is a JSON object, "-" to read one from
standard input, or pairs like city=Rome days=3. "list" shows the tools; to call
a tool of that name, give it arguments ("list {}").

examples:
  gatehouse call http://localhost:3000/mcp list
  gatehouse call http://localhost:3000/mcp whoami
  gatehouse call https://mcp.example.com/mcp forecast '{"city": "Rome"}' --json
  gatehouse call http://localhost:3000/mcp whoami --user ada

flags:
  --json                     print the whole answer as JSON
  -v                         tell each step of the flow
  --no-browser               print the link to open instead of opening it
  --timeout DURATION         how long to wait for the sign-in, and for an answer
                             of the server (default 5m)
  --scope "A B"              ask for these scopes too
  --user NAME                sign in as NAME at a local Clerk, without a browser
  --org ORG                  with --user: the organization to choose, id or slug
  --client-id ID             sign in as this client instead of registering one
  --client-secret-file FILE  the secret of that client
  --callback-port PORT       port of the redirect URI http://127.0.0.1:PORT/callback
                             (default: any free one, with --client-id 8976)
  --logout                   revoke and forget the sign-ins at URL

Sign-ins are kept in the folder gatehouse of the user's configuration, one file
for each server, issuer and user, which nobody else can read.
`

var callCommand = command{
	name:    "call",
	summary: "call a tool of an MCP server, signing in where it asks",
	help:    callHelp,
	run:     runCall,
}

// maxTools is how many tools of one server are listed.
const maxTools = 10_000

// errNoAnswer ends the wait for the server.
var errNoAnswer = errors.New("no answer")

// call is one run of the command.
type call struct {
	flags   callFlags
	account account
	con     *console
	traffic *traffic
	signIn  *signIn
	client  *http.Client // for the MCP endpoint
	clock   *clock
}

func runCall(ctx context.Context, con *console, args []string) error {
	flags, err := readCallFlags(args)
	if err != nil {
		return err
	}
	con.verbose = flags.verbose
	account, err := flags.account()
	if err != nil {
		return err
	}
	if flags.logout {
		return logout(ctx, con, account)
	}
	con.begin("reading arguments from standard input")
	arguments, err := readArguments(ctx, con.stdin, flags.words)
	if err != nil {
		return err
	}
	ctx, clock := startClock(ctx, flags.timeout)
	defer clock.stop()
	c, err := newCall(ctx, con, flags, account, clock)
	if err != nil {
		return err
	}
	if flags.list() {
		err = c.list(ctx)
	} else {
		err = c.callTool(ctx, flags.tool, arguments)
	}
	if err != nil {
		return c.explain(ctx, err)
	}
	return nil
}

func newCall(ctx context.Context, con *console, flags callFlags, account account, clock *clock) (*call, error) {
	store, err := openStore(con)
	if err != nil {
		return nil, err
	}
	secret, err := flags.clientSecret()
	if err != nil {
		return nil, err
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	traffic := newTraffic(base, account.Resource, con)
	c := &call{
		flags:   flags,
		account: account,
		con:     con,
		traffic: traffic,
		client:  &http.Client{Transport: traffic, CheckRedirect: refuseRedirect},
		clock:   clock,
		signIn: &signIn{
			account: account,
			options: signInOptions{
				scopes:       strings.Fields(flags.scope),
				clientSecret: secret,
				callbackPort: flags.callbackPort,
				noBrowser:    flags.noBrowser,
				timeout:      flags.timeout,
			},
			con:     con,
			http:    newOAuthClient(traffic),
			traffic: traffic,
			store:   store,
			ctx:     ctx,
			pause:   clock.pause,
		},
	}
	c.signIn.begin()
	return c, nil
}

// httpTimeout bounds each exchange of the sign-in.
const httpTimeout = 30 * time.Second

// newOAuthClient returns the HTTP client for metadata, registration and tokens.
func newOAuthClient(next http.RoundTripper) *http.Client {
	return &http.Client{Transport: &documents{next: next}, Timeout: httpTimeout}
}

// refuseRedirect stops at a redirect of the MCP endpoint: followed, a POST would
// become a GET, and the URL another than the resource of the sign-in.
func refuseRedirect(req *http.Request, via []*http.Request) error {
	return fail("call that URL, if you trust it", "%q redirects to %q", via[0].URL, req.URL)
}

// connect opens an MCP session, signing in on the way if the server asks. A server
// that wants to be asked again in a moment is asked once more: one whose issuer has
// new keys may say so until it has read them.
func (c *call) connect(ctx context.Context) (*mcp.ClientSession, error) {
	session, err := c.dial(ctx)
	if err != nil && c.signIn.failure() == nil && c.waitItOut(ctx) {
		return c.dial(ctx)
	}
	return session, err
}

// maxRetryAfter is how long a server is waited for that asks for it.
const maxRetryAfter = 10 * time.Second

// waitItOut waits as long as the server's last answer asks, and reports whether it
// did ask, for no more than maxRetryAfter (RFC 9110, section 10.2.3).
func (c *call) waitItOut(ctx context.Context) bool {
	last := c.traffic.lastAnswer()
	if last == nil || last.status != http.StatusServiceUnavailable {
		return false
	}
	seconds, err := strconv.ParseUint(last.retryAfter, 10, 8)
	wait := time.Duration(seconds) * time.Second
	if err != nil || wait > maxRetryAfter {
		return false
	}
	c.con.step("waiting %s, as the server asks", wait)
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *call) dial(ctx context.Context) (*mcp.ClientSession, error) {
	c.con.begin("asking " + c.account.Resource)
	client := mcp.NewClient(&mcp.Implementation{Name: "gatehouse", Version: version},
		&mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	return client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint:             c.account.Resource,
		HTTPClient:           c.client,
		DisableStandaloneSSE: true,
		OAuthHandler:         c.signIn,
	}, nil)
}

func (c *call) list(ctx context.Context) error {
	session, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	tools, err := c.tools(ctx, session)
	if err != nil {
		return err
	}
	if c.flags.json {
		return c.con.printJSON(map[string][]*mcp.Tool{"tools": tools})
	}
	return c.con.print(describeTools(tools))
}

func (c *call) tools(ctx context.Context, session *mcp.ClientSession) ([]*mcp.Tool, error) {
	c.con.begin("listing the tools")
	tools := []*mcp.Tool{}
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		if len(tools) == maxTools {
			return nil, fmt.Errorf("%q has more than %d tools", c.account.Resource, maxTools)
		}
		tools = append(tools, tool)
	}
	return tools, nil
}

func (c *call) callTool(ctx context.Context, name string, arguments arguments) error {
	session, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	var schema map[string]any
	if arguments.pairs != nil {
		tool, err := c.find(ctx, session, name)
		if err != nil {
			return err
		}
		schema, _ = tool.InputSchema.(map[string]any)
	}
	c.con.begin("calling " + name)
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments.under(schema)})
	if protocolError(err) != nil {
		if _, missing := c.find(ctx, session, name); missing != nil {
			return missing
		}
	}
	if err != nil {
		return err
	}
	return c.show(name, result)
}

// find returns a tool by name, or says which there are.
func (c *call) find(ctx context.Context, session *mcp.ClientSession, name string) (*mcp.Tool, error) {
	tools, err := c.tools(ctx, session)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range tools {
		if tool.Name == name {
			return tool, nil
		}
		names = append(names, tool.Name)
	}
	hint := "it has no tools for you"
	if len(names) > 0 {
		hint = clip("there are: "+strings.Join(names, ", "), maxLine)
	}
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return nil, fail(hint, "%q has no tool %q", c.account.Resource, name)
}

// show prints the result of a tool. One that reports an error is a failure.
func (c *call) show(name string, result *mcp.CallToolResult) error {
	var err error
	if c.flags.json {
		err = c.con.printJSON(result)
	} else {
		err = c.con.print(describeResult(result))
	}
	if err == nil && result.IsError {
		return fail("what it says is above, on standard output", "tool %q reports an error", name)
	}
	return err
}
