package clerk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/maypok86/otter/v2"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/singleflight"
)

const (
	maxUserinfo     = 256 << 10 // bytes of one answer of userinfo
	userinfoTimeout = 5 * time.Second

	// Bounds of the cache of profiles.
	profileEntries = 10_000
	profileBytes   = 16 << 20
	profileAge     = 5 * time.Minute
)

var (
	// profiles has the profiles by the fingerprint of the token. An entry weighs at least
	// its share, so that the bound on bytes is the bound on entries too. The values of all caches
	// here are pointers, so that they share one instance of otter's code, which is 0.2 MB.
	profiles = otter.Must(&otter.Options[string, *cachedProfile]{
		MaximumWeight: profileBytes,
		Weigher: func(_ string, p *cachedProfile) uint32 {
			return uint32(max(profileSize(p.user), profileBytes/profileEntries+1))
		},
	})
	flights singleflight.Group
)

type cachedProfile struct {
	user    User
	expires time.Time
}

// Profile returns the caller like [UserOf], completed with what Clerk's userinfo
// endpoint returns for the caller's own token: name, username, email, picture, and the
// name and slug of the organization, as far as the scopes of the token allow.
//
// The profile is cached for five minutes for each token. Concurrent calls with one
// token share one request. It is safe for concurrent use.
//
// The error is [ErrNotSignedIn], [ErrUnavailable] or [ErrTokenRevoked] for errors.Is. With
// the latter two, the user is the one that UserOf returns. The text of the error says
// whether to try again or to sign in again, and nothing else, so that a tool can return it.
// The details are in the log if the error is logged with [log/slog].
//
// Clerk can reject a token that the guard accepts: one whose user has signed out, and one
// that expired less than the guard's leeway ago. See [TokenRejected] for an answer that makes
// clients refresh their token.
func Profile(ctx context.Context, req mcp.Request) (User, error) {
	id, ok := identityOf(req)
	if !ok {
		return User{}, ErrNotSignedIn
	}
	client, _ := gatehouse.IssuerClient(req)
	if user, ok := knownProfile(id.Fingerprint); ok {
		return user, nil
	}
	// The request goes on if this caller leaves, because others may wait for it.
	flight := flights.DoChan(id.Fingerprint, func() (any, error) {
		if user, ok := knownProfile(id.Fingerprint); ok { // from a request that ended a moment ago
			return user, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), userinfoTimeout)
		defer cancel()
		user := userOf(id)
		if err := userinfo(ctx, client, id, &user); err != nil {
			if errors.Is(err, errRejected) {
				rejectToken(id)
			}
			return user, err
		}
		profiles.Set(strings.Clone(id.Fingerprint), &cachedProfile{user.clone(), earlier(id.Expiry, time.Now().Add(profileAge))})
		return user, nil
	})
	select {
	case result := <-flight:
		user, _ := result.Val.(User)
		return user, result.Err
	case <-ctx.Done():
		return userOf(id), &profileError{ErrUnavailable, ctx.Err()}
	}
}

// knownProfile returns the profile in the cache.
func knownProfile(fingerprint string) (user User, ok bool) {
	p, ok := profiles.GetIfPresent(fingerprint)
	if !ok || !time.Now().Before(p.expires) {
		return User{}, false
	}
	return p.user, true
}

// errRejected means that userinfo answered with 401: the token itself is not accepted.
var errRejected = errors.New("userinfo answered with status 401")

// userinfo asks Clerk about the caller and sets the empty fields of user.
func userinfo(ctx context.Context, client *http.Client, id gatehouse.Identity, user *User) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id.Issuer+"/oauth/userinfo", nil)
	if err != nil {
		return &profileError{ErrUnavailable, err}
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return &profileError{ErrUnavailable, err}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return &profileError{ErrTokenRevoked, errRejected}
	case http.StatusForbidden:
		return &profileError{ErrTokenRevoked, errors.New("userinfo answered with status 403")}
	default:
		return &profileError{ErrUnavailable, fmt.Errorf("userinfo answered with status %d", resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxUserinfo+1))
	if err != nil {
		return &profileError{ErrUnavailable, err}
	}
	var info struct {
		Subject string `json:"sub"`
		profileClaims
	}
	if len(body) > maxUserinfo {
		return &profileError{ErrUnavailable, fmt.Errorf("answer of userinfo is longer than %d bytes", maxUserinfo)}
	}
	if err := strictjson.Unmarshal(body, &info); err != nil {
		return &profileError{ErrUnavailable, err}
	}
	// Userinfo about another subject must not be used (OpenID Connect Core §5.3.2).
	if info.Subject != id.Subject {
		return &profileError{ErrUnavailable, fmt.Errorf("userinfo is about %s, want %q", quote.String(info.Subject), id.Subject)}
	}
	info.fill(user)
	return nil
}

// profileSize estimates the memory, in bytes, that u takes in the cache.
func profileSize(u User) int {
	const fixed = 512 // the struct, its ID and the entry of the cache
	return fixed + len(u.Email) + len(u.Name) + len(u.Username) + len(u.Picture) + len(u.Org.Name)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
