package localclerk

import (
	"net/http"
	"slices"
)

// serveUserInfo is the userinfo endpoint (OpenID Connect Core 1.0 section 5.3). As at
// Clerk, it does not require the scope openid, and its errors use Clerk's own
// envelope.
func (s *Server) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	t, user, ok := s.activeToken(bearer(r))
	if !ok {
		s.writeClerkError(w, r, clerkError{
			status:      http.StatusUnauthorized,
			Code:        "oauth_fetch_user_error",
			Message:     "unable to fetch user info",
			LongMessage: "Unable to fetch user info. Check if access token is present and valid.",
			fix:         "send an active access token of this issuer as Authorization: Bearer",
		})
		return
	}
	info := user.claims(t.scopes)
	info["object"] = "oauth_user_info"
	info["instance_id"] = s.instanceID
	info["user_id"] = user.ID
	info["sub"] = user.ID
	if o, ok := s.currentDirectory().organization(t.grant.organization); ok && slices.Contains(t.scopes, ScopeOrganization) {
		info["org_id"], info["org_name"], info["org_slug"] = o.ID, o.Name, o.Slug
	}
	noStore(w)
	writeJSON(w, http.StatusOK, info)
}
