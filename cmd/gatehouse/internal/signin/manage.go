package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
)

// management is how a client that registered itself is deleted (RFC 7592).
type management struct {
	uri   string
	token savedsignin.Secret
}

// Errors of [Client.Refresh] and [Client.Unregister].
var (
	ErrNoRefreshToken = errors.New("there is no refresh token")
	ErrNotManageable  = errors.New("the authorization server has no endpoint to delete a client (RFC 7592)")
)

// Refresh replaces the tokens of the current sign-in with the refresh token, whether or not
// the access token has expired. It returns ErrNoRefreshToken if there is none.
func (c *Client) Refresh() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source == nil {
		return ErrNoRefreshToken
	}
	t := c.source
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.saved.Tokens
	if old == nil || old.Refresh == "" {
		return ErrNoRefreshToken
	}
	token, err := t.requestRefresh(old)
	if err != nil {
		return fmt.Errorf("refreshing the tokens: %w", explainOAuth(err, c.config.Account.Resource))
	}
	t.saved.Tokens = newTokens(token, old.Scope)
	return t.store.Save(t.saved)
}

// Unregister deletes the client that was registered in this run (RFC 7592 section 2.3). It
// returns ErrNotManageable if the authorization server offers no way to.
func (c *Client) Unregister(ctx context.Context, issuer string) error {
	c.mu.Lock()
	managed := c.managed
	c.mu.Unlock()
	if managed == nil {
		return ErrNotManageable
	}
	if err := CheckEndpoint(issuer, "registration_client_uri", managed.uri); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, managed.uri, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+string(managed.token))
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("deleting the client: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusOK {
		return fmt.Errorf("deleting the client: status %d, want 204", resp.StatusCode)
	}
	return nil
}
