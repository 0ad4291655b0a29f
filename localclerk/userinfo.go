package localclerk

import (
	"net/http"
	"slices"
	"strings"
)

// claims are those of userinfo and of ID tokens that the scopes open.
func (u User) claims(scopes []string) map[string]any {
	claims := map[string]any{}
	set := func(name, value string) {
		if value != "" {
			claims[name] = value
		}
	}
	if slices.Contains(scopes, ScopeProfile) {
		set("name", strings.TrimSpace(u.FirstName+" "+u.LastName))
		set("given_name", u.FirstName)
		set("family_name", u.LastName)
		set("username", u.Username)
		set("preferred_username", u.Username)
		set("picture", u.ImageURL)
	}
	if slices.Contains(scopes, ScopeEmail) && u.Email != "" {
		claims["email"] = u.Email
		claims["email_verified"] = !u.EmailUnverified
	}
	if slices.Contains(scopes, ScopePublicMetadata) {
		claims["public_metadata"] = orEmpty(u.PublicMetadata)
		claims["unsafe_metadata"] = orEmpty(u.UnsafeMetadata)
	}
	if slices.Contains(scopes, ScopePrivateMetadata) {
		claims["private_metadata"] = orEmpty(u.PrivateMetadata)
	}
	return claims
}

func orEmpty(metadata map[string]any) map[string]any {
	if metadata == nil {
		return map[string]any{}
	}
	return metadata
}

// serveUserInfo is the userinfo endpoint (OpenID Connect Core 1.0 section
// 5.3). Clerk needs no openid scope for it, and refuses in its own envelope.
func (s *Server) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	t, user, ok := s.liveToken(bearer(r))
	if !ok {
		s.writeClerkError(w, r, clerkError{
			status:      http.StatusUnauthorized,
			Code:        "oauth_fetch_user_error",
			Message:     "unable to fetch user info",
			LongMessage: "Unable to fetch user info. Check if access token is present and valid.",
			fix:         "send a live access token of this issuer as Authorization: Bearer",
		})
		return
	}
	info := user.claims(t.scopes)
	info["object"] = "oauth_user_info"
	info["instance_id"] = s.instance
	info["user_id"] = user.ID
	info["sub"] = user.ID
	if o, ok := s.currentPeople().organization(t.grant.organization); ok && slices.Contains(t.scopes, ScopeOrganization) {
		info["org_id"], info["org_name"], info["org_slug"] = o.ID, o.Name, o.Slug
	}
	noStore(w)
	writeJSON(w, http.StatusOK, info)
}

// bearer returns the token of the Authorization header (RFC 6750 section 2.1),
// or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(r.Header.Values("Authorization")) != 1 {
		return ""
	}
	return token
}
