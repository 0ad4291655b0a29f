package localclerk

import (
	"net/http"
	"strings"
)

// corsMethods lists the paths that scripts of any origin may call, with the
// allowed methods. The authorization endpoint must not be one of them (RFC 9700
// section 2.6).
var corsMethods = map[string]string{
	"/.well-known/oauth-authorization-server": "GET",
	"/.well-known/openid-configuration":       "GET",
	"/.well-known/jwks.json":                  "GET",
	"/oauth/register":                         "POST",
	"/oauth/token":                            "POST",
	"/oauth/token/revoke":                     "POST",
	"/oauth/userinfo":                         "GET, POST",
}

func (s *Server) addCORSHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := corsMethods[r.URL.Path]; ok {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		}
		next.ServeHTTP(w, r)
	})
}

func servePreflight(methods string) http.HandlerFunc {
	headers := strings.Join([]string{"Authorization", "Content-Type", "MCP-Protocol-Version"}, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Methods", methods)
		w.Header().Set("Access-Control-Allow-Headers", headers)
		w.Header().Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	}
}
