//go:build e2e

package e2e

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// exchange is a request and the status of its response, as a server logged it.
type exchange struct {
	clerk        bool // sent to the local Clerk, not to the MCP server
	method, path string
	status       string
}

// String is like "POST /mcp 401", or "clerk: POST /oauth/token 200".
func (e exchange) String() string {
	s := e.method + " " + e.path + " " + e.status
	if e.clerk {
		return "clerk: " + s
	}
	return s
}

var logged = regexp.MustCompile(`\bmethod=(\S+) path=(\S+) status=(\d+)`)

// readLog returns the exchanges in a log, in their order.
func readLog(log string) []exchange {
	var all []exchange
	for line := range strings.Lines(log) {
		if m := logged.FindStringSubmatch(line); m != nil {
			all = append(all, exchange{clerk: strings.Contains(line, "from=clerk"), method: m[1], path: m[2], status: m[3]})
		}
	}
	return all
}

const (
	keysFetched      = "clerk: GET /.well-known/jwks.json 200"
	tokenIssued      = "clerk: POST /oauth/token 200"
	userInfoFetched  = "clerk: GET /oauth/userinfo 200"
	clientRegistered = "clerk: POST /oauth/register 201"
	signInRequested  = "clerk: GET /oauth/authorize 302"
	tokenRevoked     = "clerk: POST /oauth/token/revoke 200"
)

// split divides the requests of a client into those up to its first token and those after
// it. It omits the guard's own fetch of the keys.
func split(all []exchange) (before, after []string) {
	for _, e := range all {
		s := e.String()
		switch {
		case s == keysFetched:
		case slices.Contains(before, tokenIssued):
			after = append(after, s)
		default:
			before = append(before, s)
		}
	}
	return before, after
}

// count returns how often the exchange with the given text occurs.
func count(all []exchange, want string) int {
	n := 0
	for _, e := range all {
		if e.String() == want {
			n++
		}
	}
	return n
}

// inUse reports whether err says that a port is in use.
func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
