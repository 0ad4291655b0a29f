package localclerk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxBackendBody = 64 << 10
	defaultLimit   = 10
	maxLimit       = 500
)

// SecretKey returns the key of the Backend API, sk_test_…, which this server
// answers beside the Frontend API.
func (s *Server) SecretKey() string { return string(s.secretKey) }

// backendRoutes are the parts of Clerk's Backend API that resource servers and
// tools ask. Verification is there with and without /v1, as at Clerk.
func (s *Server) backendRoutes(mux *http.ServeMux) {
	for pattern, handler := range map[string]http.HandlerFunc{
		"POST /oauth_applications/access_tokens/verify":    s.verifyAccessToken,
		"POST /v1/oauth_applications/access_tokens/verify": s.verifyAccessToken,
		"GET /v1/instance": s.showInstance,
		"GET /v1/instance/oauth_application_settings":   s.showSettings,
		"PATCH /v1/instance/oauth_application_settings": s.changeSettings,
		"GET /v1/jwks":                                s.serveJWKS,
		"GET /v1/oauth_applications":                  s.listApplications,
		"POST /v1/oauth_applications":                 s.createApplication,
		"GET /v1/users/{id}":                          s.showUser,
		"GET /v1/users/{id}/organization_memberships": s.listUserMemberships,
		"GET /v1/organizations/{id}/memberships":      s.listOrganizationMemberships,
	} {
		mux.HandleFunc(pattern, s.withSecretKey(handler))
	}
}

func (s *Server) withSecretKey(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := bearer(r)
		if key == "" {
			s.writeClerkError(w, r, clerkError{
				status:      http.StatusUnauthorized,
				Code:        "authorization_header_format_invalid",
				Message:     "Invalid Authorization header format",
				LongMessage: "Invalid Authorization header format. Must be 'Bearer <YOUR_API_KEY>'.",
				fix:         "send the secret key as Authorization: Bearer sk_test_…",
			})
			return
		}
		if !s.secretKey.is(key) {
			s.writeClerkError(w, r, clerkError{
				status:      http.StatusUnauthorized,
				Code:        "clerk_key_invalid",
				Message:     "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.",
				LongMessage: "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.",
				fix:         "set the secret key to this server's own",
			})
			return
		}
		noStore(w)
		next(w, r)
	}
}

// readBackendBody reads a JSON object into v, and answers itself if there is
// none. Members v does not have are refused.
func (s *Server) readBackendBody(w http.ResponseWriter, r *http.Request, v any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBackendBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		s.writeClerkError(w, r, clerkError{
			status:      http.StatusBadRequest,
			Code:        "request_body_invalid",
			Message:     "Request body invalid",
			LongMessage: "The request body is invalid: " + err.Error() + ".",
			fix:         "send a JSON object with the members the Backend API names",
		})
		return false
	}
	return true
}

func (s *Server) invalidParameter(w http.ResponseWriter, r *http.Request, name string, problem error) {
	s.writeClerkError(w, r, clerkError{
		status:      http.StatusUnprocessableEntity,
		Code:        "form_param_value_invalid",
		Message:     "is invalid",
		LongMessage: name + " is invalid: " + problem.Error() + ".",
		fix:         "send another " + name,
	})
}

func (s *Server) resourceNotFound(w http.ResponseWriter, r *http.Request, what string) {
	s.writeClerkError(w, r, clerkError{
		status:      http.StatusNotFound,
		Code:        "resource_not_found",
		Message:     "not found",
		LongMessage: "There is no such " + what + ".",
		fix:         "ask for one that this server has; ids of another instance are unknown here",
	})
}

// verifiedToken is a token as verification answers with it. For a token that
// is revoked the status is 200 all the same.
type verifiedToken struct {
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

// verifyAccessToken answers 404 for a token it does not know, active false for
// a JWT that has expired, and the token itself for every other.
func (s *Server) verifyAccessToken(w http.ResponseWriter, r *http.Request) {
	var body struct {
		AccessToken string `json:"access_token"`
		Secret      string `json:"secret"` // its name before
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
		writeJSON(w, http.StatusOK, tokenInfo{})
		return
	}
	if err != nil {
		s.resourceNotFound(w, r, "access token: "+err.Error())
		return
	}
	writeJSON(w, http.StatusOK, s.verified(t, strings.HasPrefix(value, opaquePrefix)))
}

func (s *Server) verified(t accessToken, opaque bool) verifiedToken {
	answer := verifiedToken{
		Object:    "clerk_idp_oauth_access_token",
		ID:        t.id,
		ClientID:  t.grant.clientID,
		Subject:   t.grant.user,
		Scopes:    t.scopes,
		Revoked:   t.revoked,
		Expired:   !s.now().Before(t.expires),
		CreatedAt: t.issued.Unix(),
		UpdatedAt: t.issued.Unix(),
	}
	if t.grant.resource != "" && s.currentSettings().AudClaimEnabled {
		answer.Audience = []string{t.grant.resource}
	}
	if !opaque {
		expiration := t.expires.Unix()
		answer.Expiration = &expiration
	}
	if user, ok := s.currentPeople().user(t.grant.user); !ok || user.Banned {
		answer.Revoked = true
	}
	if answer.Revoked {
		reason := "revoked"
		answer.RevocationReason = &reason
	}
	return answer
}

func (s *Server) showInstance(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"object":           "instance",
		"id":               s.instance,
		"environment_type": "development",
		"allowed_origins":  nil,
	})
}

type settingsObject struct {
	Object string `json:"object"`
	Settings
}

func (s *Server) showSettings(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, settingsObject{"oauth_application_settings", s.currentSettings()})
}

// changeSettings changes the settings the body names.
func (s *Server) changeSettings(w http.ResponseWriter, r *http.Request) {
	settings := s.Settings()
	if !s.readBackendBody(w, r, &settings) {
		return
	}
	if err := s.SetSettings(settings); err != nil {
		s.invalidParameter(w, r, "default_scopes", err)
		return
	}
	s.showSettings(w, r)
}

// collection is one page of a list, as Clerk answers with it.
type collection struct {
	Data       any `json:"data"`
	TotalCount int `json:"total_count"`
}

// writePage answers with the part of all that limit and offset ask for.
func writePage[T any](s *Server, w http.ResponseWriter, r *http.Request, all []T) {
	limit, err := countParameter(r, "limit", defaultLimit, 1, maxLimit)
	if err != nil {
		s.invalidParameter(w, r, "limit", err)
		return
	}
	offset, err := countParameter(r, "offset", 0, 0, 1<<30)
	if err != nil {
		s.invalidParameter(w, r, "offset", err)
		return
	}
	start := min(offset, len(all))
	page := append([]T{}, all[start:min(start+limit, len(all))]...)
	writeJSON(w, http.StatusOK, collection{page, len(all)})
}

func countParameter(r *http.Request, name string, unset, least, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("got %q, want %d to %d", text, least, most)
	}
	return n, nil
}
