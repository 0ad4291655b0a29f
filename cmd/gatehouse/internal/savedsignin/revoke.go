package savedsignin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxRevocationBody bounds what is read of the response of a revocation endpoint, in
// bytes.
const maxRevocationBody = 64 << 10

// Revoke asks the authorization server to end a sign-in (RFC 7009). It revokes the
// refresh token, which ends the access tokens with it, or else the access token. It
// does nothing if the sign-in has no tokens or its server no revocation endpoint.
func Revoke(ctx context.Context, client *http.Client, saved *SignIn) error {
	if saved.Tokens == nil || saved.RevocationEndpoint == "" {
		return nil
	}
	form := url.Values{
		"token":           {string(saved.Tokens.Refresh)},
		"token_type_hint": {"refresh_token"},
		"client_id":       {saved.Client.ID},
	}
	if saved.Tokens.Refresh == "" {
		form.Set("token", string(saved.Tokens.Access))
		form.Set("token_type_hint", "access_token")
	}
	if saved.Client.Secret != "" {
		form.Set("client_secret", string(saved.Client.Secret))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, saved.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("revoking the tokens: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxRevocationBody)); err != nil {
		return fmt.Errorf("revoking the tokens: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("revoking the tokens: the authorization server answered %d", resp.StatusCode)
	}
	return nil
}
