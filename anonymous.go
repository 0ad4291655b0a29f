package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// anonymousPrincipal is the principal of all callers without a token. Others have a
	// separator in theirs.
	anonymousPrincipal = ""
	// anonymousLifetime is how long a stream of a caller without a token may be open.
	anonymousLifetime = time.Hour
	// maxAnonymousBody is the limit in bytes of the body of a request without a token. Anyone can
	// send such requests, and the guard holds the whole body. net/http holds headers of up to
	// 1 MiB before it.
	maxAnonymousBody = 256 << 10
	// maxAnonymousOperations bounds the messages of a batch without a token, and the operations in
	// it. Each one is compared with all requirements.
	maxAnonymousOperations = 32
)

var (
	errAnonymousBody       = fmt.Errorf("the body has more than %d bytes, which needs a token", maxAnonymousBody)
	errAnonymousOperations = fmt.Errorf("the body has more than %d messages or operations, which needs a token", maxAnonymousOperations)
	errAnonymousSessions   = errors.New("callers without a token have as many open sessions or streams as they may, half of MaxSessions")
	errAnonymousSession    = errors.New("the session was opened without a token, and is not known here, or belongs to a user who has " +
		"signed in since")
	errAnonymousSpelling = errors.New("another spelling of the URI is not public")
	errAnonymousTask     = errors.New("the call asks for a task, whose result needs a token")
	errNotMessage        = errors.New("a message is neither a request nor a response")
)

// errEndedBySignIn ends the streams of callers without a token in a session that a user has taken
// over. They would get what the server sends to that user.
var errEndedBySignIn = &endError{reason.SessionOfAnotherUser, errAnonymousSession.Error()}

// clientNotifications are the notifications that clients of MCP send. Others may be an extension
// that does something, so they need a token.
var clientNotifications = []string{
	"notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed",
}

// mayBeAnonymous reports whether r, which has no credentials, may be let in for something that
// is [Require.Public]. A GET or DELETE belongs to a session of the older revisions; without
// one, it is answered with a challenge, as clients expect that look for it.
func mayBeAnonymous(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost:
		return r.ContentLength <= maxAnonymousBody
	case http.MethodGet, http.MethodDelete:
		return r.Header.Get(sessionHeader) != "" && r.ContentLength <= maxAnonymousBody
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

// askedToSignIn returns the rejection as a caller without a token gets it. A body that is not
// a message of MCP is not an operation that is Public, so it is answered like all requests
// without a token. So is one session, stream or request too many: otherwise, those who open or send
// all of them would keep others from the challenge, and so from signing in.
func (c *caller) askedToSignIn(rejection *Rejection) *Rejection {
	if !c.anonymous {
		return rejection
	}
	rejection.anonymous = true
	switch rejection.Reason {
	case reason.BodyMalformed, reason.BodyTooLarge, reason.TooManySessions, reason.RateLimited:
		rejection.Reason = reason.NoCredentials
	}
	return rejection
}

// checkAnonymousBody returns an error if the body of a request without a token is not one or a
// few messages.
func checkAnonymousBody(body []byte) error {
	messages, err := messagesOf(body)
	switch {
	case err != nil:
		return err
	case len(messages) == 0:
		return errNotMessage
	case len(messages) > maxAnonymousOperations:
		return errAnonymousOperations
	}
	for _, message := range messages {
		if err := checkAnonymousMessage(message); err != nil {
			return err
		}
	}
	return nil
}

// checkAnonymousMessage returns an error if the message is neither a request nor a response, or if
// it asks for a task. A server holds the results of tasks for as long as the client asks for, and
// a caller without a token can fetch none.
func checkAnonymousMessage(message jsontext.Value) error {
	m, err := membersOf(message)
	if err != nil {
		return err
	}
	if m["method"] == nil {
		if m["id"] == nil || m["result"] == nil && m["error"] == nil {
			return errNotMessage
		}
		return nil
	}
	if m.absent("params") {
		return nil
	}
	params, err := m.object("params")
	for name, value := range params {
		if strings.EqualFold(name, "task") && value.Kind() != 'n' {
			return errAnonymousTask
		}
	}
	return err
}

// authorizeCaller is authorize for c, which may be nil.
func (reqs *requirements) authorizeCaller(ctx context.Context, g *Guard, c *caller, ops []operation) *Rejection {
	if c == nil || !c.anonymous {
		return reqs.authorize(ctx, g.verifiedOf(c), ops...)
	}
	if len(ops) > maxAnonymousOperations {
		return &Rejection{Reason: reason.NoCredentials, Err: errAnonymousOperations}
	}
	if err := reqs.checkSpelling(ops); err != nil {
		return &Rejection{Reason: reason.ResourceSpelling, Err: err}
	}
	for _, op := range ops {
		if !reqs.isOpenToAll(op) {
			return &Rejection{Reason: reason.NoCredentials}
		}
		if op.method == methodReadResource && !reqs.isPublicInAllSpellings(op.name) {
			return &Rejection{Reason: reason.NoCredentials, Err: errAnonymousSpelling}
		}
	}
	return nil
}

// isOpenToAll reports whether op needs no token.
func (reqs *requirements) isOpenToAll(op operation) bool {
	return slices.Contains(openMethods, op.method) || slices.Contains(clientNotifications, op.method) || allPublic(reqs.of(op))
}

// isPublicInAllSpellings reports whether each URI as which a program may read uri is one that a
// Public requirement names. A URI that a Public template matches, such as
// "notes://public/../secret", may lead to a resource that has no requirement, and so needs a token;
// checkSpelling compares with requirements only.
func (reqs *requirements) isPublicInAllSpellings(uri string) bool {
	if reqs.isTemplate(uri) || isPlainURI(uri) {
		return true
	}
	forms, ok := uriForms(uri, false)
	return ok && !slices.ContainsFunc(forms, func(form string) bool {
		// A form has no slash at its end, and none or two before its path, whatever uri has.
		same := []string{form, form + "/", strings.Replace(form, "://", ":///", 1), strings.Replace(form, "://", ":", 1)}
		return !slices.ContainsFunc(reqs.resources, func(r resourceRequirement) bool { return r.Public && r.reachedBy(same) })
	})
}

// userLimit returns how many sessions or streams a principal may have open. All callers
// without a token share half of them, so that the others are left to users.
func userLimit(principal string, total, perUser int) int {
	if principal == anonymousPrincipal {
		return total / 2
	}
	return perUser
}

// userLimitError is the error about the limit of a principal.
func userLimitError(principal string) error {
	if principal == anonymousPrincipal {
		return errAnonymousSessions
	}
	return errUserSessions
}
