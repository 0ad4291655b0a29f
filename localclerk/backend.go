package localclerk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

const (
	maxBackendBody = 64 << 10
	defaultLimit   = 10
	maxLimit       = 500
)

// SecretKey returns the secret key of the Backend API, sk_test_… . This server
// serves the Backend API at the same URL as the Frontend API. Each Server has
// its own random key.
func (s *Server) SecretKey() string { return string(s.secretKey) }

// backendRoutes registers the parts of Clerk's Backend API that resource servers and
// tools use. As at Clerk, token verification exists with and without /v1.
func (s *Server) backendRoutes(mux *http.ServeMux) {
	for pattern, handler := range map[string]http.HandlerFunc{
		"POST /oauth_applications/access_tokens/verify":    s.verifyAccessToken,
		"POST /v1/oauth_applications/access_tokens/verify": s.verifyAccessToken,
		"GET /v1/instance": s.getInstance,
		"GET /v1/instance/oauth_application_settings":   s.getSettings,
		"PATCH /v1/instance/oauth_application_settings": s.updateSettings,
		"GET /v1/jwks":                                s.serveJWKS,
		"GET /v1/oauth_applications":                  s.listApplications,
		"POST /v1/oauth_applications":                 s.createApplication,
		"GET /v1/users/{id}":                          s.getUser,
		"GET /v1/users/{id}/organization_memberships": s.listUserMemberships,
		"GET /v1/organizations/{id}/memberships":      s.listOrganizationMemberships,
	} {
		mux.HandleFunc(pattern, s.requireSecretKey(handler))
	}
}

func (s *Server) requireSecretKey(next http.HandlerFunc) http.HandlerFunc {
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
		if !s.secretKey.matches(key) {
			s.writeClerkError(w, r, clerkError{
				status:      http.StatusUnauthorized,
				Code:        "clerk_key_invalid",
				Message:     "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.",
				LongMessage: "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.",
				fix:         "use the secret key of this local Clerk",
			})
			return
		}
		noStore(w)
		next(w, r)
	}
}

// readBackendBody decodes a JSON object into v and rejects members that v does not
// have. If it fails, it writes the error response and returns false.
func (s *Server) readBackendBody(w http.ResponseWriter, r *http.Request, v any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBackendBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		s.writeClerkError(w, r, clerkError{
			status:      http.StatusBadRequest,
			Code:        "request_body_invalid",
			Message:     "Request body invalid",
			LongMessage: "The request body is invalid: " + err.Error() + ".",
			fix:         "send a JSON object with the members that the Backend API defines",
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
		fix:         "correct " + name,
	})
}

func (s *Server) resourceNotFound(w http.ResponseWriter, r *http.Request, what string) {
	s.writeClerkError(w, r, clerkError{
		status:      http.StatusNotFound,
		Code:        "resource_not_found",
		Message:     "not found",
		LongMessage: "There is no such " + what + ".",
		fix:         "use an ID of this server; it does not have the IDs of other instances",
	})
}

// collection is one page of a list in Clerk's format.
type collection struct {
	Data       any `json:"data"`
	TotalCount int `json:"total_count"`
}

// writePage writes the part of all that the parameters limit and offset select.
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

func countParameter(r *http.Request, name string, fallback, least, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("got %q, want %d to %d", text, least, most)
	}
	return n, nil
}
