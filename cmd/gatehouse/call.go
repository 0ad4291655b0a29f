package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/signin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

const (
	maxTools          = 10_000           // of one server
	maxRetryAfter     = 10 * time.Second // the longest wait that a server can ask for
	maxResponseHeader = 256 << 10        // bytes
)

func newCallCommand(con *console) *cobra.Command {
	var options callOptions
	cmd := &cobra.Command{
		Use:   "call URL TOOL [ARGUMENTS]",
		Short: "Call a tool of an MCP server, signing in if the server asks for it",
		Long: `Call a tool of an MCP server and print its result. If the server asks for sign-in, the
browser opens. The sign-in is saved for the next call.

URL is the MCP endpoint, exactly as the server's metadata names it, such as
http://localhost:3000/mcp. ARGUMENTS is a JSON object, "-" to read one from standard
input, or pairs such as city=Rome days=3. If TOOL is the word "list", the tools are
printed; to call a tool of that name, give it arguments (list '{}'). Flags may come
before or after the arguments; what follows "--" is not read as a flag.

Sign-ins are saved in the directory "gatehouse" of your configuration directory, one
file for each server, issuer and user. Only you can read them. If the only sign-in to a
server was made with --user, a call without --user uses it too.`,
		Example: `  gatehouse call http://localhost:3000/mcp list
  gatehouse call http://localhost:3000/mcp whoami
  gatehouse call http://localhost:3000/mcp whoami --user ada -v
  gatehouse call https://mcp.example.com/mcp forecast '{"city": "Rome"}' --json
  gatehouse call https://mcp.example.com/mcp --logout`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.readArgs(args); err != nil {
				return err
			}
			return runCall(cmd.Context(), con, &options)
		},
	}
	options.addFlags(cmd.Flags())
	for _, name := range []string{"timeout", "scope", "user", "org", "client-id", "callback-port"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// call is one run of the command.
type call struct {
	options   *callOptions
	resource  string // the URL of the MCP endpoint
	con       *console
	transport *trace.Transport
	signIn    *signin.Client
	http      *http.Client // for the MCP endpoint
}

func runCall(ctx context.Context, con *console, options *callOptions) error {
	con.verbose = options.verbose
	account, err := options.account()
	if err != nil {
		return err
	}
	if options.logout {
		return logout(ctx, con, account)
	}
	con.Begin("reading arguments from standard input")
	arguments, err := readArguments(ctx, con.stdin, options.arguments)
	if err != nil {
		return err
	}
	ctx, timeout := withAnswerTimeout(ctx, options.timeout)
	defer timeout.stop()
	c, err := newCall(ctx, con, options, account, timeout)
	if err != nil {
		return err
	}
	if options.listsTools() {
		err = c.list(ctx)
	} else {
		err = c.callTool(ctx, options.tool, arguments)
	}
	if err != nil {
		return c.explain(ctx, err)
	}
	return nil
}

func newCall(
	ctx context.Context, con *console, options *callOptions, account savedsignin.Account, timeout *answerTimeout,
) (*call, error) {
	store, err := openStore(con)
	if err != nil {
		return nil, err
	}
	secret, err := options.clientSecret()
	if err != nil {
		return nil, err
	}
	transport := newTransport(con, account.Resource)
	client := signin.New(ctx, signin.Config{
		Account:      account,
		Scopes:       strings.Fields(options.scope),
		ClientSecret: secret,
		CallbackPort: options.callbackPort,
		NoBrowser:    options.noBrowser,
		Timeout:      options.timeout,
		Version:      version,
		Pause:        timeout.suspend,
		UI:           con,
		Store:        store,
		Transport:    transport,
	})
	return newCallWith(con, options, account.Resource, transport, client), nil
}

func newCallWith(con *console, options *callOptions, resource string, transport *trace.Transport, client *signin.Client) *call {
	return &call{
		options:   options,
		resource:  resource,
		con:       con,
		transport: transport,
		http:      &http.Client{Transport: client.Transport()},
		signIn:    client,
	}
}

// newTransport returns the transport for every request about an MCP endpoint. Plain http
// stays on this machine, for every name of it.
func newTransport(con *console, endpoint string) *trace.Transport {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxResponseHeaderBytes = maxResponseHeader
	return trace.NewTransport(remote.Transport(base), endpoint, con.Step)
}

// openStore returns the store of this user's sign-ins.
func openStore(con *console) (*savedsignin.Store, error) {
	dir, err := con.configDir()
	if err != nil {
		return nil, failure.New(
			"set HOME or XDG_CONFIG_HOME: sign-ins are saved there",
			"finding the configuration directory: %w", err)
	}
	return savedsignin.NewStore(filepath.Join(dir, "gatehouse"), con.Note), nil
}

// connect opens an MCP session, signing in if the server asks for it. If the server is
// unavailable and asks for a retry, connect retries once: a guard may answer so until
// it has fetched new keys.
func (c *call) connect(ctx context.Context) (*mcp.ClientSession, error) {
	session, err := c.dial(ctx)
	if err != nil && c.signIn.Err() == nil && c.waitForRetry(ctx) {
		return c.dial(ctx)
	}
	return session, err
}

// waitForRetry waits as long as the server's last answer asks for, and reports whether
// it asked for a retry within maxRetryAfter (RFC 9110 section 10.2.3).
func (c *call) waitForRetry(ctx context.Context) bool {
	last := c.transport.LastAnswer()
	if last == nil || last.Status != http.StatusServiceUnavailable {
		return false
	}
	seconds, err := strconv.ParseUint(last.RetryAfter, 10, 8)
	wait := time.Duration(seconds) * time.Second
	if err != nil || wait > maxRetryAfter {
		return false
	}
	c.con.Step("waiting %s, as the server asks", wait)
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *call) dial(ctx context.Context) (*mcp.ClientSession, error) {
	c.con.Begin("connecting to " + c.resource)
	client := mcp.NewClient(&mcp.Implementation{Name: "gatehouse", Version: version},
		&mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	return client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint:             c.resource,
		HTTPClient:           c.http,
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
	if c.options.json {
		return c.con.printJSON(map[string][]*mcp.Tool{"tools": tools})
	}
	return c.con.print(describeTools(tools))
}

func (c *call) tools(ctx context.Context, session *mcp.ClientSession) ([]*mcp.Tool, error) {
	c.con.Begin("listing the tools")
	tools := []*mcp.Tool{}
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		if len(tools) == maxTools {
			return nil, fmt.Errorf("%q has more than %d tools", c.resource, maxTools)
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
		tool, err := c.findTool(ctx, session, name)
		if err != nil {
			return err
		}
		schema, _ = tool.InputSchema.(map[string]any)
	}
	c.con.Begin("calling " + name)
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments.toObject(schema)})
	if c.serverError(err) != nil {
		if _, missing := c.findTool(ctx, session, name); missing != nil {
			return missing
		}
	}
	if err != nil {
		return err
	}
	return c.printResult(name, result)
}

// findTool returns a tool by name. The error lists the tools of the server.
func (c *call) findTool(ctx context.Context, session *mcp.ClientSession, name string) (*mcp.Tool, error) {
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
		hint = quote.Clip("its tools are "+strings.Join(names, ", "), maxLine)
	}
	if near := nearestName(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return nil, failure.New(hint, "%q has no tool %q", c.resource, name)
}

// printResult prints the result of a tool. A result that reports an error is a failure.
func (c *call) printResult(name string, result *mcp.CallToolResult) error {
	var err error
	if c.options.json {
		err = c.con.printJSON(result)
	} else {
		err = c.con.print(describeResult(result))
	}
	if err == nil && result.IsError {
		if f := signin.ExplainChallengeInResult(name, result.Meta, c.signIn.Scopes()); f != nil {
			return f
		}
		return failure.New("its message is above, on standard output", "tool %q reports an error", name)
	}
	return err
}

// explain turns the error of a call into a [failure.Error] that names the cause and the
// next step. It returns err itself if it knows nothing better.
func (c *call) explain(ctx context.Context, err error) error {
	signInErr := c.signIn.Err()
	if signInErr != nil {
		err = signInErr
	}
	var f *failure.Error
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(context.Cause(ctx), errNoAnswer) {
		return failure.New(
			"the server may be busy or stuck; --timeout waits longer",
			"%q: %w within %s", c.resource, errNoAnswer, c.options.timeout)
	}
	if f := signin.ExplainNetwork(err); f != nil {
		return f
	}
	if rejected := c.serverError(err); rejected != nil {
		if f := signin.ExplainStreamFailure(c.resource, rejected.Message, rejected.Data); f != nil {
			return f
		}
		return failure.New(fmt.Sprintf(`"gatehouse call %s list" prints the tools and their arguments`, c.resource),
			"%q rejects the request: %s (%d)", c.resource, rejected.Message, rejected.Code)
	}
	if last := c.transport.LastAnswer(); signInErr == nil && last != nil && !last.IsMCP() {
		return signin.ExplainAnswer(last, c.resource, c.signIn.Scopes())
	}
	return err
}

// Codes of JSON-RPC errors that the go-sdk itself makes. No server sent them.
const (
	codeClientClosing = -32003
	codeServerClosing = -32004
	codeRejected      = -32005
)

// serverError returns the JSON-RPC error with which the server answered, or nil if err
// is another error. The error of an answer that rejects the caller is not one:
// [signin.ExplainAnswer] explains that answer.
func (c *call) serverError(err error) *jsonrpc.Error {
	var rejected *jsonrpc.Error
	last := c.transport.LastAnswer()
	if !errors.As(err, &rejected) || last != nil && (last.Reason != "" || last.Status == http.StatusForbidden) {
		return nil
	}
	switch rejected.Code {
	case codeClientClosing, codeServerClosing, codeRejected:
		return nil
	}
	return rejected
}
