package gatehouse

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const sessionHeader = "Mcp-Session-Id"

// Limits of sessions if [Config] sets none.
const (
	DefaultMaxSessions        = 10_000
	DefaultMaxSessionsPerUser = 200
	DefaultSessionTimeout     = time.Hour
)

const (
	// minSessionKey is the length of a [SessionKey] in bytes: that of the hash (RFC 2104 §3).
	minSessionKey = sha256.Size
	// maxAcceptedSessionKeys bounds the hashes for a request with an invalid session ID.
	maxAcceptedSessionKeys = 4
	// sealSize is the length of a seal in bytes. A forgery succeeds with a probability of
	// 1 in 2^128 for each request.
	sealSize = 16
	// sealSeparator is between the handler's session ID and the seal.
	sealSeparator = "."
	// sealPurpose keeps the seals apart from other uses of the same key.
	sealPurpose = "gatehouse session 1\x00"
)

var (
	errSessionSeal = errors.New("the session ID was not issued to this principal, or with another key")
	errSessionIDs  = errors.New("the request has several session IDs")
)

// SessionKey is the secret key of session IDs; see [Config.SessionKey]. It prints as a
// placeholder.
type SessionKey []byte

const sessionKeyPlaceholder = "[session key]"

// Format prints a placeholder for every verb.
func (SessionKey) Format(f fmt.State, _ rune) { io.WriteString(f, sessionKeyPlaceholder) }

// MarshalText returns the same placeholder as Format.
func (SessionKey) MarshalText() ([]byte, error) { return []byte(sessionKeyPlaceholder), nil }

// LogValue returns the same placeholder as Format.
func (SessionKey) LogValue() slog.Value { return slog.StringValue(sessionKeyPlaceholder) }

// validateSessions checks the settings of sessions and sets their defaults.
func (s *settings) validateSessions(f *faults) {
	s.validateSessionKeys(f)
	s.validateCount("MaxSessions", s.MaxSessions, f)
	s.validateCount("MaxSessionsPerUser", s.MaxSessionsPerUser, f)
	if s.MaxSessions > 0 && s.MaxSessionsPerUser > s.MaxSessions {
		f.add("MaxSessionsPerUser", strconv.Itoa(s.MaxSessionsPerUser),
			fmt.Sprintf("is more than MaxSessions, which is %d", s.MaxSessions), "use a smaller number, or a larger MaxSessions")
	}
	s.MaxSessions = cmp.Or(s.MaxSessions, max(DefaultMaxSessions, s.MaxSessionsPerUser))
	s.MaxSessionsPerUser = cmp.Or(s.MaxSessionsPerUser, min(DefaultMaxSessionsPerUser, s.MaxSessions))
	if s.SessionTimeout < 0 {
		f.add("SessionTimeout", s.SessionTimeout.String(), "is negative", "use 0 for the default of 1h, or a positive duration")
	}
	s.SessionTimeout = cmp.Or(s.SessionTimeout, DefaultSessionTimeout)
}

// validateSessionKeys checks the keys without printing them.
func (s *settings) validateSessionKeys(f *faults) {
	const field, generate = "AcceptedSessionKeys", `set it to random bytes, like those of "openssl rand -base64 32", or `
	short := func(n int) string { return fmt.Sprintf("has %d bytes, want at least %d", n, minSessionKey) }
	if n := len(s.SessionKey); n > 0 && n < minSessionKey {
		f.add("SessionKey", "", short(n), generate+"leave it empty")
	}
	if n := len(s.AcceptedSessionKeys); n > maxAcceptedSessionKeys {
		f.add(field, "", fmt.Sprintf("has %d keys, want at most %d", n, maxAcceptedSessionKeys),
			"remove those whose sessions have ended")
		return
	}
	if len(s.AcceptedSessionKeys) > 0 && len(s.SessionKey) == 0 {
		f.add(field, "", "is set without SessionKey, so that new sessions get a random key of each process",
			"set SessionKey to the key of new sessions, the same in all replicas")
	}
	for i, key := range s.AcceptedSessionKeys {
		name := fmt.Sprintf("%s[%d]", field, i)
		same := slices.IndexFunc(s.AcceptedSessionKeys[:i], func(k SessionKey) bool { return hmac.Equal(k, key) })
		switch {
		case len(key) < minSessionKey:
			f.add(name, "", short(len(key)), generate+"remove it")
		case hmac.Equal(key, s.SessionKey):
			f.add(name, "", "is the same as SessionKey", "remove it, or set it to the other key of the rotation")
		case same >= 0:
			f.add(name, "", fmt.Sprintf("is the same as %s[%d]", field, same), "remove one of them")
		}
	}
}

func (s *settings) validateCount(field string, n int, f *faults) {
	if n < 0 {
		f.add(field, strconv.Itoa(n), "is negative", "use 0 for the default, or a positive number")
	}
}

// seal is the keyed hash over a session ID and the principal that opened the session.
type seal [sealSize]byte

// sessions binds each session of the older revisions to the principal that opened it (MCP
// 2025-11-25, security best practices, session hijacking). The session ID that a client
// gets is that of the handler, ".", and the seal in base64url. So the binding needs no
// table, and it works in every process that has the same key.
type sessions struct {
	// Functions, so that printing a guard prints no key.
	sealOf   func(id, principal string) seal
	accepted []func(id, principal string) seal // of [Config.AcceptedSessionKeys]
	table    *sessionTable
}

func newSessions(s *settings) *sessions {
	key := slices.Clone(s.SessionKey)
	if len(key) == 0 {
		key = make(SessionKey, minSessionKey)
		rand.Read(key) // never returns an error
	}
	out := &sessions{
		sealOf: sealer(key),
		table:  newSessionTable(s.MaxSessions, s.MaxSessionsPerUser, s.SessionTimeout, s.observers.sessionEnded()),
	}
	for _, key := range s.AcceptedSessionKeys {
		out.accepted = append(out.accepted, sealer(slices.Clone(key)))
	}
	s.SessionKey, s.AcceptedSessionKeys = nil, nil
	return out
}

// sealer returns sealWith for a key.
func sealer(key SessionKey) func(id, principal string) seal {
	return func(id, principal string) seal { return sealWith(key, id, principal) }
}

// sealWith returns the seal of a handler's session ID for a principal.
func sealWith(key SessionKey, id, principal string) (out seal) {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, sealPurpose)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(id)))
	h.Write(length[:])
	io.WriteString(h, id)
	io.WriteString(h, principal)
	copy(out[:], h.Sum(nil))
	return out
}

// sealed returns the session ID that the client gets for the handler's.
func sealed(id string, by seal) string {
	return id + sealSeparator + base64.RawURLEncoding.EncodeToString(by[:])
}

// open returns the handler's session ID and the seal of what the client sent. ok is false
// if it was not sealed for the principal. How long it takes shows with which key the ID was made,
// which is not a secret, and nothing about a seal.
func (s *sessions) open(text, principal string) (id string, by seal, ok bool) {
	i := strings.LastIndex(text, sealSeparator)
	if i < 0 {
		return "", seal{}, false
	}
	id = text[:i]
	by = s.sealOf(id, principal)
	ok = hmac.Equal([]byte(text), []byte(sealed(id, by)))
	for _, sealOf := range s.accepted {
		if ok {
			break
		}
		by = sealOf(id, principal)
		ok = hmac.Equal([]byte(text), []byte(sealed(id, by)))
	}
	return id, by, ok
}

// sessionUse is what one request does with sessions.
type sessionUse struct {
	sessions  *sessions
	principal string
	id        string // the handler's ID of the session; empty if the request is in none
	seal      seal
	reserved  bool // whether the request holds a place for a session that it may open
	opened    bool // whether its answer had the ID of another session, whose seal is openedAs
	openedAs  seal
	takenOver bool // whether a user signed in in a session that was opened without a token
}

// admit is check 9. It applies to every method. A rejection is that of an unknown session:
// clients then start a new one (MCP 2025-11-25, basic/transports, session management 3 and 4).
func (s *sessions) admit(r *http.Request, c *caller, kind messageKind) (*sessionUse, *Rejection) {
	use := &sessionUse{sessions: s, principal: c.principal}
	ids := r.Header[sessionHeader]
	switch {
	case len(ids) == 0 || len(ids) == 1 && ids[0] == "":
		if !kind.opensSession {
			return use, nil
		}
		if err := s.table.reserve(c.principal, time.Now()); err != nil {
			return nil, &Rejection{Reason: reason.TooManySessions, Err: err, Identity: c.identity}
		}
		use.reserved = true
		return use, nil
	case len(ids) > 1:
		return nil, &Rejection{Reason: reason.SessionOfAnotherUser, Err: errSessionIDs, Identity: c.identity}
	}
	switch err := use.join(ids[0]); {
	case errors.Is(err, errUserSessions):
		return nil, &Rejection{Reason: reason.TooManySessions, Err: err, Identity: c.identity}
	case err != nil:
		return nil, &Rejection{Reason: reason.SessionOfAnotherUser, Err: err, Identity: c.identity}
	}
	s.table.begin(use.seal, time.Now())
	return use, nil
}

// join sets the session to the one that the client names. It returns an error if the principal may
// not use it. A session that was opened without a token belongs to the first principal that uses
// it, so that a client need not start again when it signs in; see [Require.Public].
func (u *sessionUse) join(text string) error {
	ok := false
	if u.id, u.seal, ok = u.sessions.open(text, u.principal); ok && u.principal != anonymousPrincipal {
		return nil
	}
	if !ok {
		u.id, u.seal, ok = u.sessions.open(text, anonymousPrincipal)
	}
	if !ok {
		return errSessionSeal
	}
	takenOver, err := u.sessions.table.claim(u.seal, u.principal, time.Now())
	u.takenOver = takenOver
	return err
}

// isLost reports whether the request has no token, and its session belongs to a user by now.
func (u *sessionUse) isLost() bool {
	return u.id != "" && u.principal == anonymousPrincipal && !u.sessions.table.isAnonymous(u.seal)
}

// setHeader makes h, a header of the request, name the session as the handler knows it.
func (u *sessionUse) setHeader(h http.Header) {
	if u.id == "" {
		delete(h, sessionHeader)
	} else {
		h[sessionHeader] = []string{u.id}
	}
}

// inspect seals the session ID in the header of an answer, and counts a session that the
// answer opens.
func (u *sessionUse) inspect(h http.Header) {
	id := h.Get(sessionHeader)
	if id == "" {
		return
	}
	by := u.seal
	if id != u.id {
		by = u.sessions.sealOf(id, u.principal)
	}
	h[sessionHeader] = []string{sealed(id, by)}
	if by != u.seal {
		u.sessions.table.opened(by, u.principal, u.reserved, time.Now())
		u.reserved, u.opened, u.openedAs = false, true, by
	}
}

// notOpened must be called if the answer says that no session was opened, although it has the
// ID of one: go-sdk answers an initialize request that failed like that.
func (u *sessionUse) notOpened() {
	if u.opened {
		u.opened = false
		u.sessions.table.discard(u.openedAs)
	}
}

// finish must be called when the request has been answered with status. A session ends with
// a DELETE that succeeds, or if the handler does not know it.
func (u *sessionUse) finish(method string, status int) {
	t := u.sessions.table
	if u.reserved {
		t.release(u.principal)
	}
	if u.id == "" {
		return
	}
	deleted := method == http.MethodDelete && status >= 200 && status < 300
	t.end(u.seal, u.principal, deleted || status == http.StatusNotFound, status < http.StatusBadRequest, time.Now())
}
