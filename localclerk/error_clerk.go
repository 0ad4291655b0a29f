package localclerk

import (
	"net/http"
)

// clerkError is one error in the envelope that Clerk uses for errors outside
// OAuth.
type clerkError struct {
	status      int
	fix         string
	Message     string `json:"message"`
	LongMessage string `json:"long_message"`
	Code        string `json:"code"`
}

func (s *Server) writeClerkError(w http.ResponseWriter, r *http.Request, e clerkError) {
	recordError(r, e.Code, e.LongMessage, e.fix)
	noStore(w)
	writeJSON(w, e.status, struct {
		Errors  []clerkError `json:"errors"`
		TraceID string       `json:"clerk_trace_id"`
	}{[]clerkError{e}, randomString(hex, 32)})
}

func (s *Server) serveNotFound(w http.ResponseWriter, r *http.Request) {
	s.writeClerkError(w, r, clerkError{
		status:      http.StatusNotFound,
		Code:        "resource_not_found",
		Message:     "not found",
		LongMessage: "No endpoint serves " + r.Method + " " + r.URL.Path + ".",
	})
}
