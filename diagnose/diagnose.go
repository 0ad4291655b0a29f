// Package diagnose finds out why people cannot sign in to an MCP server: it sends the
// requests that MCP clients send before a sign-in, and says for each step what was asked,
// what came back, what a client makes of that and what to change.
//
//	report, err := diagnose.Run(ctx, diagnose.Config{}, "https://mcp.example.com/mcp")
//
// [Run] needs no secret, changes nothing at the server or the issuer and registers no
// client. What it sends and reads is bounded. The command "gatehouse doctor" prints its
// report.
package diagnose

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// Level is the result of one check.
type Level string

// The levels.
const (
	OK        Level = "ok"        // the check passed
	Warning   Level = "warning"   // some clients, or some users, will have a problem
	Fault     Level = "fault"     // sign-in fails, or the server is not protected
	Unchecked Level = "unchecked" // the check could not be made; Evidence says why
)

// Finding is the result of one check. Its texts are for people. They contain no secret:
// no token, no key and no password.
type Finding struct {
	// ID names the check, like "tls", or the problem that it found, like "tls.expired".
	// IDs are stable.
	ID    string `json:"id"`
	Level Level  `json:"level"`

	Title string `json:"title"` // one short sentence without a full stop

	// Evidence says what was asked and what came back. For an unchecked finding, it is
	// the reason.
	Evidence string `json:"evidence"`

	// Consequence says what clients and users see. It is empty unless Level is Warning
	// or Fault.
	Consequence string `json:"consequence"`

	// Fix names the setting, the page of a dashboard or the line to write. It is empty
	// unless Level is Warning or Fault, except that an unchecked finding may say how to
	// have it checked.
	Fix string `json:"fix"`
}

// The verdicts of [Client].
const (
	WillSignIn    = "will sign in"
	WillNotSignIn = "will not sign in"
	Unknown       = "unknown"
)

// Client says whether a widely used MCP client can sign in to the server.
type Client struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // WillSignIn, WillNotSignIn or Unknown
	Why     string `json:"why"`     // the step at which it stops, or why that is unknown
}

// Version is the version of the schema of [Report].
const Version = 1

// Report is the result of [Run]. Its JSON has exactly the members of these types, and all
// of them are always present.
type Report struct {
	Version  int       `json:"version"`
	Target   string    `json:"target"`
	Findings []Finding `json:"findings"` // in the order of the steps of a sign-in; not nil
	Clients  []Client  `json:"clients"`  // not nil; empty if the target is not an MCP endpoint
}

// Count returns the number of findings of a level.
func (r *Report) Count(level Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// First returns the finding to look at first: the first fault, or else the first warning.
// Later faults are often its consequences. It returns nil if there is neither.
func (r *Report) First() *Finding {
	for _, level := range []Level{Fault, Warning} {
		for i := range r.Findings {
			if r.Findings[i].Level == level {
				return &r.Findings[i]
			}
		}
	}
	return nil
}

// The defaults of [Config].
const (
	DefaultRequestTimeout = 10 * time.Second
	DefaultTimeout        = 60 * time.Second
)

// Config describes a run. The zero value checks with the network and the clock of this
// machine, and without secrets.
type Config struct {
	// HTTPClient sends the requests. Its cookies and its redirect policy are not used:
	// Run follows no redirect without a check. Nil means a client that does not connect
	// to addresses of this machine because a document of another machine says so; any
	// other client must restrict the addresses itself.
	HTTPClient *http.Client

	// RequestTimeout bounds one request and its answer. Zero means
	// DefaultRequestTimeout.
	RequestTimeout time.Duration

	// Timeout bounds the whole run. Zero means DefaultTimeout. What is not checked
	// within this time is reported as unchecked.
	Timeout time.Duration

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Progress, if set, is called with what Run does next, like "connecting to
	// mcp.example.com". Calls do not overlap.
	Progress func(string)

	// Origin is the web origin of a page that signs in from the browser, like
	// "https://app.example.com". If it is set, everything that the page needs by CORS is
	// checked, at the issuer too. If it is empty, only contradictory answers are
	// reported: most clients are not web pages.
	Origin string

	// Token is an access token for the endpoint. Run sends it there, and nowhere else, to
	// check what only a signed-in caller sees: the revisions of MCP, streams, sessions of
	// several replicas. Empty means that these are unchecked.
	Token gatehouse.Secret

	// Stream is how long an event stream is held open with Token, to see whether a proxy
	// cuts it. Zero means that this is unchecked. It should be above a minute, and
	// Timeout longer than that.
	Stream time.Duration

	// ClerkSecretKey is the secret key of a Clerk instance. If it is set, the settings of
	// the instance are read with it from the Backend API. It is sent nowhere else.
	ClerkSecretKey gatehouse.Secret

	// ClerkAPIURL is the origin of Clerk's Backend API. Empty means
	// https://api.clerk.com.
	ClerkAPIURL string
}

// Run checks a target, which is one of
//
//   - the URL of an MCP endpoint,
//   - the Frontend API URL or the publishable key of a Clerk instance,
//   - the issuer of any provider,
//   - "": what the environment and the .env file in the working directory name, as a
//     server reads them.
//
// The error is about the target alone: it is not one of these, such as a secret key.
// Everything else, including a host that does not exist, is in the report. Run returns
// within Config.Timeout. It may be called concurrently.
func Run(ctx context.Context, cfg Config, target string) (*Report, error) {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	d := newDoctor(cfg)
	if err := d.examine(ctx, target); err != nil {
		return nil, err
	}
	return d.report(), nil
}

func (cfg Config) withDefaults() Config {
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}
