package gatehouse

import (
	"net/http"
	"strings"
)

// wantsPage reports whether a browser opens the endpoint, which gets
// [Config.LandingPage] (check 3): a GET or HEAD whose Accept header names text/html. MCP
// clients do not send that.
func wantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, accept := range r.Header["Accept"] {
		for part := range strings.SplitSeq(accept, ",") {
			mediaType, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(mediaType), "text/html") {
				return true
			}
		}
	}
	return false
}
