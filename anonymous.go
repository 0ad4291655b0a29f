package gatehouse

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	// anonymousPrincipal is the principal of all callers without a token. Others have a
	// separator in theirs.
	anonymousPrincipal = ""
	// anonymousLifetime is how long a stream of a caller without a token may be open.
	anonymousLifetime = time.Hour
)

// mayBeAnonymous reports whether r, which has no credentials, may be let in for something that
// is [Require.Public]. A GET or DELETE belongs to a session of the older revisions; without
// one, it is answered with a challenge, as clients expect that look for it.
func mayBeAnonymous(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost:
		return true
	case http.MethodGet, http.MethodDelete:
		return r.Header.Get(sessionHeader) != ""
	}
	return false
}

// newAnonymous returns a caller without a token.
func (g *Guard) newAnonymous(now time.Time) *caller {
	c := &caller{guard: g, anonymous: true}
	c.from = g.issuers[0]
	c.identity.Expiry = now.Add(anonymousLifetime)
	return c
}

// askedToSignIn returns the rejection as a caller without a token gets it: a body that is not
// a message of MCP is not an operation that is Public, so it is answered like all requests
// without a token.
func (c *caller) askedToSignIn(rejection *Rejection) *Rejection {
	if c.anonymous && rejection.Reason == reason.BodyMalformed {
		rejection.Reason = reason.NoCredentials
	}
	return rejection
}

// authorizeCaller is authorize for c, which may be nil.
func (reqs *requirements) authorizeCaller(ctx context.Context, g *Guard, c *caller, ops []operation) *Rejection {
	if c == nil || !c.anonymous {
		return reqs.authorize(ctx, g.verifiedOf(c), ops...)
	}
	if err := reqs.checkSpelling(ops); err != nil {
		return &Rejection{Reason: reason.ResourceSpelling, Err: err}
	}
	for _, op := range ops {
		if op.isCovered() && !allPublic(reqs.of(op)) {
			return &Rejection{Reason: reason.NoCredentials}
		}
	}
	return nil
}

// userLimit returns how many sessions or streams a principal may have open. All callers
// without a token share half of them, so that the others are left to users.
func userLimit(principal string, total, perUser int) int {
	if principal == anonymousPrincipal {
		return max(1, total/2)
	}
	return perUser
}
