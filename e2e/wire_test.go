//go:build e2e

package e2e

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// exchange is one request and its answer, as a server logged it: what went over
// the wire, whoever the client was.
type exchange struct {
	clerk        bool // asked of the local Clerk, not of the MCP server
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

// readLog returns the exchanges of a log in their order.
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
	keysFetched  = "clerk: GET /.well-known/jwks.json 200"
	tokenIssued  = "clerk: POST /oauth/token 200"
	userAsked    = "clerk: GET /oauth/userinfo 200"
	clientIsNew  = "clerk: POST /oauth/register 201"
	signInAsked  = "clerk: GET /oauth/authorize 302"
	tokenRevoked = "clerk: POST /oauth/token/revoke 200"
)

// split divides what a client did into the way to its first token and what came
// after. The gate's own fetch of the keys is left out.
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

func count(all []exchange, what string) int {
	n := 0
	for _, e := range all {
		if e.String() == what {
			n++
		}
	}
	return n
}

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
