package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/maypok86/otter/v2"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/singleflight"
)

const (
	maxUserinfo     = 256 << 10
	userinfoTimeout = 5 * time.Second

	profileEntries = 10_000
	profileBytes   = 16 << 20
	profileAge     = 5 * time.Minute
)

// Errors of [Profile], for errors.Is.
var (
	// ErrNotSignedIn means that the request did not come through a guard.
	ErrNotSignedIn = errors.New("clerk: request has no verified caller")
	// ErrUnavailable means that Clerk did not answer; try again later.
	ErrUnavailable = errors.New("clerk: userinfo is not available")
	// ErrTokenRevoked means that Clerk no longer takes the caller's token.
	ErrTokenRevoked = errors.New("clerk: token is no longer accepted by Clerk")
)

var (
	// profiles has the profiles by the fingerprint of the token. An entry weighs at least
	// its share, so that the bound on bytes is the bound on entries too.
	profiles = otter.Must(&otter.Options[string, cachedProfile]{
		MaximumWeight: profileBytes,
		Weigher: func(_ string, p cachedProfile) uint32 {
			return uint32(max(profileSize(p.user), profileBytes/profileEntries+1))
		},
	})
	flights singleflight.Group
)

type cachedProfile struct {
	user    User
	expires time.Time
}

// Profile returns the user as [UserOf] does, completed by Clerk's userinfo
// endpoint, which is asked with the caller's own token: name, email, picture, and
// slug and name of the organization, as far as the token's scopes allow. The
// answer is kept for five minutes for each token, and however many calls wait for
// it, one request is made.
//
// The error is [ErrNotSignedIn], [ErrUnavailable] or [ErrTokenRevoked] behind
// errors.Is; the user is then what the token alone says.
func Profile(ctx context.Context, req mcp.Request) (User, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return User{}, ErrNotSignedIn
	}
	client, _ := gatehouse.IssuerClient(req)
	if p, ok := profiles.GetIfPresent(id.Fingerprint); ok && time.Now().Before(p.expires) {
		return p.user, nil
	}
	// The flight outlives the caller who started it: others may wait for it.
	flight := flights.DoChan(id.Fingerprint, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), userinfoTimeout)
		defer cancel()
		user := userOf(id)
		if err := userinfo(ctx, client, id, &user); err != nil {
			return user, err
		}
		profiles.Set(id.Fingerprint, cachedProfile{user, earlier(id.Expiry, time.Now().Add(profileAge))})
		return user, nil
	})
	select {
	case result := <-flight:
		user, _ := result.Val.(User)
		return user, result.Err
	case <-ctx.Done():
		return userOf(id), fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func userinfo(ctx context.Context, client *http.Client, id gatehouse.Identity, user *User) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id.Issuer+"/oauth/userinfo", nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w (status %d)", ErrTokenRevoked, resp.StatusCode)
	default:
		return fmt.Errorf("%w: status %d", ErrUnavailable, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxUserinfo+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var info struct {
		Subject string `json:"sub"`
		profileClaims
	}
	if len(body) > maxUserinfo {
		return fmt.Errorf("%w: answer is longer than %d bytes", ErrUnavailable, maxUserinfo)
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	// OpenID Connect Core §5.3.2: userinfo of another subject must not be used.
	if info.Subject != id.Subject {
		return fmt.Errorf("%w: userinfo is about %q, want %q", ErrUnavailable, info.Subject, id.Subject)
	}
	info.fill(user)
	return nil
}

func profileSize(u User) int {
	return 512 + len(u.Email) + len(u.Name) + len(u.Username) + len(u.Picture) + len(u.Org.Name)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
