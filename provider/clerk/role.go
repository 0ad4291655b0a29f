package clerk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// unavailableRetryAfter is how long a client should wait that asks while Clerk is unavailable.
const unavailableRetryAfter = 5 * time.Second

// HasRole returns a function for [gatehouse.Require].Check that accepts callers who have the
// role, such as "org:admin", in the organization that their token is for:
//
//	server.ProtectTool(tool, gatehouse.Require{Organization: true, Check: clerk.HasRole(provider, "org:admin")})
//
// Clerk's access tokens contain no role, so Require.Roles cannot name one. Like [Membership],
// the function asks the Backend API, and a change of the role takes effect after at most a
// minute. If Clerk is unavailable, the answer is 503.
//
// provider must be the one of the guard, from [New] or [FromEnv]. HasRole panics with a
// [*gatehouse.ConfigError] if provider has no secret key, because no caller could then be
// accepted. It does not report other faults of provider, which gatehouse.New returns.
func HasRole(provider gatehouse.Provider, role string) func(context.Context, gatehouse.Identity) error {
	if role == "" {
		panic(&gatehouse.ConfigError{
			Field:   "role of clerk.HasRole",
			Problem: "is empty",
			Fix:     `name a role of the organization, like "org:admin"`,
		})
	}
	return membershipCheck(provider, "clerk.HasRole", func(org Org) error {
		if org.Role != role {
			return fmt.Errorf("requires role %q, and the caller has %q", role, org.Role)
		}
		return nil
	})
}

// IsMember is like [HasRole] and accepts callers with every role: those who are still members
// of the organization that their token is for. Without it, a user who was removed from an
// organization keeps access until the token expires, which is a day at Clerk.
func IsMember(provider gatehouse.Provider) func(context.Context, gatehouse.Identity) error {
	return membershipCheck(provider, "clerk.IsMember", func(Org) error { return nil })
}

// membershipCheck returns a check of members for whom accept returns nil. function is the name of the exported function,
// for faults.
func membershipCheck(
	provider gatehouse.Provider, function string, accept func(Org) error,
) func(context.Context, gatehouse.Identity) error {
	b, ok := provider.Backend.(*backend)
	if !ok && provider.Err == nil {
		panic(&gatehouse.ConfigError{
			Field:   "provider of " + function,
			Problem: "has no secret key of Clerk, so it cannot ask for memberships",
			Fix:     "set " + secretKeyVariable + ", or SecretKey of clerk.Config",
		})
	}
	return func(ctx context.Context, id gatehouse.Identity) error {
		switch {
		case !ok:
			return ErrNoSecretKey
		case id.Provider != name || id.Issuer != b.issuer:
			return ErrNotSignedIn
		case id.Organization.ID == "":
			return ErrNoOrganization
		}
		org, err := b.membership(ctx, id)
		var unavailable *profileError
		switch {
		case errors.As(err, &unavailable):
			return &undecidedError{fmt.Errorf("%w: %w", unavailable.kind, unavailable.detail)} // the text is for the log only
		case err != nil:
			return err
		}
		return accept(org)
	}
}

// undecidedError is the error of a check that could not decide; see [gatehouse.Require].Check.
type undecidedError struct{ error }

func (e *undecidedError) Unwrap() error { return e.error }

// RetryAfter returns how long to wait before the next attempt.
func (e *undecidedError) RetryAfter() time.Duration { return unavailableRetryAfter }
