package localclerk

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// tokenVerification is the result of verifying an access token. As at Clerk, a
// revoked or expired opaque token is reported with status 200 too.
type tokenVerification struct {
	Object           string   `json:"object"`
	ID               string   `json:"id"`
	ClientID         string   `json:"client_id"`
	Subject          string   `json:"subject"`
	Scopes           []string `json:"scopes"`
	Audience         []string `json:"aud,omitempty"`
	Revoked          bool     `json:"revoked"`
	RevocationReason *string  `json:"revocation_reason"`
	Expired          bool     `json:"expired"`
	Expiration       *int64   `json:"expiration"` // seconds; null for opaque tokens
	CreatedAt        int64    `json:"created_at"`
	UpdatedAt        int64    `json:"updated_at"`
}

// verifyAccessToken responds 404 for an unknown token, {"active":false} for a JWT
// that has expired, and otherwise the tokenVerification.
func (s *Server) verifyAccessToken(w http.ResponseWriter, r *http.Request) {
	var body struct {
		AccessToken string `json:"access_token"`
		Secret      string `json:"secret"` // the former name
	}
	if !s.readBackendBody(w, r, &body) {
		return
	}
	value := cmp.Or(body.AccessToken, body.Secret)
	if value == "" {
		s.invalidParameter(w, r, "access_token", errors.New("it is empty"))
		return
	}
	t, err := s.readAccessToken(value)
	if errors.Is(err, jwt.ErrTokenExpired) {
		writeJSON(w, http.StatusOK, introspectionResponse{})
		return
	}
	if err != nil {
		s.resourceNotFound(w, r, "access token: "+err.Error())
		return
	}
	writeJSON(w, http.StatusOK, s.newTokenVerification(t, strings.HasPrefix(value, opaquePrefix)))
}

func (s *Server) newTokenVerification(t accessToken, opaque bool) tokenVerification {
	verification := tokenVerification{
		Object:    "clerk_idp_oauth_access_token",
		ID:        t.id,
		ClientID:  t.grant.clientID,
		Subject:   t.grant.user,
		Scopes:    t.scopes,
		Revoked:   t.revoked,
		Expired:   !s.now().Before(t.expiresAt),
		CreatedAt: t.issuedAt.Unix(),
		UpdatedAt: t.issuedAt.Unix(),
	}
	if t.grant.resource != "" && s.currentSettings().AudClaimEnabled {
		verification.Audience = []string{t.grant.resource}
	}
	if !opaque {
		expiration := t.expiresAt.Unix()
		verification.Expiration = &expiration
	}
	if user, ok := s.currentDirectory().user(t.grant.user); !ok || user.Banned {
		verification.Revoked = true
	}
	if verification.Revoked {
		reason := "revoked"
		verification.RevocationReason = &reason
	}
	return verification
}
