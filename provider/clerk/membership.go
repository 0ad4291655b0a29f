package clerk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/endpoint"
	"github.com/maypok86/otter/v2"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/singleflight"
)

const (
	membershipTimeout = 5 * time.Second
	// membershipAge is how long a membership is cached, and so how long a role that was
	// taken away may still be returned. notMemberAge is the same for no membership.
	membershipAge = time.Minute
	notMemberAge  = 10 * time.Second
	// membershipEntries and membershipBytes bound the cache of memberships.
	membershipEntries = 10_000
	membershipBytes   = 16 << 20
	// membershipPage and membershipPages bound the memberships of one user that are read.
	membershipPage  = 50
	membershipPages = 20
	// maxMembershipRequests bounds the requests for memberships that run at the same time.
	maxMembershipRequests = 16
)

// Errors of [Membership], for errors.Is, in addition to [ErrNotSignedIn] and [ErrUnavailable].
var (
	// ErrNoOrganization means that the caller's token is not for an organization: the user
	// chose none, or the token lacks the scope [OrganizationScope].
	ErrNoOrganization = errors.New("clerk: no active organization; choose one when you sign in")
	// ErrNotMember means that the user is not a member of the organization any more.
	ErrNotMember = errors.New("clerk: you are not a member of this organization")
	// ErrNoSecretKey means that the provider was made without a secret key.
	ErrNoSecretKey = errors.New("clerk: the server has no secret key of Clerk, so it cannot ask for roles")
)

// membership is a cached answer about one user and one organization.
type membership struct {
	org     Org
	member  bool
	expires time.Time
}

// members asks the Backend API of one instance about memberships.
type members struct {
	cache       *otter.Cache[string, *membership] // by user and organization
	flights     singleflight.Group
	slots       chan struct{}
	pausedUntil atomic.Int64 // in Unix nanoseconds
}

func newMembers() *members {
	return &members{
		slots: make(chan struct{}, maxMembershipRequests),
		// An entry weighs at least its share, so that the bound on bytes is the bound on
		// entries too.
		cache: otter.Must(&otter.Options[string, *membership]{
			MaximumWeight: membershipBytes,
			Weigher: func(key string, m *membership) uint32 {
				return uint32(max(len(key)+m.org.size(), membershipBytes/membershipEntries+1))
			},
		}),
	}
}

// size estimates the memory of o in bytes.
func (o *Org) size() int {
	n := 256 + len(o.ID) + len(o.Name) + len(o.Role) + len(o.Slug)
	for _, permission := range o.Permissions {
		n += 16 + len(permission)
	}
	return n
}

// Membership returns the organization that the caller's token is for, with the caller's role
// and permissions in it, which Clerk's access tokens do not contain. It asks the Backend API
// of the instance, so the provider must have been made with a secret key.
//
// The answer is cached for a minute, for each user and organization: a change of the role
// takes effect after that time. Concurrent calls about one membership share one request.
// It is safe for concurrent use.
//
// The error is [ErrNotSignedIn], [ErrNoOrganization], [ErrNotMember], [ErrNoSecretKey] or
// [ErrUnavailable] for errors.Is. Treat every error as a missing permission. The text has no
// details, so that a tool can return it; they are in the log if the error is logged with
// [log/slog].
func Membership(ctx context.Context, req mcp.Request) (Org, error) {
	id, ok := identityOf(req)
	if !ok {
		return Org{}, ErrNotSignedIn
	}
	p, _ := gatehouse.ProviderOf(req)
	b, ok := p.Backend.(*backend)
	switch {
	case id.Organization.ID == "":
		return Org{}, ErrNoOrganization
	case !ok:
		return Org{}, ErrNoSecretKey
	}
	return b.membership(ctx, id)
}

// membership returns the membership of the caller, from the cache or from Clerk.
func (b *backend) membership(ctx context.Context, id gatehouse.Identity) (Org, error) {
	key := id.Subject + " " + id.Organization.ID
	if m, ok := b.knownMembership(key); ok {
		return m.result()
	}
	if left := time.Until(time.Unix(0, b.members.pausedUntil.Load())); left > 0 {
		return Org{}, &profileError{ErrUnavailable, fmt.Errorf("a pause that Clerk asked for ends in %s", left)}
	}
	// The request goes on if this caller leaves, because others may wait for it.
	flight := b.members.flights.DoChan(key, func() (any, error) {
		if m, ok := b.knownMembership(key); ok { // from a request that ended a moment ago
			return *m, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), membershipTimeout)
		defer cancel()
		m, err := b.askMembership(ctx, strings.Clone(id.Subject), strings.Clone(id.Organization.ID))
		if err == nil {
			b.members.cache.Set(strings.Clone(key), &m)
		}
		return m, err
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return Org{}, &profileError{ErrUnavailable, result.Err}
		}
		return result.Val.(membership).result()
	case <-ctx.Done():
		return Org{}, &profileError{ErrUnavailable, ctx.Err()}
	}
}

// knownMembership returns the membership in the cache.
func (b *backend) knownMembership(key string) (m *membership, ok bool) {
	m, ok = b.members.cache.GetIfPresent(key)
	return m, ok && time.Now().Before(m.expires)
}

// result returns what Membership returns. The slice is a copy: the cache has the original.
func (m membership) result() (Org, error) {
	if !m.member {
		return Org{}, ErrNotMember
	}
	return User{Org: m.org}.clone().Org, nil
}

// askMembership asks Clerk for the memberships of a user, page by page, until it finds that of
// the organization.
func (b *backend) askMembership(ctx context.Context, user, org string) (membership, error) {
	select {
	case b.members.slots <- struct{}{}:
		defer func() { <-b.members.slots }()
	default:
		return membership{}, errors.New("too many requests for memberships are running")
	}
	for page := range membershipPages {
		list, err := b.membershipPage(ctx, user, page*membershipPage)
		if err != nil {
			return membership{}, err
		}
		for _, entry := range list {
			if entry.Organization.ID == org {
				return membership{entry.org(), true, time.Now().Add(membershipAge)}, nil
			}
		}
		if len(list) < membershipPage {
			return membership{expires: time.Now().Add(notMemberAge)}, nil
		}
	}
	return membership{}, fmt.Errorf("the user has more than %d memberships", membershipPages*membershipPage)
}

// membershipEntry is a membership as the Backend API returns it.
type membershipEntry struct {
	Role         string   `json:"role"`
	Permissions  []string `json:"permissions"`
	Organization struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Slug string `json:"slug"`
	} `json:"organization"`
}

func (e *membershipEntry) org() Org {
	o := e.Organization
	return User{Org: Org{ID: o.ID, Name: o.Name, Slug: o.Slug, Role: e.Role, Permissions: e.Permissions}}.clone().Org
}

// membershipPage returns one page of the memberships of a user
// (https://clerk.com/docs/reference/backend-api, GET /users/{user_id}/organization_memberships).
func (b *backend) membershipPage(ctx context.Context, user string, offset int) ([]membershipEntry, error) {
	address := fmt.Sprintf("%s/v1/users/%s/organization_memberships?limit=%d&offset=%d", b.url, url.PathEscape(user), membershipPage, offset)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(b.key))
	answer, err := endpoint.Send(b.client, req)
	var status *endpoint.StatusError
	switch {
	case errors.As(err, &status) && status.Status == http.StatusNotFound:
		return nil, nil // the user does not exist any more
	case errors.As(err, &status) && status.RetryAfter() > 0:
		b.members.pausedUntil.Store(time.Now().Add(min(status.RetryAfter(), membershipAge)).UnixNano())
		return nil, err
	case err != nil:
		return nil, cmp.Or(b.keyError(err), err)
	}
	var page struct {
		Data []membershipEntry `json:"data"`
	}
	if err := strictjson.Unmarshal(answer, &page); err != nil {
		return nil, fmt.Errorf("reading the answer of Clerk: %w", err)
	}
	return page.Data, nil
}

// keyError returns an error that says what to do if err means that Clerk rejects the secret
// key, or nil.
func (b *backend) keyError(err error) error {
	var status *endpoint.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusUnauthorized && status.Status != http.StatusForbidden {
		return nil
	}
	return fmt.Errorf("the secret key is rejected by Clerk (status %d); set %s to that of the instance %s",
		status.Status, secretKeyVariable, b.issuer)
}
